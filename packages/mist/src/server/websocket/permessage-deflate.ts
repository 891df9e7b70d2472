// Compression of messages (RFC 7692): one zlib stream for each direction, fed one message at a time.
//
// A side that forgets its window after every message needs no stream of its own: such streams are shared by all
// connections, so that compression costs an idle connection nothing. A side that keeps its window gets its own
// stream at its first compressed message, and gives it back when the connection ends.
//
// Small messages are handled on the spot by `ZlibStep`; where that is missing, and for what is large, the streams'
// public, asynchronous interface does the same work, a bounded amount of it at a time (turns.ts).

import { Buffer } from "node:buffer";
import { constants, type DeflateRaw, deflateRawSync, type InflateRaw } from "node:zlib";
import type { ZlibStep } from "../../performance/zlib-step.ts";
import { INVALID_PAYLOAD } from "../../websocket/close-code.ts";
import type { DeflateParameters } from "../../websocket/extension.ts";
import { limitFailure, protocolFailure } from "../../websocket/failure.ts";
import { type Turn, Turns } from "./turns.ts";
import {
  borrow,
  type Context,
  type DeflaterSettings,
  deflaters,
  giveBack,
  inflaters,
  newDeflater,
  newInflater,
  newSharedInflater,
  OutputLimit,
  type Pool,
  runStream,
  windowBits,
  type ZlibStream,
} from "./zlib-streams.ts";

/** What ends every compressed message and is not sent (RFC 7692 §7.2.1). */
const tail: Buffer = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** Messages above this are worth the trip to zlib's threads. */
const maxStepInput = 16_384;
const stepOutput = 65_536;

/** An output this small is always welcome, whatever its ratio. */
const ratioFreeBytes = 1_048_576;

/**
 * What zlib's threads may be making at once for all connections of the process: bytes, and messages. Unbounded, 400
 * clients that each send 257 KB which inflate to 16 MB made 6.6 GB resident, which glibc kept; bounded, 0.4 GB.
 */
export const zlibTurns: Turns = new Turns(67_108_864, 8);

// One message is handled at a time in a step, so all connections share its input and output.
const inputScratch: Buffer = Buffer.allocUnsafeSlow(maxStepInput + tail.length);
const outputScratch: Buffer = Buffer.allocUnsafeSlow(stepOutput);

export interface DeflateSettings extends DeflateParameters, DeflaterSettings {
  /** Octets an inflated message may have. */
  readonly maxMessageBytes: number;
  /** How many times larger than its compressed form an inflated message above 1 MiB may be. */
  readonly maxInflateRatio: number;
}

/** The compression of one connection. Each direction takes one message at a time. */
export class PermessageDeflate {
  readonly #settings: DeflateSettings;
  /** Two shareable connections of one kind compress a message to the same octets. */
  readonly kind: string;
  #deflate: Context<DeflateRaw> | undefined;
  #inflate: Context<InflateRaw> | undefined;
  /** Places in the line for zlib's threads, until their turn comes. */
  #turns: Set<Turn> | undefined;
  #closed = false;

  constructor(settings: DeflateSettings) {
    this.#settings = settings;
    const { serverMaxWindowBits, level, memLevel, synchronous } = settings;
    this.kind = `${serverMaxWindowBits} ${level} ${memLevel} ${synchronous}`;
  }

  /**
   * Inflates a message. A Buffer returned without a promise is only good until the next call of anything here.
   *
   * @throws (or rejects) ProtocolError 1007 if it is no deflate stream; LimitError 1009 if it grows too large
   */
  inflate(message: Buffer): Buffer | Promise<Buffer> {
    const settings = this.#settings;
    const limit = Math.min(
      settings.maxMessageBytes,
      Math.max(ratioFreeBytes, message.length * settings.maxInflateRatio),
    );
    if (message.length <= maxStepInput && settings.synchronous) {
      const context = this.#inflateContext();
      if (context.step !== undefined) return this.#inflateAtOnce(context, context.step, message, limit);
      this.#keepInflate(context);
    }
    return this.#inflateInTurn(message, limit);
  }

  /**
   * Deflates a message, UTF-8 if it is text, which is `length` octets. A Buffer returned without a promise is only
   * good until the next call of anything here.
   */
  deflate(message: string | Uint8Array, length: number): Buffer | Promise<Buffer> {
    if (length <= maxStepInput && this.#settings.synchronous) {
      const context = this.#deflateContext();
      if (context.step !== undefined) return this.#deflateAtOnce(context, context.step, message);
      this.#keepDeflate(context);
    }
    const input = typeof message === "string" ? Buffer.from(message, "utf8") : message;
    return this.#inTurn(length, () => this.#deflateSlowly(this.#deflateContext(), input));
  }

  /** Does the server keep no window here, so that a message compressed for one connection is good for another? */
  get shareable(): boolean {
    return this.#settings.serverNoContextTakeover;
  }

