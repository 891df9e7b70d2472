// A file as a response body: pieces of it, with text between them for multipart/byteranges.
//
// Streams through two pooled buffers. While the transport sends one, the other is being filled; while both are being
// sent nothing is read, so a slow client costs two buffers at most.
// A file that ends before its announced length, or cannot be read, fails the body: the message is broken off.

import { Buffer } from "node:buffer";
import { read, type Stats } from "node:fs";
import { FileError } from "../../errors.ts";
import type { ByteRange } from "../../http/range.ts";
import type { BodySource } from "../body/body-source.ts";
import type { SourceBody } from "../body/response-body.ts";
import { closeDescriptor, openAgain } from "./open-file.ts";

/** What a file body sends, in order: text as it is, and runs of the file. */
export type FileSegment = Buffer | ByteRange;

/** Bytes of all segments together. */
export function totalLength(segments: readonly FileSegment[]): number {
  let total = 0;
  for (const segment of segments) total += segment.length;
  return total;
}

/**
 * A body that streams these segments of a file.
 *
 * It holds no descriptor until it is opened, because a response may be dropped without being sent. So the file is opened
 * a second time, and has to be the same file that the head was made from.
 *
 * @param known state of the file when the head was made.
 */
export function fileBody(path: string, known: Stats, segments: readonly FileSegment[]): SourceBody {
  return {
    kind: "source",
    length: totalLength(segments),
    open: () => new FileSource(openAgain(path, known), path, segments),
  };
}

/** Reads segments into one buffer: for bodies small enough to leave with their head. Leaves the descriptor open. */
export async function readSegments(
  descriptor: number,
  path: string,
  segments: readonly FileSegment[],
): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(totalLength(segments));
  let at = 0;
  for (const segment of segments) {
    if (Buffer.isBuffer(segment)) segment.copy(whole, at);
    else await readFully(descriptor, path, whole.subarray(at, at + segment.length), segment.offset);
    at += segment.length;
  }
  return whole;
}

function readFully(descriptor: number, path: string, target: Buffer, position: number): Promise<void> {
  return new Promise((fulfil, reject) => {
    let filled = 0;
    const next = () => read(descriptor, target, filled, target.length - filled, position + filled, done);
    const done = (error: Error | null, count: number) => {
      if (error !== null) return reject(new FileError("unknown", path, error));
      if (count === 0) return reject(shrunk(path));
      filled += count;
      if (filled === target.length) fulfil();
      else next();
    };
    if (target.length === 0) fulfil();
    else next();
  });
}

function shrunk(path: string): FileError {
  return new FileError("unknown", path, new Error("the file is shorter than it was when the response began"));
}

/**
 * Bytes of one pooled buffer. A client that stalls holds two of them; each read costs a trip to the thread pool.
 * Measured on loopback: half the size takes a tenth to a third more CPU per byte, twice the size a tenth less.
 */
export const fileBufferSize: number = 128 * 1024;
const buffersPerBody = 2;
const maxPooled = 32; // 4 MiB kept for the next downloads; more are left to the garbage collector
const pool: Buffer[] = [];

function takeBuffer(): Buffer {
  return pool.pop() ?? Buffer.allocUnsafeSlow(fileBufferSize);
}

function giveBuffer(buffer: Buffer): void {
  if (pool.length < maxPooled) pool.push(buffer);
}

type Waiting = { fulfil(chunk: Uint8Array | null): void; reject(error: unknown): void };

/** Streams segments of an open file, which it then owns. */
export class FileSource implements BodySource {
  readonly #descriptor: number;
  readonly #path: string;
  readonly #segments: readonly FileSegment[];
  #segmentIndex = 0;
  /** Bytes done of the current run. */
  #done = 0;
  /** Buffers of this body, wherever they are. */
  #taken = 0;
  readonly #free: Buffer[] = [];
  readonly #lent: Buffer[] = [];
  /** Being filled by the thread pool, which must not be disturbed. */
  #filling: Buffer | undefined;
  #ready: { chunk: Uint8Array; buffer: Buffer } | undefined;
  #waiting: Waiting | undefined;
  #error: FileError | undefined;
  #closed = false;

