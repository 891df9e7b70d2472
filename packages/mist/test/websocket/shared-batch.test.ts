import { Buffer } from "node:buffer";
import { describe, expect, it } from "vitest";
import { Outbox } from "../../src/websocket/outbox.ts";
import { SharedBatch } from "../../src/websocket/shared-batch.ts";

const [one, two, three] = ["one", "two", "three"].map((text) => Buffer.from(text)) as [
  Buffer,
  Buffer,
  Buffer,
];

function outboxWith(...frames: Buffer[]): Outbox {
  const outbox = new Outbox();
  for (const frame of frames) outbox.encoded(frame);
  return outbox;
}

describe("frames made before", () => {
  it("are in one batch, in order", () => {
    const batch = SharedBatch.empty.with(one).with(two).with(three);
    expect(batch.bytes.toString()).toBe("onetwothree");
    expect(batch.size).toBe(11);
  });

  it("are not copied when there is one", () => {
    expect(outboxWith(one).take(false)).toBe(one);
  });

  it("are gathered once for all who are sent the same, one after the other", () => {
    const outboxes = [outboxWith(), outboxWith(), outboxWith()];
    for (const frame of [one, two, three]) for (const outbox of outboxes) outbox.encoded(frame);
    const batches = outboxes.map((outbox) => outbox.take(false));
    expect(String(batches[0])).toBe("onetwothree");
    expect(new Set(batches).size).toBe(1);
  });

  it("part where their receivers part", () => {
    const [left, right] = [outboxWith(one), outboxWith(one)];
    left.encoded(two);
    right.encoded(three);
    left.encoded(three);
    right.encoded(two);
    expect(String(left.take(false))).toBe("onetwothree");
    expect(String(right.take(false))).toBe("onethreetwo");
  });

  it.each<[string, (outbox: Outbox) => void, string]>([
    ["text", (outbox) => outbox.text("a", 1), "onetwo\x81\x01athree"],
    ["a frame", (outbox) => outbox.frame(0x82, Buffer.from("b")), "onetwo\x82\x01bthree"],
  ])("are left as they are when %s joins them", (_name, join, expected) => {
    const outbox = outboxWith(one, two);
    const other = outboxWith(one, two);
    join(outbox);
    outbox.encoded(three);
    expect((outbox.take(false) as Buffer).toString("latin1")).toBe(expected);
    expect(String(other.take(false))).toBe("onetwo");
  });
});
