// Settings are made for every request and held by every connection: equal ones are one object, unequal ones never.

import { describe, expect, test } from "vitest";
import { type WebSocketTuning, websocketSettings } from "../../src/server/websocket/options.ts";

describe("equal settings are shared", () => {
  const equal: [string, WebSocketTuning, WebSocketTuning][] = [
    ["nothing said, and no compression", {}, { compression: false }],
    ["a default said aloud", {}, { maxFrames: 131_072 }],
    ["all defaults of compression", { compression: true }, { compression: { level: 6 } }],
  ];
  test.each(equal)("%s", (_name, one, other) => {
    expect(websocketSettings(one)).toBe(websocketSettings(other));
  });
});

describe("what differs in anything is kept apart", () => {
  const different: [string, WebSocketTuning][] = [
    ["maxMessageBytes", { maxMessageBytes: 1 }],
    ["maxFrames", { maxFrames: 1 }],
    ["maxBufferedBytes", { maxBufferedBytes: 1 }],
    ["pingIntervalMs", { pingIntervalMs: 1 }],
    ["pongTimeoutMs", { pongTimeoutMs: 1 }],
    ["closeTimeoutMs", { closeTimeoutMs: 1 }],
    ["idleTimeoutMs", { idleTimeoutMs: 1 }],
    ["maxMailbox", { maxMailbox: 1 }],
    ["overflow", { overflow: "drop-oldest" }],
    ["compression", { compression: true }],
    ["compression.threshold", { compression: { threshold: 1 } }],
    ["compression.level", { compression: { level: 1 } }],
    ["compression.synchronous", { compression: { synchronous: false } }],
  ];
  test("from the defaults and from each other", () => {
    const all = [websocketSettings({}), ...different.map(([, tuning]) => websocketSettings(tuning))];
    expect(new Set(all).size).toBe(different.length + 1);
  });

  test.each(different)("%s is as it was asked for, whatever was asked for before", (_name, tuning) => {
    const again = websocketSettings(tuning);
    const { compression, ...plain } = tuning;
    expect(again).toMatchObject(plain);
    if (typeof compression === "object") {
      const { threshold, ...rest } = compression;
      if (threshold !== undefined) expect(again.threshold).toBe(threshold);
      expect(again.compression).toMatchObject(rest);
    }
  });
});