  constructor(descriptor: number, path: string, segments: readonly FileSegment[]) {
    this.#descriptor = descriptor;
    this.#path = path;
    this.#segments = segments.filter((segment) => segment.length > 0);
  }

  read(): Uint8Array | null | Promise<Uint8Array | null> {
    const ready = this.#ready;
    if (ready !== undefined) {
      this.#ready = undefined;
      return this.#lend(ready.chunk, ready.buffer);
    }
    if (this.#error !== undefined) throw this.#error;
    if (this.#filling === undefined) {
      const segment = this.#segments[this.#segmentIndex];
      if (segment === undefined || this.#closed) return null;
      if (Buffer.isBuffer(segment)) return this.#takeText(segment);
    }
    this.#fill();
    return new Promise((fulfil, reject) => {
      this.#waiting = { fulfil, reject };
    });
  }

  release(chunk: Uint8Array): void {
    const index = this.#lent.findIndex((buffer) => buffer.buffer === chunk.buffer);
    if (index < 0) return;
    const [buffer] = this.#lent.splice(index, 1);
    if (this.#closed) {
      giveBuffer(buffer!);
      return;
    }
    this.#free.push(buffer!);
    this.#fill();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#ready !== undefined) giveBuffer(this.#ready.buffer);
    this.#ready = undefined;
    for (const buffer of this.#free) giveBuffer(buffer);
    this.#free.length = 0;
    // Neither the descriptor nor the buffer may serve others while the thread pool still uses them.
    if (this.#filling !== undefined) return;
    closeDescriptor(this.#descriptor);
    this.#settle((waiting) => waiting.fulfil(null));
  }

  #takeText(text: Buffer): Uint8Array {
    this.#segmentIndex++;
    this.#fill();
    return text;
  }

  #lend(chunk: Uint8Array, buffer: Buffer): Uint8Array {
    this.#lent.push(buffer);
    this.#fill();
    return chunk;
  }

  /** Starts reading ahead, if there is a buffer to read into and anything left of the current run. */
  #fill(): void {
    if (this.#filling !== undefined || this.#ready !== undefined) return;
    if (this.#closed || this.#error !== undefined) return;
    const run = this.#segments[this.#segmentIndex];
    if (run === undefined || Buffer.isBuffer(run)) return;
    const buffer = this.#freeBuffer();
    if (buffer === undefined) return;
    this.#filling = buffer;
    const length = Math.min(buffer.length, run.length - this.#done);
    const position = (run as ByteRange).offset + this.#done;
    read(this.#descriptor, buffer, 0, length, position, (error, count) => this.#filled(error, count, run));
  }

  #freeBuffer(): Buffer | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#taken === buffersPerBody) return free;
    this.#taken++;
    return takeBuffer();
  }

  #filled(error: Error | null, count: number, run: FileSegment): void {
    const buffer = this.#filling!;
    this.#filling = undefined;
    if (this.#closed) {
      giveBuffer(buffer);
      closeDescriptor(this.#descriptor);
      this.#settle((waiting) => waiting.fulfil(null));
      return;
    }
    if (error !== null || count === 0) {
      this.#free.push(buffer);
      this.#error = error === null ? shrunk(this.#path) : new FileError("unknown", this.#path, error);
      const failure = this.#error;
      this.#settle((waiting) => waiting.reject(failure));
      return;
    }
    this.#done += count;
    if (this.#done === run.length) {
      this.#segmentIndex++;
      this.#done = 0;
    }
    const chunk = buffer.subarray(0, count);
    if (this.#waiting === undefined) this.#ready = { chunk, buffer };
    else this.#settle((waiting) => waiting.fulfil(this.#lend(chunk, buffer)));
  }

  #settle(settle: (waiting: Waiting) => void): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) settle(waiting);
  }
}
