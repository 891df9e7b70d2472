// zlib's synchronous step on a stream that lives on.
//
// The one place that leans on something Node does not document. Node's public zlib is either one call for a whole
// stream (which sets a stream up and tears it down: measured for a message of 1 KiB, 24 µs to deflate and 11 µs to
// inflate, without context takeover) or a trip through the thread pool (58 µs of CPU to deflate the same). A step on
// a living stream takes 7 and 3 µs, and 3 µs and less with context takeover. On Node.js 24 an echo of 1 KiB of JSON costs
// 25 µs with it and 126 µs without.
//
// It is looked for, and tried on a known text, once; where it is missing or answers wrongly `stepOf` gives
// undefined, and the public interface is used.

import { Buffer } from "node:buffer";
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib";
import { isOn } from "./switch.ts";

/** One stream's step. */
export interface ZlibStep {
  /** After a run: octets of input not consumed. */
  readonly inputLeft: number;
  /** After a run: octets of output not used. */
  readonly outputLeft: number;
  /** Runs zlib once. False: the input is wrong, and the stream destroyed. */
  run(input: Uint8Array, offset: number, length: number, output: Uint8Array, flush: number): boolean;
}

interface NativeHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
}

interface Innards {
  readonly _handle?: Partial<NativeHandle> | null | undefined;
  /** Octets of output and of input left over by the last write. */
  readonly _writeState?: unknown;
}

class HandleStep implements ZlibStep {
  readonly #stream: DeflateRaw | InflateRaw;
  readonly #handle: NativeHandle;
  readonly #state: Uint32Array;

  constructor(stream: DeflateRaw | InflateRaw, handle: NativeHandle, state: Uint32Array) {
    this.#stream = stream;
    this.#handle = handle;
    this.#state = state;
  }

  get inputLeft(): number {
    return this.#state[1]!;
  }

  get outputLeft(): number {
    return this.#state[0]!;
  }

  run(input: Uint8Array, offset: number, length: number, output: Uint8Array, flush: number): boolean {
    this.#handle.writeSync(flush, input, offset, length, output, 0, output.length);
    return !this.#stream.destroyed;
  }
}

function findStep(stream: DeflateRaw | InflateRaw): ZlibStep | undefined {
  const { _handle: handle, _writeState: state } = stream as unknown as Innards;
  if (typeof handle?.writeSync !== "function") return undefined;
  if (!(state instanceof Uint32Array) || state.length < 2) return undefined;
  return new HandleStep(stream, handle as NativeHandle, state);
}

let works: boolean | undefined;

/** The stream's synchronous step; undefined if this platform has none that works. */
export function stepOf(stream: DeflateRaw | InflateRaw): ZlibStep | undefined {
  works ??= isOn("zlib-step") && tryStep();
  return works ? findStep(stream) : undefined;
}

/** Deflates and inflates a known text, twice over the same streams, and checks a broken one is noticed. */
function tryStep(): boolean {
  const deflater = createDeflateRaw();
  const inflater = createInflateRaw();
  const broken = createInflateRaw();
  for (const stream of [deflater, inflater, broken]) stream.on("error", () => {});
  try {
    const deflate = findStep(deflater);
    const inflate = findStep(inflater);
    const fail = findStep(broken);
    if (deflate === undefined || inflate === undefined || fail === undefined) return false;
    const text = Buffer.from("step by step by step by step");
    return (
      roundTrips(text, deflate, inflate) &&
      roundTrips(text, deflate, inflate) &&
      !fail.run(Buffer.from([0xff, 0xff]), 0, 2, Buffer.alloc(64), constants.Z_SYNC_FLUSH)
    );
  } catch {
    return false;
  } finally {
    for (const stream of [deflater, inflater, broken]) stream.close();
  }
}

function roundTrips(text: Buffer, deflate: ZlibStep, inflate: ZlibStep): boolean {
  const deflated = Buffer.alloc(256);
  if (!deflate.run(text, 0, text.length, deflated, constants.Z_SYNC_FLUSH) || deflate.inputLeft !== 0)
    return false;
  const length = deflated.length - deflate.outputLeft;
  const inflated = Buffer.alloc(256);
  if (!inflate.run(deflated, 0, length, inflated, constants.Z_SYNC_FLUSH) || inflate.inputLeft !== 0)
    return false;
  return inflated.subarray(0, inflated.length - inflate.outputLeft).equals(text) && length > 4;
}
