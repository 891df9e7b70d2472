// permessage-deflate against a peer that is not ours: node:zlib's raw streams, driven by hand as RFC 7692 §7.2 says.
// Every window, with and without context takeover on either side, however the bytes are cut.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib";
import { describe, expect, test } from "vitest";
import { getField } from "../../src/http/fields.ts";
import type { CompressionOptions } from "../../src/index.ts";
import { binary, more, ping, type ServerFrame, text } from "../websocket/client-frames.ts";
import { type OnStream, openOnStream } from "./memory-stream.ts";

const tail = Buffer.from([0, 0, 255, 255]);
const rsv1 = { rsv: 4 } as const;

/** Runs one message through a living stream, up to a flush. */
function through(stream: DeflateRaw | InflateRaw, input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const output: Buffer[] = [];
    const take = (chunk: Buffer): void => void output.push(chunk);
    stream.on("data", take).once("error", reject);
    stream.write(input);
    stream.flush(constants.Z_SYNC_FLUSH, () => {
      stream.off("data", take).off("error", reject);
      resolve(Buffer.concat(output));
    });
  });
}

/** What the 101 agreed upon. */
interface Agreed {
  readonly serverBits: number;
  readonly clientBits: number;
  readonly serverTakeover: boolean;
  readonly clientTakeover: boolean;
}

function agreedIn(opened: OnStream): Agreed {
  const field = getField(opened.response.headers, "sec-websocket-extensions") ?? "";
  const bits = (name: string): number =>
    Number(new RegExp(`${name}_max_window_bits=(\\d+)`).exec(field)?.[1] ?? 15);
  return {
    serverBits: bits("server"),
    clientBits: bits("client"),
    serverTakeover: !field.includes("server_no_context_takeover"),
    clientTakeover: !field.includes("client_no_context_takeover"),
  };
}

/** The client's side of the agreement. */
class ZlibPeer {
  readonly #agreed: Agreed;
  #deflate: DeflateRaw | undefined;
  #inflate: InflateRaw | undefined;

  constructor(agreed: Agreed) {
    this.#agreed = agreed;
  }

