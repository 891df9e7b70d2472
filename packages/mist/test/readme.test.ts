// The README's tables of options say what the code does.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { defaultDeadlines, defaultLimits, defaultMaxMailbox } from "../src/options.ts";
import { topicsSettings } from "../src/server/topics/options.ts";
import { websocketDefaults, websocketSettings } from "../src/server/websocket/options.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The default that stands behind the cell which holds exactly `option`. */
function told(option: string): string | undefined {
  const line = readme.split("\n").find((each) => each.startsWith(`| ${option} |`));
  return line?.split(" | ")[1];
}

/** 75000 as the README writes it. */
function grouped(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}

/** 8192 as the README writes it, where it is a number of bytes. */
function bytes(value: number): string {
  if (value >= 1024 * 1024) return `${value / 1024 / 1024} MiB`;
  return value >= 8192 && value % 1024 === 0 ? `${value / 1024} KiB` : grouped(value);
}

const asBytes = (name: string) =>
  !/Fields|Lines|Frames|Streams|Continuations|Controls|Burst|PerSecond/.test(name);

test.each(Object.entries(defaultLimits))("the limit %s defaults to %s", (name, value) => {
  expect(told(`\`${name}\``)).toBe(asBytes(name) ? bytes(value) : grouped(value));
});

test.each(Object.entries(defaultDeadlines))("the deadline %s defaults to %s", (name, value) => {
  expect(told(`\`${name}\``)).toBe(grouped(value));
});

test.each(Object.entries(websocketDefaults))("%s of a WebSocket defaults to %s", (name, [value]) => {
  const wanted = name.endsWith("Bytes") ? bytes(value) : value === 0 ? "0: never" : grouped(value);
  expect(told(`\`${name}\``)).toBe(wanted);
});

test("mailboxes of WebSockets and streamed responses", () => {
  const { maxMailbox, overflow } = websocketSettings({});
  expect(told("`maxMailbox`, `overflow`")).toBe(`${grouped(maxMailbox)}, \`"${overflow}"\``);
  expect(readme).toContain(`up to ${grouped(defaultMaxMailbox)} messages wait (\`maxMailbox\`)`);
});

test("compression of a WebSocket", () => {
  expect(websocketSettings({}).compression).toBeUndefined();
  const settings = websocketSettings({ compression: true });
  const compression = settings.compression!;
  expect(told("`serverNoContextTakeover`, `clientNoContextTakeover`")).toBe(
    `\`${compression.serverNoContextTakeover && compression.clientNoContextTakeover}\``,
  );
  expect(compression.serverMaxWindowBits).toBe(compression.clientMaxWindowBits);
  expect(told("`serverMaxWindowBits`, `clientMaxWindowBits`")).toBe(String(compression.serverMaxWindowBits));
  expect(told("`threshold`")).toBe(grouped(settings.threshold));
  expect(told("`level`, `memLevel`")).toBe(`${compression.level}, ${compression.memLevel}`);
  expect(told("`maxInflateRatio`")).toBe(String(compression.maxInflateRatio));
  expect(told("`synchronous`")).toBe(`\`${compression.synchronous}\``);
});

test("topics", () => {
  const topics = topicsSettings({ replay: {} });
  const replay = topics.replay!;
  expect(readme).toContain(`\`{ messages: ${replay.messages}, bytes, totalBytes, keepMs }\``);
  expect(told("`replay.bytes`, `replay.totalBytes`")).toBe(
    `${bytes(replay.bytes)}, ${bytes(replay.totalBytes)}`,
  );
  expect(told("`replay.keepMs`")).toBe(grouped(replay.keepMs));
  expect(told("`maxQueue`")).toBe(grouped(topics.maxQueue));
  expect(told("`slowClient`")).toBe(`\`"${topics.slowClient}"\``);
  const { maxTopics, maxTopicsPerMember, maxMessageBytes, unsent } = topics;
  expect(told("`maxTopics`, `maxTopicsPerMember`")).toBe(
    `${grouped(maxTopics)}, ${grouped(maxTopicsPerMember)}`,
  );
  expect(told("`maxMessageBytes` of topics")).toBe(grouped(maxMessageBytes));
  expect(told("`unsent.bytes`, `unsent.maxAgeMs`")).toBe(
    `${bytes(unsent.bytes)}, ${grouped(unsent.maxAgeMs)}`,
  );
  expect(told("`presence`")).toBe(`\`${topics.presence}\``);
});
