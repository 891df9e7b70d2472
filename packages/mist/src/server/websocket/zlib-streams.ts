// zlib streams for permessage-deflate: raw, living from message to message, shared where no window is kept.

import { Buffer } from "node:buffer";
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib";
import { ignore } from "@x/glisten/kit";
import { stepOf, type ZlibStep } from "../../performance/zlib-step.ts";

/** What a deflater is made for. */
export interface DeflaterSettings {
  readonly serverMaxWindowBits: number;
  /** zlib's level, 0 to 9. */
  readonly level: number;
  /** zlib's memLevel, 1 to 9. */
  readonly memLevel: number;
  /** False: only zlib's public interface. */
  readonly synchronous: boolean;
}

export type ZlibStream = DeflateRaw | InflateRaw;

/** A zlib stream and, where the platform has one, its synchronous step. */
export interface Context<Stream extends ZlibStream> {
  readonly kind: string;
  readonly stream: Stream;
  readonly step: ZlibStep | undefined;
  close(): void;
}

/** Idle streams by their settings, ready for whoever needs no window of the past. */
export type Pool<Stream extends ZlibStream> = Map<string, Context<Stream>[]>;

export const deflaters: Pool<DeflateRaw> = new Map();
export const inflaters: Pool<InflateRaw> = new Map();
/** More than a few are only idle after a burst of large messages. */
const maxIdle = 4;

/** An idle stream of this kind, or a new one. */
export function borrow<Stream extends ZlibStream>(
  pool: Pool<Stream>,
  kind: string,
  create: () => Context<Stream>,
): Context<Stream> {
  const idle = pool.get(kind)?.pop();
  return idle ?? { ...create(), kind };
}

/** Has the stream forget everything and be idle. */
export function giveBack<Stream extends ZlibStream>(pool: Pool<Stream>, context: Context<Stream>): void {
  let idle = pool.get(context.kind);
  if (idle === undefined) {
    idle = [];
    pool.set(context.kind, idle);
  }
  if (idle.length >= maxIdle) {
    context.close();
    return;
  }
  context.stream.reset();
  idle.push(context);
}

/** An inflater that all connections share: it accepts any window. */
export function newSharedInflater(synchronous: boolean): Context<InflateRaw> {
  // In pieces of zlib's default, 16 KiB, a message of 16 MB costs three times the CPU.
  return newContext(createInflateRaw({ windowBits: 15, chunkSize: 65_536 }), synchronous);
}

export function newInflater(windowBits: number, synchronous: boolean): Context<InflateRaw> {
  return newContext(createInflateRaw({ windowBits }), synchronous);
}

export function newDeflater(settings: DeflaterSettings): Context<DeflateRaw> {
  const { level, memLevel, synchronous } = settings;
  return newContext(createDeflateRaw({ windowBits: windowBits(settings), level, memLevel }), synchronous);
}

/** The window to deflate with. */
export function windowBits(settings: DeflaterSettings): number {
  // zlib deflates with no window of 2^8, but in its window of 2^9 it never looks back further than 250 octets.
  return Math.max(9, settings.serverMaxWindowBits);
}

function newContext<Stream extends ZlibStream>(stream: Stream, synchronous: boolean): Context<Stream> {
  // An error is also told to the callback of the write it came from.
  stream.on("error", ignore);
  return { kind: "", stream, step: synchronous ? stepOf(stream) : undefined, close: () => stream.close() };
}

/** Counts output; thrown when there is too much. */
export class OutputLimit {
  readonly max: number;
  #taken = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** False: too much. */
  take(count: number): boolean {
    this.#taken += count;
    return this.#taken <= this.max;
  }
}

/** Puts these inputs through the stream and gives what it puts out up to a flush, behind `output`. */
export function runStream(
  stream: ZlibStream,
  input: readonly Uint8Array[],
  budget: OutputLimit,
  output: Buffer[],
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      stream.off("data", onData).off("end", onEnd).off("error", onError).off("close", onClose);
    };
    const onData = (chunk: Buffer): void => {
      output.push(chunk);
      if (budget.take(chunk.length)) return;
      settle();
      reject(budget);
    };
    const onEnd = (): void => {
      settle();
      resolve(Buffer.concat(output));
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onClose = (): void => onError(new Error("the zlib stream was closed"));
    stream.on("data", onData).on("end", onEnd).on("error", onError).on("close", onClose);
    for (const part of input) stream.write(part);
    stream.flush(constants.Z_SYNC_FLUSH, onEnd);
  });
}