  async deflate(message: Buffer): Promise<Buffer> {
    if (!this.#agreed.clientTakeover) this.#deflate = undefined;
    // zlib has no window of 2^8 to deflate with, and takes 2^9, of which it uses less than half.
    this.#deflate ??= createDeflateRaw({ windowBits: Math.max(9, this.#agreed.clientBits) });
    return (await through(this.#deflate, message)).subarray(0, -tail.length);
  }

  inflate(payload: Buffer): Promise<Buffer> {
    if (!this.#agreed.serverTakeover) this.#inflate = undefined;
    this.#inflate ??= createInflateRaw({ windowBits: this.#agreed.serverBits });
    return through(this.#inflate, Buffer.concat([payload, tail]));
  }

  /** The message in a frame of the server's. */
  async read({ rsv, payload }: ServerFrame): Promise<Buffer> {
    return rsv === 4 ? this.inflate(payload) : payload;
  }
}

function connect(bits: number, serverTakeover: boolean, clientTakeover: boolean, synchronous: boolean) {
  const compression: CompressionOptions = {
    serverMaxWindowBits: bits,
    clientMaxWindowBits: bits,
    serverNoContextTakeover: !serverTakeover,
    clientNoContextTakeover: !clientTakeover,
    threshold: 0,
    synchronous,
  };
  const opened = openOnStream({ compression }, "permessage-deflate; client_max_window_bits");
  const agreed = agreedIn(opened);
  expect(agreed).toEqual({ serverBits: bits, clientBits: bits, serverTakeover, clientTakeover });
  return { ...opened, agreed, peer: new ZlibPeer(agreed) };
}

/** Waits until so many messages have come back. */
async function framesOf({ stream }: OnStream, count: number): Promise<ServerFrame[]> {
  const frames: ServerFrame[] = [];
  while (frames.length < count) {
    frames.push(...stream.frames());
    if (frames.length < count) await new Promise(setImmediate);
  }
  return frames;
}

// Texts that repeat themselves close by and far off, so that every window matters; noise between, so that none is all.
const noise = randomBytes(700).toString("base64");
const messages = [
  `Hello ${noise.slice(0, 150)} ${noise.slice(0, 150)}`,
  noise.slice(0, 300),
  "",
  `${noise.slice(100, 900)} κόσμε ${noise.slice(100, 500)}`,
  `Hello ${noise.slice(0, 150)}`,
].map((message) => Buffer.from(message));
/** Repetitions just inside and just outside of each window. */
const far = Buffer.concat(
  [8, 9, 10, 11, 12, 13, 14, 15].flatMap((bits) => {
    const marked = randomBytes(64);
    return [
      marked,
      randomBytes((1 << bits) - 330 > 0 ? (1 << bits) - 330 : 100),
      marked,
      randomBytes(1 << bits),
      marked,
    ];
  }),
);

const cases = [8, 9, 10, 11, 12, 13, 14, 15].flatMap((bits) =>
  [true, false].flatMap((serverTakeover) =>
    [true, false].flatMap((clientTakeover) =>
      [true, false].map((synchronous) => [bits, serverTakeover, clientTakeover, synchronous] as const),
    ),
  ),
);

describe.each(cases)("a window of 2^%i, takeover: server %s, client %s, steps: %s", (...agreement) => {
  test("messages go both ways, fragmented, between pings and plain messages, cut at every byte", async () => {
    const connected = connect(...agreement);
    const { peer, feed } = connected;
    const wire: Buffer[] = [];
    for (const [index, message] of messages.entries()) {
      const payload = await peer.deflate(message);
      const half = payload.length >> 1;
      if (index % 2 === 0) wire.push(text(payload, rsv1));
      else
        wire.push(
          text(payload.subarray(0, half), { ...rsv1, fin: false }),
          ping(`${index}`),
          more(payload.subarray(half)),
        );
      wire.push(text("plain"));
    }
    for (const octet of Buffer.concat(wire)) await feed(Buffer.from([octet]));
    const frames = await framesOf(connected, 2 * messages.length + 2);
    expect(frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => `${payload}`)).toEqual([
      "1",
      "3",
    ]);
    const answers: string[] = [];
    for (const frame of frames) if (frame.opcode === 1) answers.push(`${await peer.read(frame)}`);
    expect(answers).toEqual(messages.flatMap((message) => [`${message}`, "plain"]));
  });

  test("what repeats itself at every distance, in small messages and large", async () => {
    const connected = connect(...agreement);
    const { peer, feed } = connected;
    const sent = [far.subarray(0, 9000), far, far.subarray(0, 12_000), Buffer.concat([far, far])];
    for (const message of sent) await feed(binary(await peer.deflate(message), rsv1));
    const frames = await framesOf(connected, sent.length);
    for (const [index, frame] of frames.entries()) {
      expect(frame.rsv).toBe(4);
      expect((await peer.read(frame)).equals(sent[index]!)).toBe(true);
    }
  });
});

describe("what was agreed is what is done", () => {
  /** Sends a message, and one that repeats its beginning, from a client with a window of 2^15. */
  async function lookBack({ feed, stream }: OnStream, distance: number): Promise<ServerFrame[]> {
    const wide = createDeflateRaw({ windowBits: 15 });
    const marked = randomBytes(64);
    for (const message of [Buffer.concat([marked, randomBytes(distance - 64)]), marked])
      await feed(binary((await through(wide, message)).subarray(0, -4), rsv1));
    return stream.frames();
  }

  test.each([8, 9, 10, 11, 12, 13, 14])(
    "a client that was told 2^%i and looks back further is refused with 1007",
    async (bits) => {
      const frames = await lookBack(connect(bits, true, true, true), (1 << bits) + 64);
      expect([frames[1]?.opcode, frames[1]?.payload.readUInt16BE(0)]).toEqual([8, 1007]);
      const within = await lookBack(connect(bits, true, true, true), (1 << bits) - 64);
      expect(within.map(({ opcode }) => opcode)).toEqual([2, 2]);
    },
  );

  test("a client that does not say it can limit its window is not asked to, and goes uncompressed", () => {
    const opened = openOnStream({ compression: { clientMaxWindowBits: 10 } }, "permessage-deflate");
    expect(getField(opened.response.headers, "sec-websocket-extensions")).toBeUndefined();
  });

  test("the client's own limit holds, where it is lower than ours", async () => {
    const compression = { clientMaxWindowBits: 14, clientNoContextTakeover: false };
    const opened = openOnStream({ compression }, "permessage-deflate; client_max_window_bits=11");
    expect(agreedIn(opened)).toMatchObject({ clientBits: 11, clientTakeover: true });
    const frames = await lookBack(opened, 4000);
    expect([frames[1]?.opcode, frames[1]?.payload.readUInt16BE(0)]).toEqual([8, 1007]);
  });

  test("with takeover the second message is shorter on the wire, without it is not", async () => {
    for (const takeover of [true, false]) {
      const connected = connect(15, takeover, takeover, true);
      const { peer, feed } = connected;
      const message = Buffer.from(randomBytes(400).toString("base64"));
      const sent = [await peer.deflate(message), await peer.deflate(message)];
      for (const payload of sent) await feed(text(payload, rsv1));
      const [first, second] = await framesOf(connected, 2);
      expect(sent[1]!.length < sent[0]!.length / 4).toBe(takeover);
      expect(second!.payload.length < first!.payload.length / 4).toBe(takeover);
    }
  });
});
