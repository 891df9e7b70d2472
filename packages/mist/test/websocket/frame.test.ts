import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, headerSize, readHeader, textHeader } from "../../src/websocket/frame.ts";
import { type Batch, Outbox } from "../../src/websocket/outbox.ts";
import { type ClientFrame, clientFrame, readServerFrames } from "./client-frames.ts";

const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000];

describe("headers", () => {
  test.each(lengths)("a length of %i is read and written in its shortest form", (length) => {
    const payload = Buffer.alloc(length, 7);
    const { frames, rest } = readServerFrames(encodeFrame(0x82, payload));
    expect(rest.length).toBe(0);
    expect(frames).toHaveLength(1);
    expect(frames[0]!.payload.equals(payload)).toBe(true);
    const frame = clientFrame({ opcode: 2, payload });
    const header = { first: 0, length: 0, key: 0 };
    expect(readHeader(frame, 0, false, header)).toBe(frame.length - length);
    expect(header).toMatchObject({ first: 0x82, length });
    expect(
      Buffer.from(textHeader(length), "latin1").equals(
        encodeFrame(0x81, payload).subarray(0, headerSize(length)),
      ),
    ).toBe(true);
  });

  test("2^40 octets are announced as such", () => {
    const header = { first: 0, length: 0, key: 0 };
    expect(readHeader(clientFrame({ opcode: 2, length: 2n ** 40n }), 0, false, header)).toBe(14);
    expect(header.length).toBe(2 ** 40);
  });

  test.each([5, 200, 70_000])(
    "nothing is taken of a header before it is complete (%i octets announced)",
    (length) => {
      const whole = clientFrame({ opcode: 2, length: BigInt(length) });
      const untouched = { first: 1, length: 2, key: 3 };
      for (let end = 0; end < whole.length; end++) {
        expect(readHeader(whole.subarray(0, end), 0, false, untouched)).toBe(-1);
      }
      expect(untouched).toEqual({ first: 1, length: 2, key: 3 });
      expect(readHeader(whole, 0, false, untouched)).toBe(whole.length);
    },
  );
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
  const header = { first: 0, length: 0, key: 0 };

  test.each(rows)("%s", (_name, frame) => {
    expect(() => readHeader(clientFrame(frame), 0, false, header)).toThrow(
      expect.objectContaining({ name: "ProtocolError", closeCode: 1002 }),
    );
  });

  test("RSV1 on a control or continuation frame, even with an extension", () => {
    for (const opcode of [0, 8, 9, 10]) {
      const read = () => readHeader(clientFrame({ opcode, rsv: 4 }), 0, true, header);
      expect(read).toThrow(expect.objectContaining({ closeCode: 1002, section: "RFC 7692 §6.1" }));
    }
    expect(readHeader(clientFrame({ opcode: 1, rsv: 4 }), 0, true, header)).toBe(6);
  });
});

const outgoing = fc.oneof(
  fc.string({ unit: "grapheme-ascii", maxLength: 300 }).map((text) => ({ kind: "ascii" as const, text })),
  fc.string({ unit: "binary", maxLength: 50 }).map((text) => ({ kind: "utf8" as const, text })),
  fc.nat(9000).map((size) => ({ kind: "utf8" as const, text: "é".repeat(size) })),
  fc.uint8Array({ maxLength: 3000 }).map((bytes) => ({ kind: "binary" as const, bytes })),
  fc
    .integer({ min: 4000, max: 70_000 })
    .map((size) => ({ kind: "binary" as const, bytes: Buffer.alloc(size, size) })),
  fc
    .integer({ min: 4000, max: 70_000 })
    .map((size) => ({ kind: "encoded" as const, bytes: Buffer.alloc(size, size) })),
  fc.uint8Array({ maxLength: 125 }).map((bytes) => ({ kind: "pong" as const, bytes })),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ kind: "encoded" as const, bytes })),
);
type Outgoing = typeof outgoing extends fc.Arbitrary<infer Value> ? Value : never;

function put(outbox: Outbox, item: Outgoing): void {
  if (item.kind === "ascii" || item.kind === "utf8") outbox.text(item.text, Buffer.byteLength(item.text));
  else if (item.kind === "pong") outbox.pong(Buffer.from(item.bytes).toString("latin1"));
  else if (item.kind === "binary") outbox.frame(0x82, item.bytes);
  else outbox.encoded(encodeFrame(0x82, item.bytes));
}

const payloadOf = (item: Outgoing): Buffer => Buffer.from("text" in item ? item.text : item.bytes);
const asBytes = (batch: Batch): Buffer => {
  if (typeof batch === "string") return Buffer.from(batch, "latin1");
  return batch instanceof Uint8Array ? Buffer.from(batch) : Buffer.concat(batch.map(asBytes));
};

describe("the outbox", () => {
  test("gives out what was put in, whatever other outboxes do in the meantime", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2), outgoing), { maxLength: 120, size: "max" }),
        fc.boolean(),
        (puts, own) => {
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
        },
      ),
    );
  });

  test("ASCII texts stay one string, which is the cheapest to write", () => {
    const outbox = new Outbox();
    outbox.text("Hello", 5);
    outbox.pong("\xff");
    outbox.text("y".repeat(200), 200);
    expect(outbox.take(false)).toBe(`\x81\x05Hello\x8a\x01\xff\x81\x7e\x00\xc8${"y".repeat(200)}`);
  });

  test("a large payload is not copied, and leaves at once", () => {
    const outbox = new Outbox();
    const payload = Buffer.alloc(5000);
    outbox.text("first", 5);
    expect(outbox.full).toBe(false);
    outbox.frame(0x82, payload);
    expect(outbox.full).toBe(true);
    expect((outbox.take(false) as readonly unknown[])[1]).toBe(payload);
    expect([outbox.full, outbox.size]).toEqual([false, 0]);
  });
});
