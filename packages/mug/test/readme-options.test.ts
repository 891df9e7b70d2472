/** The README's table of options says what the code does. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connectChecks, defaults, tlsChecks } from "../src/options.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The table's rows: option → default. */
const rows = new Map(
  [...readme.matchAll(/^\| `([\w.]+)` \| ([^|]*) \| /gm)].map(([, name, value]) => [name!, value!]),
);

/** 65536 as the README writes it. */
const bytes = (value: number): string => `${String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ")} bytes`;

test("every option has its row, and every row its option", () => {
  const names = [...Object.keys(connectChecks), ...Object.keys(tlsChecks).map((name) => `tls.${name}`)];
  expect([...rows.keys()].sort()).toEqual(names.sort());
});

test.each([
  ["timeout", `${defaults.timeout} ms`],
  ["ipVersionPreference", `\`"${defaults.ipVersionPreference}"\``],
  ["attemptDelayMs", `${defaults.attemptDelayMs} ms`],
  ["noDelay", defaults.noDelay ? "on" : "off"],
  ["highWaterMark", bytes(defaults.highWaterMark)],
  ["maxReceive", bytes(defaults.maxReceive)],
])("%s defaults to %s", (name, value) => {
  expect(rows.get(name)).toBe(value);
});

test.each([
  ["`max` of `receiveUntil`, `receiveLine`", bytes(defaults.maxUntil)],
  ["`timeout` of `close`", `${defaults.closeTimeout} ms`],
])("%s defaults to %s", (name, value) => {
  expect(readme).toContain(`| ${name} | ${value} |`);
});
