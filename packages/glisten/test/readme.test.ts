/** The README's tables of options say what the code does. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { defaults, readAheadBytes } from "../src/options.ts";
import { defaultMaxHeaderBytes } from "../src/transport/proxy-protocol.ts";
import { defaultBacklog, socketDefaults } from "../src/transport/socket-options.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The cells behind the one that holds exactly `option`. */
function row(option: string): string[] {
  const line = readme.split("\n").find((each) => each.startsWith(`| ${option} |`));
  expect(line, `a row for ${option}`).toBeDefined();
  return line!
    .split(" | ")
    .slice(1)
    .map((cell) => cell.replace(/ \|$/, ""));
}

/** 16384 as the README writes it. */
function grouped(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}

const { restarts, withinMs } = defaults.intensity;

test.each([
  ["`withPoolSize`", "poolSize", grouped(defaults.poolSize)],
  ["`withMaxConnections`", "maxConnections", grouped(defaults.maxConnections)],
  ["`withMaxQueue`", "maxQueue", grouped(defaults.maxQueue)],
  ["`withBacklog`", "backlog", grouped(defaults.backlog)],
  ["`bind`", "bind", `\`"${defaults.bind}"\``],
  ["`withIpv6`", "ipv6", defaults.ipv6 ? "on" : "off"],
  ["`withActiveState`", "activeState", `\`"${String(defaults.activeState)}"\``],
  ["`withHandshakeTimeout`", "handshakeTimeoutMs", `${grouped(defaults.handshakeTimeoutMs)} ms`],
  ["`withInitTimeout`", "initTimeoutMs", `${grouped(defaults.initTimeoutMs)} ms`],
  ["`withLinger` `lingerMs`", "lingerMs", `${grouped(defaults.lingerMs)} ms`],
  ["`withLinger` `stallMs`", "stallMs", `${grouped(defaults.stallMs)} ms`],
  ["`withSendDeadline` `sendMs`", "sendMs", `${grouped(defaults.sendMs)} ms`],
  ["`withSendDeadline` `minSendRate`", "minSendRate", `${defaults.minSendRate} bytes/s`],
  ["`withStopDeadline`", "stopDeadlineMs", `${grouped(defaults.stopDeadlineMs)} ms`],
  ["`withHighWaterMark`", "highWaterMark", `${grouped(defaults.highWaterMark)} bytes`],
  ["`withIntensity`", "intensity", `${restarts} within ${grouped(withinMs)} ms`],
  ["`withTls`, `withClientVerification`", "tls", "off"],
  ["`withTls`, `withClientVerification`", "clientVerification", "off"],
  ["`withProxyProtocol`", "proxyProtocol", "off"],
  ["`withRefusal`", "refusal", "none"],
  ["`withSignal`", "signal", "none"],
  ["`onError`", "onError", "prints to stderr"],
])("%s has the default of %s: %s", (option, name, value) => {
  expect(row(option)[0]).toBe(value);
  covered.add(name);
});

const covered = new Set<string>();

test("every option has its row", () => {
  expect([...covered].sort()).toEqual(Object.keys(defaults).sort());
});

test("limits that stand in a row's text", () => {
  expect(row("`withActiveState`")[1]).toContain(`${readAheadBytes / 1024 / 1024} MiB`);
  expect(row("`withProxyProtocol`")[1]).toContain(`above ${grouped(defaultMaxHeaderBytes)} bytes`);
});

test.each([
  ["`backlog`", grouped(defaultBacklog)],
  ["`nodelay`", `\`${socketDefaults.nodelay}\``],
  ["`linger`", socketDefaults.linger.enabled ? "on" : "off"],
  ["`sendTimeout`", `${grouped(socketDefaults.sendTimeout)} ms`],
  ["`sendTimeoutClose`", `\`${socketDefaults.sendTimeoutClose}\``],
  ["`activeMode`", `\`"${String(socketDefaults.activeMode)}"\``],
  ["`mode`", `\`"${socketDefaults.mode}"\``],
])("the low-level option %s defaults to %s", (option, value) => {
  expect(row(option)[0]).toBe(value);
});
