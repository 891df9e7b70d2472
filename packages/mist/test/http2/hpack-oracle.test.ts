// HPACK against nghttp2, which node:http2 is made of, in both directions and with the same tables from beginning to end:
// what our encoder writes is read by its decoder, what its encoder writes by ours.

import { Buffer } from "node:buffer";
import http2 from "node:http2";
import { Duplex } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameWriter } from "../../src/http2/frames/frame-writer.ts";
import { HpackDecoder } from "../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack/encoder.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  type FieldList,
  type Frame,
  FrameParser,
  PREFACE,
  SETTINGS_ACK,
  settings,
  TYPE,
} from "./frames.ts";

const HEADER_TABLE_SIZE = 1;
const MAX_FRAME_SIZE = 16_384;

/** A server that knows frames and HPACK, and nothing else of HTTP/2, at the other end of a client of node:http2. */
class HpackPeer {
  readonly client: http2.ClientHttp2Session;
  readonly encoder: HpackEncoder = new HpackEncoder();
  readonly decoder: HpackDecoder = new HpackDecoder();
  /** What to answer the requests with. */
  answers: FieldList[] = [];
  /** What the requests have said. */
  readonly requests: [string, string][][] = [];
  readonly #duplex: Duplex;
  readonly #parser = new FrameParser();
  #prefaceLeft = PREFACE.length;
  #block: Buffer[] = [];
  /** For each SETTINGS frame sent, the first one included: what its acknowledgement does. */
  readonly #acknowledged: (() => void)[] = [() => {}];

  constructor(options: http2.ClientSessionOptions = {}) {
    this.#duplex = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        this.#take(Buffer.from(chunk));
        done();
      },
    });
    this.#duplex.push(settings());
    this.client = http2.connect("http://host.example", { ...options, createConnection: () => this.#duplex });
  }

  /** Announces sizes of our decoder's table, one SETTINGS frame each. Resolves when the last is acknowledged. */
  announce(sizes: readonly number[]): Promise<void> {
    return new Promise((resolve) => {
      this.#acknowledged.push(...sizes.slice(1).map(() => () => {}), resolve);
      for (const size of sizes) this.#duplex.push(settings([HEADER_TABLE_SIZE, size]));
    });
  }

  /** Sends a request, answers it with `answer`, and gives what the client has read of it. */
  exchange(request: http2.OutgoingHttpHeaders, answer: FieldList): Promise<FieldList> {
    this.answers.push(answer);
    return new Promise((resolve, reject) => {
      const stream = this.client.request(request, { endStream: true });
      stream.on("error", reject);
      stream.on("response", (_headers, _flags, ...[raw]: readonly unknown[]) =>
        resolve(pairs(raw as string[])),
      );
      stream.resume();
    });
  }

  #take(bytes: Buffer): void {
    const skipped = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= skipped;
    this.#parser.add(bytes.subarray(skipped));
    for (const frame of this.#parser.take()) this.#frame(frame);
  }

  #frame({ type, flags, id, payload }: Frame): void {
    if (type === TYPE.SETTINGS && (flags & ACK) !== 0) {
      this.#acknowledged.shift()?.();
    } else if (type === TYPE.SETTINGS) {
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === HEADER_TABLE_SIZE) {
          this.encoder.setMaxTableSize(payload.readUInt32BE(at + 2));
        }
      }
      this.#duplex.push(SETTINGS_ACK);
    } else if (type === TYPE.HEADERS || type === TYPE.CONTINUATION) {
      const start = (flags & 0x20) !== 0 && type === TYPE.HEADERS ? 5 : 0;
      this.#block.push(payload.subarray(start));
      if ((flags & END_HEADERS) !== 0) this.#message(id);
    }
  }

  #message(id: number): void {
    const block = Buffer.concat(this.#block.splice(0));
    const fields: [string, string][] = [];
    this.decoder.decode(block, 0, block.length, { field: ({ name, value }) => fields.push([name, value]) });
    this.requests.push(fields);
    const frames = new FrameWriter();
    const start = frames.startBlock(id, END_STREAM);
    this.encoder.begin(frames.sink);
    for (const [name, value] of this.answers.shift() as FieldList)
      this.encoder.field(frames.sink, name, value);
    frames.finishBlock(start, MAX_FRAME_SIZE);
    this.#duplex.push(frames.sink.take());
  }

  close(): void {
    this.client.on("error", () => {});
    this.client.destroy();
    this.#duplex.destroy();
  }
}

function pairs(raw: readonly string[]): FieldList {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[i * 2] as string, raw[i * 2 + 1] as string]);
}

