import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type DeflateSettings,
  PermessageDeflate,
  zlibTurns,
} from "../../src/server/websocket/permessage-deflate.ts";

const tail = Buffer.from([0, 0, 255, 255]);

const settings = (changes: Partial<DeflateSettings> = {}): DeflateSettings => ({
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
  level: 6,
  memLevel: 8,
  maxMessageBytes: 1 << 24,
  maxInflateRatio: 200,
  synchronous: true,
  ...changes,
});

/** What a client would send, or understand, without any window of the past. */
const clientDeflate = (data: Uint8Array): Buffer =>
  deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const clientInflate = (data: Uint8Array, windowBits = 15): Buffer =>
  inflateRawSync(Buffer.concat([data, tail]), { finishFlush: constants.Z_SYNC_FLUSH, windowBits });

const own = async (bytes: Buffer | Promise<Buffer>): Promise<Buffer> => Buffer.from(await bytes);

const repetitive = (size: number): Buffer =>
  Buffer.from('{"name":"value","n":1234567890},'.repeat(size / 32 + 1)).subarray(0, size);

const sizes = [1, 2, 100, 1000, 16_384, 16_385, 70_000, 1_000_000];

describe.each([
  ["on the spot", true],
  ["by the public interface", false],
])("%s", (_name, synchronous) => {
  test.each(sizes)("a message of %i octets goes both ways", async (size) => {
    const deflate = new PermessageDeflate(settings({ synchronous }));
    for (const data of [repetitive(size), randomBytes(size)]) {
      expect((await own(deflate.inflate(clientDeflate(data)))).equals(data)).toBe(true);
      expect(clientInflate(await own(deflate.deflate(data, size))).equals(data)).toBe(true);
    }
    deflate.close();
  });

  test("text is sent as UTF-8", async () => {
    const deflate = new PermessageDeflate(settings({ synchronous }));
    const text = "Grüße an κόσμε 🌍 ".repeat(20);
    const deflated = await own(deflate.deflate(text, Buffer.byteLength(text)));
    expect(clientInflate(deflated).toString("utf8")).toBe(text);
  });

  // RFC 7692 §7.2.3
  test.each([
    ["one block", "f248cdc9c90700"],
    ["a block without compression", "000500faff48656c6c6f00"],
    ["BFINAL set", "f348cdc9c9070000"],
    ["two blocks", "f248050000 00ffff cac9c907 00".replaceAll(" ", "")],
  ])("the example of RFC 7692 §7.2.3: %s", async (_example, hex) => {
    const deflate = new PermessageDeflate(settings({ synchronous }));
    expect((await own(deflate.inflate(Buffer.from(hex, "hex")))).toString()).toBe("Hello");
    expect((await own(deflate.inflate(clientDeflate(Buffer.from("next"))))).toString()).toBe("next");
  });

  test("the example of RFC 7692 §7.2.3.2: the second message leans on the first", async () => {
    const deflate = new PermessageDeflate(settings({ synchronous, clientNoContextTakeover: false }));
    expect((await own(deflate.inflate(Buffer.from("f248cdc9c90700", "hex")))).toString()).toBe("Hello");
    expect((await own(deflate.inflate(Buffer.from("f200110000", "hex")))).toString()).toBe("Hello");
    deflate.close();
  });

  test("an empty message", async () => {
    const deflate = new PermessageDeflate(settings({ synchronous }));
    expect((await own(deflate.inflate(Buffer.from([0])))).length).toBe(0);
  });

  test("with context takeover later messages are smaller, and a client with a window reads them", async () => {
    const takeover = { serverNoContextTakeover: false, clientNoContextTakeover: false, synchronous };
    const server = new PermessageDeflate(settings(takeover));
    const client = new PermessageDeflate(settings(takeover));
    const lengths: number[] = [];
    for (let i = 0; i < 5; i++) {
      const data = Buffer.from(`${i} ${repetitive(i === 3 ? 40_000 : 500)}`);
      const deflated = await own(server.deflate(data, data.length));
      lengths.push(deflated.length);
      expect((await own(client.inflate(deflated))).equals(data)).toBe(true);
    }
    expect(lengths[1]).toBeLessThan(lengths[0]!);
    server.close();
    client.close();
  });

  test.each([8, 9, 10, 15])("a client with a window of 2^%i reads what is sent to it", async (bits) => {
    for (const serverNoContextTakeover of [true, false]) {
      const deflate = new PermessageDeflate(
        settings({ serverMaxWindowBits: bits, serverNoContextTakeover, synchronous }),
      );
      const data = Buffer.concat([randomBytes(230), repetitive(3000), randomBytes(230), repetitive(3000)]);
      expect(clientInflate(await own(deflate.deflate(data, data.length)), bits).equals(data)).toBe(true);
      deflate.close();
    }
  });

  test.each(["ffff", "07", "f248cdc9ffffffffff"])(
    "what is no deflate stream is refused with 1007: %s",
    async (hex) => {
      const deflate = new PermessageDeflate(settings({ synchronous }));
      const inflate = async (): Promise<Buffer> => deflate.inflate(Buffer.from(hex, "hex"));
      await expect(inflate()).rejects.toMatchObject({ name: "ProtocolError", closeCode: 1007 });
      // Nothing of it is left for the next, here or on other connections.
      expect(
        (
          await own(
            new PermessageDeflate(settings({ synchronous })).inflate(clientDeflate(Buffer.from("ok"))),
          )
        ).toString(),
      ).toBe("ok");
    },
  );

  test("a gigabyte that inflates from a kilobyte, over and over, is cut off at the limit", async () => {
    const bomb = clientDeflate(clientDeflate(Buffer.alloc(30_000_000)));
    const once = inflateRawSync(Buffer.concat([bomb, tail]), { finishFlush: constants.Z_SYNC_FLUSH });
    const deflate = new PermessageDeflate(settings({ synchronous, maxMessageBytes: 1 << 26 }));
    const inflate = async (): Promise<Buffer> => deflate.inflate(once);
    await expect(inflate()).rejects.toMatchObject({ name: "LimitError", closeCode: 1009 });
  });

  test("a message above the limit is refused with 1009, one of the limit is not", async () => {
    const deflate = new PermessageDeflate(settings({ synchronous, maxMessageBytes: 5000 }));
    expect((await own(deflate.inflate(clientDeflate(Buffer.alloc(5000))))).length).toBe(5000);
    const inflate = async (): Promise<Buffer> => deflate.inflate(clientDeflate(Buffer.alloc(5001)));
    await expect(inflate()).rejects.toMatchObject({ name: "LimitError", closeCode: 1009 });
  });

  test("closing while a large message is at work neither hangs nor leaks into the pool", async () => {
    for (const noContext of [true, false]) {
      const deflate = new PermessageDeflate(
        settings({ synchronous, serverNoContextTakeover: noContext, clientNoContextTakeover: noContext }),
      );
      const data = randomBytes(500_000);
      const work = Promise.allSettled([
        deflate.deflate(data, data.length),
        deflate.inflate(clientDeflate(data)),
      ]);
      deflate.close();
      await work;
      const next = new PermessageDeflate(settings({ synchronous }));
      expect((await own(next.inflate(clientDeflate(Buffer.from("after"))))).toString()).toBe("after");
    }
  });
});

