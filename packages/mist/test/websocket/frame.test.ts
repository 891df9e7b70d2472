import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameHeaderReader, headerSize, textHeader } from "../../src/websocket/frame.ts";
import { Outbox } from "../../src/websocket/outbox.ts";
import { type ClientFrame, clientFrame, readServerFrames } from "./client-frames.ts";

const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000];

describe("headers", () => {
  test.each(lengths)("a length of %i is read and written in its shortest form", (length) => {
    const payload = Buffer.alloc(length, 7);
    const { frames, rest } = readServerFrames(encodeFrame(0x82, payload));
    expect(rest.length).toBe(0);
    expect(frames).toHaveLength(1);
    expect(frames[0]!.payload.equals(payload)).toBe(true);
    const reader = new FrameHeaderReader(false);
    const frame = clientFrame({ opcode: 2, payload });
    expect(reader.read(frame, 0)).toBe(frame.length - length);
    expect(reader).toMatchObject({ fin: true, rsv1: false, opcode: 2, length });
    expect(
      Buffer.from(textHeader(length), "latin1").equals(
        encodeFrame(0x81, payload).subarray(0, headerSize(length)),
      ),
    ).toBe(true);
  });

  test("2^40 octets are announced as such", () => {
    const frame = clientFrame({ opcode: 2, length: 2n ** 40n });
    const reader = new FrameHeaderReader(false);
    reader.read(frame, 0);
    expect(reader.length).toBe(2 ** 40);
  });

  test("nothing is decided before a header is complete, and no more than a header is kept", () => {
    const header = clientFrame({ opcode: 2, length: 70_000n });
    const reader = new FrameHeaderReader(false);
    for (let i = 0; i < 13; i++) {
      expect(reader.read(header.subarray(i, i + 1), 0)).toBe(-1);
      expect(reader.retainedBytes).toBe(i + 1);
    }
    expect(reader.read(header, 13)).toBe(14);
    expect(reader).toMatchObject({ opcode: 2, length: 70_000 });
    expect(reader.retainedBytes).toBe(0);
  });
});

describe("refuses with 1002", () => {
  const rows: readonly [name: string, frame: ClientFrame][] = [
    ["RSV1 without an extension", { opcode: 1, rsv: 4 }],
    ["RSV2", { opcode: 1, rsv: 2 }],
    ["RSV3", { opcode: 2, rsv: 1 }],
    ["RSV on a ping", { opcode: 9, rsv: 7 }],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, ClientFrame] => [
      `reserved opcode ${opcode}`,
      { opcode },
    ]),
    ["a frame without a mask", { opcode: 1, payload: "x", mask: null }],
    ["an unmasked ping", { opcode: 9, mask: null }],
    ["a fragmented ping", { opcode: 9, fin: false }],
    ["a ping of 126 octets", { opcode: 9, payload: "x".repeat(126) }],
    ["a ping with a long length form", { opcode: 9, payload: "x", lengthForm: 16 }],
    ["125 octets in two length octets", { opcode: 2, payload: "x".repeat(125), lengthForm: 16 }],
    ["65535 octets in eight length octets", { opcode: 2, payload: "x".repeat(65_535), lengthForm: 64 }],
    ["a length of 2^63", { opcode: 2, length: 2n ** 63n }],
    ["a length of 2^64 - 1", { opcode: 2, length: 2n ** 64n - 1n }],
  ];
  test.each(rows)("%s", (_name, frame) => {
    const refused = expect.objectContaining({ closeCode: 1002 });
    const bytes = clientFrame(frame);
    expect(() => new FrameHeaderReader(false).read(bytes, 0)).toThrow(refused);
    const reader = new FrameHeaderReader(false);
    expect(() => {
      for (const octet of bytes) reader.read(Buffer.from([octet]), 0);
    }).toThrow(refused);
  });

  test("RSV1 on a control or continuation frame, even with an extension", () => {
    for (const opcode of [0, 8, 9, 10]) {
      const read = () => new FrameHeaderReader(true).read(clientFrame({ opcode, rsv: 4 }), 0);
      expect(read).toThrow(expect.objectContaining({ closeCode: 1002, section: "RFC 7692 §6.1" }));
    }
    expect(new FrameHeaderReader(true).read(clientFrame({ opcode: 1, rsv: 4 }), 0)).toBe(6);
  });
});

const outgoing = fc.oneof(
  fc.string({ unit: "grapheme-ascii", maxLength: 300 }).map((text) => ({ kind: "ascii" as const, text })),
  fc.string({ unit: "binary", maxLength: 50 }).map((text) => ({ kind: "utf8" as const, text })),
  fc.uint8Array({ maxLength: 3000 }).map((bytes) => ({ kind: "binary" as const, bytes })),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ kind: "encoded" as const, bytes })),
);
type Outgoing = typeof outgoing extends fc.Arbitrary<infer Value> ? Value : never;

function put(outbox: Outbox, item: Outgoing): void {
  if (item.kind === "ascii") outbox.ascii(item.text);
  else if (item.kind === "utf8") outbox.utf8(item.text, Buffer.byteLength(item.text));
  else if (item.kind === "binary") outbox.frame(0x82, item.bytes);
  else outbox.encoded(encodeFrame(0x82, item.bytes));
}

const payloadOf = (item: Outgoing): Buffer => Buffer.from("text" in item ? item.text : item.bytes);
const asBytes = (batch: string | Buffer): Buffer =>
  typeof batch === "string" ? Buffer.from(batch, "latin1") : batch;

describe("the outbox", () => {
  test("gives out what was put in, whatever other outboxes do in the meantime", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), outgoing), { maxLength: 60 }), fc.boolean(), (puts, own) => {
        const outboxes = [new Outbox(), new Outbox(), new Outbox()];
        for (const [which, item] of puts) put(outboxes[which]!, item);
        const batches = outboxes.map((outbox) => {
          const size = outbox.size;
          const batch = asBytes(outbox.take(own));
          expect(batch.length).toBe(size);
          expect(outbox.size).toBe(0);
          return batch;
        });
        new Outbox().frame(0x82, Buffer.alloc(4000, 1));
        for (const [which, batch] of batches.entries()) {
          const wanted = puts.filter((entry) => entry[0] === which).map((entry) => payloadOf(entry[1]));
          const { frames, rest } = readServerFrames(batch);
          expect(rest.length).toBe(0);
          expect(frames.map((frame) => frame.payload.toString("hex"))).toEqual(
            wanted.map((w) => w.toString("hex")),
          );
        }
      }),
    );
  });

  test("ASCII texts stay one string, which is the cheapest to write", () => {
    const outbox = new Outbox();
    outbox.ascii("Hello");
    outbox.ascii("y".repeat(200));
    expect(outbox.take(false)).toBe(`\x81\x05Hello\x81\x7e\x00\xc8${"y".repeat(200)}`);
  });
});