const visible = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~ \xe9\xff";
const value = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom("", "a", "no-cache", "gzip, deflate", "text/html", "0", "v".repeat(90)),
  },
  {
    weight: 4,
    arbitrary: fc.string({ unit: fc.constantFrom(...visible), maxLength: 60 }).map((text) => text.trim()),
  },
  // Larger than the table, than a frame, and with code longer than text.
  { weight: 1, arbitrary: fc.constantFrom("x".repeat(4080), "0".repeat(17_000), "\xff".repeat(3000)) },
);
const own = fc.nat({ max: 40 }).map((n) => `x-name-${n}`);
const requestName = fc.oneof(
  own,
  fc.constantFrom("accept", "user-agent", "cookie", "authorization", "cache-control", "accept-encoding"),
);
const responseName = fc.oneof(
  own,
  fc.constantFrom(
    "server",
    "content-type",
    "set-cookie",
    "etag",
    "cache-control",
    "vary",
    "www-authenticate",
  ),
);

const exchange = fc.record({
  type: fc.constant("exchange" as const),
  request: fc.uniqueArray(fc.tuple(requestName, value), { maxLength: 20, selector: ([name]) => name }),
  sensitive: fc.subarray(["x-name-1", "x-name-2", "accept", "authorization"]),
  status: fc.constantFrom("200", "204", "404", "299", "503"),
  response: fc.array(fc.tuple(responseName, value), { maxLength: 30 }),
});
const size = fc.oneof(fc.constantFrom(0, 1, 31, 32, 64, 100, 4096), fc.nat({ max: 4096 }));
const announce = fc.record({
  type: fc.constant("announce" as const),
  sizes: fc.array(size, { minLength: 1, maxLength: 3 }),
});
const allow = fc.record({
  type: fc.constant("allow" as const),
  sizes: fc.array(fc.oneof(size, fc.constantFrom(65_536, 0xffff_ffff)), { minLength: 1, maxLength: 3 }),
});
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: exchange },
    { weight: 1, arbitrary: announce },
    { weight: 1, arbitrary: allow },
  ),
  { minLength: 1, maxLength: 16 },
);

/** Node gives fields of one name together, in the order of their first. */
function sorted(fields: FieldList): FieldList {
  return [...fields].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

type Step = typeof steps extends fc.Arbitrary<readonly (infer Value)[]> ? Value : never;

async function run(peer: HpackPeer, step: Step): Promise<void> {
  if (step.type === "announce") await peer.announce(step.sizes);
  else if (step.type === "allow") {
    // Several at once: the encoder must say the smallest of them as well as the last (RFC 7541 §4.2).
    for (const headerTableSize of step.sizes) peer.client.settings({ headerTableSize });
  } else {
    const answer: FieldList = [[":status", step.status], ...step.response];
    const request = { ":path": "/", ...Object.fromEntries(step.request) };
    const seen = await peer.exchange(
      { ...request, [http2.sensitiveHeaders]: step.sensitive } as http2.OutgoingHttpHeaders,
      answer,
    );
    expect(seen).toEqual(answer);
    const expected = [
      [":authority", "host.example:80"],
      [":method", "GET"],
      [":path", "/"],
      [":scheme", "http"],
    ];
    expect(sorted(peer.requests.pop() as FieldList)).toEqual(
      sorted([...(expected as [string, string][]), ...step.request]),
    );
  }
}

describe("round trips with nghttp2", () => {
  test.each([
    ["any fields, any sizes of both tables, changed midway", {}],
    ["an encoder that uses no table", { maxDeflateDynamicTableSize: 0 }],
    ["a decoder whose table is small from the start", { settings: { headerTableSize: 64 } }],
  ])("%s", async (_, options) => {
    const property = fc.asyncProperty(steps, async (list) => {
      const peer = new HpackPeer({ maxHeaderListPairs: 1000, maxSessionMemory: 100, ...options } as object);
      try {
        for (const step of list) await run(peer, step);
        expect(peer.decoder.table.size).toBeLessThanOrEqual(4096);
        expect(peer.encoder.table.size).toBeLessThanOrEqual(4096);
      } finally {
        peer.close();
      }
    });
    await fc.assert(property, { numRuns: Number(process.env["H2_HPACK_RUNS"] ?? 150), seed: 7541 });
  });

  test("hundreds of fields in one block", async () => {
    const peer = new HpackPeer({ maxHeaderListPairs: 2000 });
    const many = Array.from({ length: 600 }, (_, n): [string, string] => [`x-${n}`, `value ${n % 7}`]);
    for (let round = 0; round < 4; round++) {
      const answer: FieldList = [[":status", "200"], ...many];
      expect(await peer.exchange({ ":path": "/", ...Object.fromEntries(many) }, answer)).toEqual(answer);
      expect((peer.requests.pop() as FieldList).slice(-600)).toEqual(many);
    }
    peer.close();
  });
});