test("both ways of working agree, whatever the messages", async () => {
  const bits = fc.integer({ min: 8, max: 15 });
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ maxLength: 300 }).map((s) => Buffer.from(s.repeat(9))),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 6 }),
      bits,
      fc.boolean(),
      async (messages, windowBits, takeover) => {
        const agreed = {
          serverNoContextTakeover: takeover,
          clientNoContextTakeover: takeover,
          serverMaxWindowBits: windowBits,
          clientMaxWindowBits: Math.max(9, windowBits),
        };
        const one = new PermessageDeflate(settings({ ...agreed, synchronous: true }));
        const other = new PermessageDeflate(settings({ ...agreed, synchronous: false }));
        for (const data of messages.filter((candidate) => candidate.length > 0)) {
          const deflated = await own(one.deflate(data, data.length));
          expect((await own(other.deflate(data, data.length))).equals(deflated)).toBe(true);
          expect((await own(one.inflate(deflated))).equals(data)).toBe(true);
          expect((await own(other.inflate(deflated))).equals(data)).toBe(true);
        }
        one.close();
        other.close();
      },
    ),
    { numRuns: 40 },
  );
});

describe("many connections that inflate at once", () => {
  const size = 12_000_000;
  const bomb = clientDeflate(Buffer.concat([randomBytes(100_000), Buffer.alloc(size - 100_000)]));

  test.each([
    ["on the spot where it fits", true],
    ["by the public interface", false],
  ])("have no more than the budget in the making, and all get theirs, %s", async (_name, synchronous) => {
    const inflating = Array.from({ length: 40 }, () =>
      own(new PermessageDeflate(settings({ synchronous })).inflate(bomb)),
    );
    const seen: { bytes: number; atOnce: number }[] = [];
    await Promise.all(
      inflating.map(async (inflated) => {
        seen.push(zlibTurns.underWay);
        expect((await inflated).length).toBe(size);
        seen.push(zlibTurns.underWay);
      }),
    );
    // 16 MiB is what each message may become.
    expect(Math.max(...seen.map(({ bytes }) => bytes))).toBe(64 << 20);
    expect(Math.max(...seen.map(({ atOnce }) => atOnce))).toBe(4);
    expect(zlibTurns.underWay).toEqual({ bytes: 0, atOnce: 0 });
  });

  test("small messages wait for nobody", async () => {
    const large = Array.from({ length: 10 }, () => own(new PermessageDeflate(settings()).inflate(bomb)));
    const small = new PermessageDeflate(settings()).inflate(clientDeflate(Buffer.from("small")));
    expect(small.toString()).toBe("small");
    await Promise.all(large);
  });

  test("a connection that is gone leaves the line, and what it had sent goes with it", async () => {
    const deflates = Array.from({ length: 20 }, () => new PermessageDeflate(settings()));
    const inflating = deflates.map((deflate) => own(deflate.inflate(bomb)));
    expect(zlibTurns.waiting).toBe(16);
    for (const deflate of deflates) deflate.close();
    expect(zlibTurns.waiting).toBe(0);
    const ends = await Promise.allSettled(inflating);
    expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(16);
    expect(zlibTurns.underWay).toEqual({ bytes: 0, atOnce: 0 });
  });

  test("what zlib's threads deflate waits in the same line", async () => {
    const data = Buffer.alloc(30 << 20);
    const deflating = Array.from({ length: 5 }, () =>
      own(new PermessageDeflate(settings()).deflate(data, data.length)),
    );
    expect([zlibTurns.underWay.atOnce, zlibTurns.waiting]).toEqual([2, 3]);
    for (const deflated of deflating) expect(clientInflate(await deflated).equals(data)).toBe(true);
  });
});
