// The writer from the application's side: whatever is called in whatever order, what leaves is HTTP/2. A reader that
// shares no code with the sender keeps the peer's books: windows, frame sizes, header blocks, the states of streams.

import { Buffer } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Http2Connection } from "../../src/http2/connection.ts";
import type { Stream } from "../../src/http2/streams/stream.ts";
import {
  ACK,
  data,
  END_HEADERS,
  END_STREAM,
  type Frame,
  FrameParser,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  POST,
  reset,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "./frames.ts";

const TABLE = 1;
const WINDOW = 4;
const FRAME = 5;

/** What the peer knows of a stream. */
interface Seen {
  window: number;
  state: "due" | "body" | "over";
  received: Buffer[];
  ended: boolean;
  blocks: number;
}

/** A header block whose end has not come. */
interface OpenBlock {
  readonly id: number;
  readonly ends: boolean;
  readonly parts: Buffer[];
}

/** The peer's books. Every broken rule throws. */
class PeerReader {
  readonly streams = new Map<number, Seen>();
  readonly #parser = new FrameParser();
  readonly #pending: (readonly (readonly [id: number, value: number])[])[] = [[]];
  window = 65_535;
  #initialWindow = 65_535;
  #maxFrame = 16_384;
  #maxTable = 4096;
  #table = 4096;
  #open: OpenBlock | undefined = undefined;
  /** The smallest table that was allowed since the block before. */
  #smallestTable = Number.POSITIVE_INFINITY;

  opened(id: number): void {
    this.streams.set(id, {
      window: this.#initialWindow,
      state: "due",
      received: [],
      ended: false,
      blocks: 0,
    });
  }

  /** Settings hold for what stands behind their acknowledgement. */
  announced(list: readonly (readonly [id: number, value: number])[]): void {
    this.#pending.push(list);
  }

  take(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#parser.add(piece);
    for (const one of this.#parser.take()) this.#frame(one);
  }

  #frame({ type, flags, id, payload }: Frame): void {
    must(payload.length <= this.#maxFrame || type === TYPE.GOAWAY, "a frame is no larger than was allowed");
    if (this.#open !== undefined) {
      must(type === TYPE.CONTINUATION && id === this.#open.id, "a header block is not interrupted");
    }
    if (type === TYPE.SETTINGS && (flags & ACK) !== 0) this.#acknowledged();
    else if (type === TYPE.DATA) this.#data(flags, id, payload);
    else if (type === TYPE.HEADERS || type === TYPE.CONTINUATION) this.#fragment(type, flags, id, payload);
    else if (type === TYPE.RST_STREAM) {
      const stream = this.#stream(id);
      must(stream.state !== "over" || stream.ended, "a stream is reset once");
      stream.state = "over";
    } else {
      const others: readonly number[] = [TYPE.SETTINGS, TYPE.PING, TYPE.WINDOW_UPDATE];
      must(others.includes(type), `a frame of type ${type}`);
    }
  }

  #stream(id: number): Seen {
    const stream = this.streams.get(id);
    must(stream !== undefined, `stream ${id} was asked for`);
    return stream as Seen;
  }

  #acknowledged(): void {
    for (const [id, value] of this.#pending.shift() ?? []) {
      if (id === TABLE) {
        this.#maxTable = Math.min(4096, value);
        this.#smallestTable = Math.min(this.#smallestTable, this.#maxTable);
      } else if (id === FRAME) this.#maxFrame = value;
      else {
        for (const stream of this.streams.values()) stream.window += value - this.#initialWindow;
        this.#initialWindow = value;
      }
    }
  }

  #data(flags: number, id: number, payload: Buffer): void {
    const stream = this.#stream(id);
    must(stream.state === "body", "DATA stands between the head and the end");
    stream.window -= payload.length;
    this.window -= payload.length;
    must(payload.length === 0 || stream.window >= 0, `the window of stream ${id} holds ${stream.window}`);
    must(payload.length === 0 || this.window >= 0, `the connection's window holds ${this.window}`);
    must(payload.length > 0 || (flags & END_STREAM) !== 0, "empty DATA ends its stream");
    stream.received.push(payload);
    if ((flags & END_STREAM) !== 0) this.#end(stream);
  }

  #end(stream: Seen): void {
    must(!stream.ended, "END_STREAM is said once");
    stream.ended = true;
    stream.state = "over";
  }

  #fragment(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === TYPE.HEADERS) this.#open = { id, ends: (flags & END_STREAM) !== 0, parts: [] };
    must(this.#open !== undefined, "CONTINUATION continues a block");
    const open = this.#open as OpenBlock;
    open.parts.push(payload);
    if ((flags & END_HEADERS) === 0) return;
    this.#open = undefined;
    this.#block(this.#stream(id), Buffer.concat(open.parts), open.ends);
  }

  #block(stream: Seen, block: Buffer, ends: boolean): void {
    must(stream.state !== "over", "no header block follows the end");
    this.#tableSize(block);
    const fields = this.#parser.fields(block);
    const status = fields.find(([name]) => name === ":status")?.[1];
    if (stream.state === "due") {
      must(fields[0]?.[0] === ":status", "a head starts with :status");
      if (Number(status) >= 200) stream.state = "body";
      else must(!ends, "an interim head does not end the stream");
    } else must(status === undefined && ends, "trailers end the stream");
    stream.blocks++;
    if (ends) this.#end(stream);
  }

  /** The smallest size since the block before is said at the start of this one, unless the table was as small (RFC 7541 §4.2). */
  #tableSize(block: Buffer): void {
    let at = 0;
    let smallest = this.#table;
    for (let size = sizeUpdate(block, at); size !== undefined; size = sizeUpdate(block, at)) {
      must(size.value <= this.#maxTable, "the table is no larger than was allowed");
      smallest = Math.min(smallest, size.value);
      this.#table = size.value;
      at = size.end;
    }
    must(smallest <= this.#smallestTable, "the smallest size is said");
    must(this.#table <= this.#maxTable, "the table is as small as was asked");
    this.#smallestTable = Number.POSITIVE_INFINITY;
  }
}

function sizeUpdate(block: Buffer, at: number): { value: number; end: number } | undefined {
  const first = block[at];
  if (first === undefined || (first & 0xe0) !== 0x20) return undefined;
  if ((first & 0x1f) < 0x1f) return { value: first & 0x1f, end: at + 1 };
  let [value, end, scale] = [0x1f, at + 1, 1];
  for (let octet = 0x80; octet >= 0x80; end++, scale *= 128) {
    octet = block[end] as number;
    value += (octet & 0x7f) * scale;
  }
  return { value, end };
}

function must(holds: boolean, rule: string): void {
  if (!holds) throw new Error(`broken: ${rule}`);
}

/** A core, its application and its peer. */
class World {
  readonly core = new Http2Connection(0);
  readonly reader = new PeerReader();
  readonly streams: Stream[] = [];
  /** What was given to each stream to be sent. */
  readonly given = new Map<number, Buffer[]>();
  readonly ended = new Set<number>();
  lent = 0;
  #nextId = 1;
  #fill = 0;

  constructor() {
    this.feed(HELLO);
  }

  feed(bytes: Buffer): void {
    this.core.receive(Buffer.from(bytes), 0);
    for (let event = this.core.next(); event.type !== "need-data"; event = this.core.next()) {
      if (event.type === "request") {
        this.streams.push(event.stream);
        this.given.set(event.stream.id, []);
      }
      if (event.type === "failed" || event.type === "closed") throw new Error("the connection has failed");
    }
  }

  open(method: number): void {
    const id = this.#nextId;
    this.#nextId += 2;
    this.reader.opened(id);
    const head = [[":method", "HEAD"], ...GET.slice(1)] as const;
    const fields = method === 0 ? GET : method === 1 ? POST : head;
    this.feed(headers(id, fields as typeof GET, method === 1 ? END_HEADERS : END_STREAM | END_HEADERS));
  }

  /** One of the latest streams, and the peer's view of it. */
  at(index: number): { stream: Stream; seen: Seen } {
    const stream = this.streams.at(-1 - index);
    if (stream === undefined) throw new UsageError("there is no such stream");
    return { stream, seen: this.reader.streams.get(stream.id) as Seen };
  }

  data(stream: Stream, size: number, isLent: boolean): void {
    const bytes = Buffer.alloc(size, ++this.#fill & 0xff);
    let onSent: (() => void) | undefined;
    if (isLent) {
      this.lent++;
      onSent = () => this.lent--;
    }
    try {
      this.core.sendData(stream, bytes, onSent);
    } catch (error) {
      if (isLent) this.lent--;
      throw error;
    }
    if (stream.bodyMode !== "none" && !stream.isReset) this.given.get(stream.id)?.push(bytes);
  }

  output(most: number): void {
    for (;;) {
      const { pieces, onSent } = this.core.output(most, 0);
      this.reader.take(pieces);
      for (const sent of onSent) sent();
      for (let event = this.core.next(); event.type === "room"; event = this.core.next());
      if (pieces.length === 0 && onSent.length === 0) return;
    }
  }

  /** What came of a stream is a part of what was given, from its start, and all of it if it was ended. */
  compare(): void {
    for (const { id } of this.streams) {
      const seen = this.reader.streams.get(id) as Seen;
      const [received, given] = [Buffer.concat(seen.received), Buffer.concat(this.given.get(id) ?? [])];
      must(given.subarray(0, received.length).equals(received), `stream ${id} has what was sent on it`);
      if (seen.ended) must(received.length === given.length, `stream ${id} ended behind its last byte`);
    }
  }
}

/** One of the latest streams, mostly the last. */
const which = fc.oneof(fc.constant(0), fc.nat({ max: 2 }), fc.nat({ max: 7 }));
const sizes = fc.oneof(
  fc.constantFrom(0, 1, 1024, 1025, 4096, 4097, 16_384, 70_000),
  fc.nat({ max: 300 }),
  fc.nat({ max: 200_000 }),
);
const windows = fc.oneof(fc.constantFrom(0, 1, 100, 65_535, 1_000_000), fc.nat({ max: 100_000 }));
const fields = fc.array(
  fc.tuple(
    fc.constantFrom("x-a", "x-b", "server", "set-cookie", "cache-control"),
    fc.constantFrom("", "1", "no-cache", "v".repeat(200), "w".repeat(17_000)),
  ),
  { maxLength: 4 },
);
const setting = fc.oneof(
  windows.map((value) => [WINDOW, value] as const),
  fc.constantFrom([FRAME, 16_384] as const, [FRAME, 16_385] as const, [FRAME, 100_000] as const),
  fc.constantFrom(0, 31, 100, 4096, 65_536).map((value) => [TABLE, value] as const),
);

type Step = (world: World) => void;

/** Something that can happen, with its name and arguments for a counterexample to be read. */
function step<Args extends readonly unknown[]>(
  weight: number,
  name: string,
  args: fc.Arbitrary<Args>,
  act: (world: World, ...args: Args) => void,
): { weight: number; arbitrary: fc.Arbitrary<Step> } {
  const arbitrary = args.map((list) => {
    const toString = () => `${name}(${JSON.stringify(list)})`;
    return Object.assign((world: World) => act(world, ...list), { [fc.toStringMethod]: toString });
  });
  return { weight, arbitrary };
}

const steps = fc.oneof(
  step(4, "open", fc.tuple(fc.nat({ max: 2 })), (world, method) => world.open(method)),
  step(
    5,
    "head",
    fc.tuple(which, fc.constantFrom(200, 204, 304, 404), fields, fc.option(sizes, { nil: undefined })),
    (world, index, status, list, length) =>
      world.core.sendHead(world.at(index).stream, { status, fields: list, length }, ""),
  ),
  step(3, "open with a head", fc.tuple(), (world) => {
    world.open(0);
    world.core.sendHead(world.at(0).stream, { status: 200, fields: [], length: undefined }, "");
  }),
  step(1, "inform", fc.tuple(which, fields), (world, index, list) =>
    world.core.sendInformational(world.at(index).stream, 103, list),
  ),
  step(8, "data", fc.tuple(which, sizes, fc.boolean()), (world, index, size, isLent) =>
    world.data(world.at(index).stream, size, isLent),
  ),
  step(4, "end", fc.tuple(which, fc.boolean()), (world, index, trailers) =>
    world.core.sendEnd(world.at(index).stream, trailers ? [["x-sum", "1"]] : []),
  ),
  step(1, "reset", fc.tuple(which, fc.nat({ max: 13 })), (world, index, code) =>
    world.core.reset(world.at(index).stream, code),
  ),
  step(1, "stopReading", fc.tuple(which), (world, index) => world.core.stopReading(world.at(index).stream)),
  step(1, "peer resets", fc.tuple(which), (world, index) => {
    const { stream, seen } = world.at(index);
    // What was written before is still taken.
    world.output(1 << 24);
    world.feed(reset(stream.id));
    seen.state = "over";
  }),
  step(1, "peer ends", fc.tuple(which), (world, index) => {
    const { stream } = world.at(index);
    if (!stream.requestComplete) world.feed(data(stream.id, "x", END_STREAM));
  }),
  step(2, "connection's window", fc.tuple(fc.integer({ min: 1, max: 200_000 })), (world, increment) => {
    world.reader.window += increment;
    world.feed(windowUpdate(0, increment));
  }),
  step(3, "window", fc.tuple(which, fc.integer({ min: 1, max: 200_000 })), (world, index, increment) => {
    const { stream, seen } = world.at(index);
    seen.window += increment;
    world.feed(windowUpdate(stream.id, increment));
  }),
  step(2, "settings", fc.tuple(fc.array(setting, { maxLength: 3 })), (world, list) => {
    world.reader.announced(list);
    world.feed(settings(...list));
  }),
  step(1, "ping", fc.tuple(), (world) => world.feed(PING)),
  step(1, "priority", fc.tuple(which, fc.nat({ max: 7 })), (world, index, urgency) => {
    const priority = Buffer.from(`u=${urgency}${index % 2 === 0 ? ", i" : ""}`);
    world.feed(
      frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(world.at(index).stream.id), priority])),
    );
  }),
  step(5, "output", fc.tuple(sizes), (world, most) => world.output(most)),
);

