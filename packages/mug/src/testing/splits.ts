// The ways one message can be cut into packets. A parser must not care which of them the network chose.

import {
  type Checks,
  checkInteger,
  checkOptions,
  isBytes,
  isFunction,
  isInteger,
  isOneOf,
  refuse,
} from "../checks.ts";
import { UsageError } from "../errors.ts";
import { handled } from "../unhandled.ts";

/** A message, or a part of one; strings are UTF-8. */
export type Bytes = string | Uint8Array;

/** One way to cut a message. */
export interface Split {
  /** For example `"whole"`, `"byte by byte"`, `"cut at 17"`. */
  readonly name: string;
  /** The packets, in order; together they are the message. */
  readonly pieces: readonly Buffer[];
}

/** Options of {@link everySplit}. */
export interface SplitOptions {
  /** 1: every single cut; 2: every pair of cuts too, which is the square of them. Default 1. */
  readonly cuts?: 1 | 2 | undefined;
}

export function toBuffer(bytes: Bytes): Buffer {
  if (typeof bytes === "string") return Buffer.from(bytes);
  isBytes(bytes, "message");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The pieces between the offsets, which are byte offsets in rising order inside the message. */
export function splitAt(message: Bytes, offsets: readonly number[]): Buffer[] {
  const bytes = toBuffer(message);
  if (!Array.isArray(offsets)) refuse("offsets", "an array of byte offsets", offsets);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const offset of offsets) {
    if (!Number.isInteger(offset) || offset <= from || offset >= bytes.length) {
      throw new UsageError(
        `offsets must rise and lie inside the message of ${bytes.length} bytes, got ${offset}`,
      );
    }
    pieces.push(bytes.subarray(from, offset));
    from = offset;
  }
  pieces.push(bytes.subarray(from));
  return pieces;
}

/** Pieces of `size` bytes; the last may be shorter. */
export function chop(message: Bytes, size = 1): Buffer[] {
  checkInteger(size, "size", 1, 2 ** 31 - 1);
  const bytes = toBuffer(message);
  const pieces: Buffer[] = [];
  for (let from = 0; from < bytes.length; from += size) pieces.push(bytes.subarray(from, from + size));
  return pieces;
}

/** The message whole, byte by byte, and with every possible cut. */
export function everySplit(message: Bytes, options: SplitOptions = {}): Generator<Split, void, undefined> {
  checkOptions(options, splitChecks);
  return splitsOf(toBuffer(message), options.cuts ?? 1);
}

function* splitsOf(bytes: Buffer, cuts: 1 | 2): Generator<Split, void, undefined> {
  yield { name: "whole", pieces: [bytes] };
  if (bytes.length < 2) return;
  yield { name: "byte by byte", pieces: chop(bytes) };
  for (let cut = 1; cut < bytes.length; cut++) yield { name: `cut at ${cut}`, pieces: splitAt(bytes, [cut]) };
  if (cuts === 1) return;
  for (let first = 1; first < bytes.length; first++) {
    for (let second = first + 1; second < bytes.length; second++) {
      yield { name: `cut at ${first} and ${second}`, pieces: splitAt(bytes, [first, second]) };
    }
  }
}

/** Options of {@link forEverySplit}. */
export interface EverySplitOptions extends SplitOptions {
  /** Runs at the same time. Default 8. */
  readonly parallel?: number | undefined;
}

const splitChecks: Checks<SplitOptions> = { cuts: isOneOf(1, 2) };
const everySplitChecks: Checks<EverySplitOptions> = { ...splitChecks, parallel: isInteger(1, 65_536) };

/**
 * Runs a test once for every split of a message; each run gets the pieces and brings its own connection. Rejects with
 * the first failure, named after its split, once the runs already under way have ended.
 */
export function forEverySplit(
  message: Bytes,
  run: (pieces: readonly Buffer[], name: string) => Promise<void>,
  options: EverySplitOptions = {},
): Promise<void> {
  isFunction(run, "run");
  checkOptions(options, everySplitChecks);
  const { parallel = 8, cuts } = options;
  return handled(runAll(everySplit(message, { cuts }), run, parallel));
}

async function runAll(
  splits: Iterable<Split>,
  run: (pieces: readonly Buffer[], name: string) => Promise<void>,
  parallel: number,
): Promise<void> {
  const failures: Error[] = [];
  const worker = async (): Promise<void> => {
    for (const { name, pieces } of splits) {
      try {
        await run(pieces, name);
      } catch (error) {
        failures.push(
          new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error }),
        );
      }
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  if (failures.length > 0) throw failures[0];
}
