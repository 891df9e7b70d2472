import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { decodeEnvelope, encodeEnvelope } from "../../src/server/topics/envelope.ts";

const origin = "c_c-c_c-";

describe("an envelope", () => {
  test.each<[string, mist.TopicContent]>([
    ["text", "grüße 🌫️"],
    ["no text", ""],
    ["bytes", Buffer.from([0, 255, 128])],
    ["no bytes", Buffer.alloc(0)],
    ["an event", mist.event("two\nlines")],
    ["an event with a name", mist.event("x").eventName("näws")],
    ["an event with an empty name", mist.event("x").eventName("")],
    ["an event with a retry", mist.event("").eventRetry(0)],
  ])("carries %s", (_what, content) => {
    const opened = decodeEnvelope(encodeEnvelope(origin, 2 ** 53 - 1, content));
    expect(opened).toEqual({ origin, time: 2 ** 53 - 1, content });
  });

  const [text, event] = ["text", mist.event("x").eventName("name")].map((content) =>
    encodeEnvelope(origin, 1, content),
  ) as [Buffer, Buffer];
  const changed = (envelope: Buffer, at: number, ...octets: number[]): Buffer => {
    const copy = Buffer.from(envelope);
    copy.set(octets, at);
    return copy;
  };

  test.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["part of a head", text.subarray(0, 15)],
    ["another version", changed(text, 0, 2)],
    ["another kind", changed(text, 1, 9)],
    ["a time beyond 2^53", changed(text, 8, 0xff)],
    ["text that is not UTF-8", changed(text, 16, 0xff)],
    ["part of an event's fields", event.subarray(0, 20)],
    ["part of an event's name", event.subarray(0, 24)],
    ["a name with a line feed", changed(event, 22, 10)],
    ["a name that is not UTF-8", changed(event, 22, 0xff)],
    ["an event's data that is not UTF-8", changed(event, 26, 0xff)],
    ["a name of 60 000 octets", Buffer.concat([changed(event, 20, 0xea, 0x60), Buffer.alloc(60_000, "x")])],
  ])("is not what holds %s", (_what, bytes) => {
    expect(decodeEnvelope(bytes)).toBeUndefined();
  });

  test("any bytes are one or none, nothing else", () => {
    const head = fc.constantFrom([1, 0], [1, 1], [1, 2]);
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 64 }), (first, rest) => {
        decodeEnvelope(Buffer.from([...first, ...rest]));
      }),
    );
  });
});