/** The peer opens its windows, the application ends what it has begun. */
function finish(world: World): void {
  world.feed(windowUpdate(0, 0x3fff_ffff));
  world.reader.window += 0x3fff_ffff;
  for (const stream of world.streams) {
    if (!stream.isReset && !stream.responseComplete) {
      world.feed(windowUpdate(stream.id, 0x3fff_ffff));
      (world.reader.streams.get(stream.id) as Seen).window += 0x3fff_ffff;
    }
    if (stream.bodyMode === "length" && stream.bodyLeft > 0) world.core.reset(stream, 2);
    else attempt(() => world.core.sendEnd(stream));
  }
  world.output(1 << 20);
}

/** The application may be told that it is wrong, by a `UsageError` and no other. */
function attempt(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}

const RUNS = Number(process.env["H2_WRITES"] ?? 3000);

test(`what is sent in any order, ${RUNS} times, keeps every rule of the peer's`, {
  timeout: Math.max(60_000, RUNS * 20),
}, () => {
  const property = fc.property(fc.array(steps, { maxLength: 40, size: "max" }), (list) => {
    const world = new World();
    for (const act of list) attempt(() => act(world));
    world.output(100_000);
    world.compare();
    finish(world);
    world.compare();
    expect(world.lent).toBe(0);
    expect(world.core.queuedBytes).toBe(0);
    for (const stream of world.streams) {
      const { state } = world.reader.streams.get(stream.id) as Seen;
      const over = stream.isReset || stream.responseComplete;
      must(over === (state === "over"), `stream ${stream.id} is over on both sides or on none`);
    }
  });
  fc.assert(property, { numRuns: RUNS, seed: Number(process.env["H2_SEED"] ?? 9113) });
});
