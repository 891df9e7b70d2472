/** The README's tables of options say what the code does. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DEFAULTS, READ_AHEAD_BYTES } from "../src/options.ts";
import { DEFAULT_MAX_PROXY_HEADER_BYTES } from "../src/transport/proxy-protocol.ts";
import { DEFAULT_BACKLOG, socketDefaults } from "../src/transport/socket-options.ts";

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

const { restarts, withinMs } = DEFAULTS.intensity;

test.each([
  ["`withPoolSize`", "poolSize", grouped(DEFAULTS.poolSize)],
  ["`withMaxConnections`", "maxConnections", grouped(DEFAULTS.maxConnections)],
  ["`withMaxQueue`", "maxQueue", grouped(DEFAULTS.maxQueue)],
  ["`withBacklog`", "backlog", grouped(DEFAULTS.backlog)],
  ["`bind`", "bind", `\`"${DEFAULTS.bind}"\``],
  ["`withIpv6`", "ipv6", DEFAULTS.ipv6 ? "on" : "off"],
  ["`withActiveState`", "activeState", `\`"${String(DEFAULTS.activeState)}"\``],
  ["`withHandshakeTimeout`", "handshakeTimeoutMs", `${grouped(DEFAULTS.handshakeTimeoutMs)} ms`],
  ["`withInitTimeout`", "initTimeoutMs", `${grouped(DEFAULTS.initTimeoutMs)} ms`],
  ["`withLinger` `lingerMs`", "lingerMs", `${grouped(DEFAULTS.lingerMs)} ms`],
  ["`withLinger` `stallMs`", "stallMs", `${grouped(DEFAULTS.stallMs)} ms`],
  ["`withSendDeadline` `sendMs`", "sendMs", `${grouped(DEFAULTS.sendMs)} ms`],
  ["`withSendDeadline` `minSendRate`", "minSendRate", `${DEFAULTS.minSendRate} bytes/s`],
  ["`withStopDeadline`", "stopDeadlineMs", `${grouped(DEFAULTS.stopDeadlineMs)} ms`],
  ["`withHighWaterMark`", "highWaterMark", `${grouped(DEFAULTS.highWaterMark)} bytes`],
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
  expect([...covered].sort()).toEqual(Object.keys(DEFAULTS).sort());
});

test("limits that stand in a row's text", () => {
  expect(row("`withActiveState`")[1]).toContain(`${READ_AHEAD_BYTES / 1024 / 1024} MiB`);
  expect(row("`withProxyProtocol`")[1]).toContain(`above ${grouped(DEFAULT_MAX_PROXY_HEADER_BYTES)} bytes`);
});

test.each([
  ["`backlog`", grouped(DEFAULT_BACKLOG)],
  ["`nodelay`", `\`${socketDefaults.nodelay}\``],
  ["`linger`", socketDefaults.linger.enabled ? "on" : "off"],
  ["`sendTimeout`", `${grouped(socketDefaults.sendTimeout)} ms`],
  ["`sendTimeoutClose`", `\`${socketDefaults.sendTimeoutClose}\``],
  ["`activeMode`", `\`"${String(socketDefaults.activeMode)}"\``],
  ["`mode`", `\`"${socketDefaults.mode}"\``],
])("the low-level option %s defaults to %s", (option, value) => {
  expect(row(option)[0]).toBe(value);
});