  /** Deflates a message that is to be sent to many connections of this kind. */
  deflateShared(message: Uint8Array): Buffer {
    const { level, memLevel } = this.#settings;
    const options = {
      level,
      memLevel,
      windowBits: windowBits(this.#settings),
      finishFlush: constants.Z_SYNC_FLUSH,
    };
    const deflated = deflateRawSync(message, options);
    return deflated.subarray(0, deflated.length - tail.length);
  }

  /** Frees what is held. Nothing may be called afterwards. */
  close(): void {
    this.#closed = true;
    for (const turn of this.#turns ?? []) turn.leave();
    this.#deflate?.close();
    this.#inflate?.close();
    this.#deflate = undefined;
    this.#inflate = undefined;
  }

  #inflateAtOnce(
    context: Context<InflateRaw>,
    step: ZlibStep,
    message: Buffer,
    limit: number,
  ): Buffer | Promise<Buffer> {
    message.copy(inputScratch);
    tail.copy(inputScratch, message.length);
    const end = message.length + tail.length;
    let offset = 0;
    let output = 0;
    for (;;) {
      const room = output === 0 ? outputScratch : outputScratch.subarray(output);
      if (!step.run(inputScratch, offset, end - offset, room, constants.Z_SYNC_FLUSH)) {
        context.close();
        this.#inflate = undefined;
        throw notDeflate();
      }
      const consumed = end - offset - step.inputLeft;
      offset = end - step.inputLeft;
      output += room.length - step.outputLeft;
      if (output > limit) throw this.#tooLarge(context, limit);
      if (step.outputLeft === 0) {
        // It does not fit: zlib's threads do the rest. A stream that others can use does not wait for its turn.
        if (this.#inflate === undefined) {
          this.#keepInflate(context);
          return this.#inflateInTurn(message, limit);
        }
        const rest = Buffer.from(inputScratch.subarray(offset, end));
        const soFar = Buffer.from(outputScratch);
        const budget = new OutputLimit(limit);
        budget.take(output);
        return this.#inTurn(limit, () => this.#inflateSlowly(context, [rest], budget, [soFar]));
      }
      if (step.inputLeft === 0) break;
      // RFC 7692 §7.2.3.4: a block with BFINAL ends zlib's stream, not the message. What follows begins anew; the
      // tail alone is not a stream.
      context.stream.reset();
      if (end - offset <= tail.length) break;
      if (consumed === 0) throw notDeflate();
    }
    this.#keepInflate(context);
    return outputScratch.subarray(0, output);
  }

  /** Waits for a turn at zlib's threads, to make at most `bytes`. Rejects if the connection is closed before. */
  async #inTurn<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const turn = zlibTurns.take(bytes);
    this.#turns ??= new Set();
    this.#turns.add(turn);
    try {
      await turn.come;
    } finally {
      this.#turns.delete(turn);
    }
    try {
      return await work();
    } finally {
      turn.end();
    }
  }

  #inflateInTurn(message: Buffer, limit: number): Promise<Buffer> {
    return this.#inTurn(limit, () =>
      this.#inflateSlowly(this.#inflateContext(), [message, tail], new OutputLimit(limit), []),
    );
  }

  async #inflateSlowly(
    context: Context<InflateRaw>,
    input: readonly Buffer[],
    budget: OutputLimit,
    output: Buffer[],
  ): Promise<Buffer> {
    try {
      const inflated = await runStream(context.stream, input, budget, output);
      if (context.stream.destroyed || context.stream.readableEnded) this.#dropInflate(context);
      else this.#keepInflate(context);
      return inflated;
    } catch (error) {
      this.#dropInflate(context);
      throw error instanceof OutputLimit ? tooLarge(budget.max) : notDeflate(error);
    }
  }

  #deflateAtOnce(context: Context<DeflateRaw>, step: ZlibStep, message: string | Uint8Array): Buffer {
    const input =
      typeof message === "string" ? inputScratch.subarray(0, inputScratch.write(message, "utf8")) : message;
    step.run(input, 0, input.length, outputScratch, constants.Z_SYNC_FLUSH);
    const written = outputScratch.length - step.outputLeft;
    this.#keepDeflate(context);
    return outputScratch.subarray(0, written - tail.length);
  }

  async #deflateSlowly(context: Context<DeflateRaw>, input: Uint8Array): Promise<Buffer> {
    const deflated = await runStream(context.stream, [input], new OutputLimit(Number.POSITIVE_INFINITY), []);
    this.#keepDeflate(context);
    return deflated.subarray(0, deflated.length - tail.length);
  }

  #inflateContext(): Context<InflateRaw> {
    if (this.#inflate !== undefined) return this.#inflate;
    const { clientMaxWindowBits, clientNoContextTakeover, synchronous } = this.#settings;
    if (clientNoContextTakeover)
      return borrow(inflaters, String(synchronous), () => newSharedInflater(synchronous));
    this.#inflate = newInflater(clientMaxWindowBits, synchronous);
    return this.#inflate;
  }

  #deflateContext(): Context<DeflateRaw> {
    if (this.#deflate !== undefined) return this.#deflate;
    const settings = this.#settings;
    if (settings.serverNoContextTakeover) return borrow(deflaters, this.kind, () => newDeflater(settings));
    this.#deflate = newDeflater(settings);
    return this.#deflate;
  }

  #keepInflate(context: Context<InflateRaw>): void {
    this.#keep(inflaters, context, this.#settings.clientNoContextTakeover);
  }

  #keepDeflate(context: Context<DeflateRaw>): void {
    this.#keep(deflaters, context, this.#settings.serverNoContextTakeover);
  }

  #keep<Stream extends ZlibStream>(pool: Pool<Stream>, context: Context<Stream>, shared: boolean): void {
    if (shared) giveBack(pool, context);
    else if (this.#closed) context.close();
  }

  #dropInflate(context: Context<InflateRaw>): void {
    context.close();
    if (this.#inflate === context) this.#inflate = undefined;
  }

  #tooLarge(context: Context<InflateRaw>, limit: number): Error {
    this.#dropInflate(context);
    return tooLarge(limit);
  }
}

function notDeflate(cause?: unknown): Error {
  const error = protocolFailure(INVALID_PAYLOAD, "message cannot be inflated", "RFC 7692 §7.2.2");
  if (cause !== undefined) error.cause = cause;
  return error;
}

function tooLarge(limit: number): Error {
  return limitFailure("message too big when inflated", "maxMessageBytes", limit);
}
