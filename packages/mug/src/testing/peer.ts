/**
 * A scripted peer: a socket that sends the way networks do, expects what a test says, and writes down all of
 * it. Works the same on either end. Whatever fails throws an ExpectationError that shows the transcript.
 */

import { connect as connectSocket } from "../connect.ts";
import { MugError, UsageError } from "../errors.ts";
import type { ConnectOptions } from "../options.ts";
import type { Socket } from "../socket.ts";
import type { Sendable } from "../writer.ts";
import { ExpectationError } from "./expectation-error.ts";
import { type Bytes, chop, splitAt, toBuffer } from "./splits.ts";
import { escapeBytes, Transcript } from "./transcript.ts";

/** Options of a scripted peer. */
export interface PeerOptions {
  /** Milliseconds every expectation waits at most, unless it says otherwise. Default 2000. */
  readonly timeout?: number;
}

/** Options of one expectation. */
export interface ExpectOptions {
  /** Milliseconds to wait at most. Default: the peer's. */
  readonly timeout?: number;
}

/** How fast pieces follow each other. */
export interface PacingOptions {
  /** Milliseconds between two pieces. Default 0: one turn of the event loop, enough for a peer in this process. */
  readonly everyMs?: number;
}

/** How a peer can see its counterpart go. */
export type CloseKind = "fin" | "reset" | "any";

const DEFAULT_TIMEOUT = 2000;

/** A scripted peer: one end of a connection. Whatever fails throws an ExpectationError with the transcript. */
export class Peer implements AsyncDisposable {
  /** The socket below, for what is not offered here. */
  readonly socket: Socket;
  /** All that went over the connection so far. */
  readonly transcript: Transcript;
  readonly #timeout: number;

  /** @internal Use `connect`, or take the peers of `listen`. */
  constructor(socket: Socket, transcript: Transcript, options: PeerOptions = {}) {
    this.socket = socket;
    this.transcript = transcript;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
  }

  // ---- sending

  /** Sends all of it and waits until the operating system has it. */
  async send(data: Sendable): Promise<void> {
    await this.#attempt("send", async () => {
      await this.socket.send(data);
      await this.socket.flush();
    });
  }

  /** Sends the message cut at these byte offsets, each piece as a packet of its own. */
  sendSplit(message: Bytes, offsets: readonly number[], options?: PacingOptions): Promise<void> {
    return this.sendPieces(splitAt(message, offsets), options);
  }

  /** Sends each piece, then lets the receiver have it before the next. */
  async sendPieces(pieces: readonly Bytes[], options: PacingOptions = {}): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await pass(options.everyMs);
      await this.send(piece);
    }
  }

  /** Sends a few bytes at a time, by default one. */
  dribble(message: Bytes, options: PacingOptions & { readonly size?: number } = {}): Promise<void> {
    return this.sendPieces(chop(message, options.size), options);
  }

  /** Sends the first `at` bytes of a message, lets them arrive, and then breaks off. */
  async cutShort(message: Bytes, at: number, how: "half-close" | "close" | "reset" | "stall"): Promise<void> {
    const bytes = toBuffer(message);
    if (!Number.isInteger(at) || at < 0 || at > bytes.length) {
      throw new UsageError(`at must be 0 to ${bytes.length}, not ${at}`);
    }
    if (at > 0) await this.send(bytes.subarray(0, at));
    // A reset overtakes what the other side has not read yet.
    await pass();
    if (how === "half-close") await this.halfClose();
    else if (how === "close") await this.close();
    else if (how === "reset") await this.reset();
    else this.note("stalls");
  }

  /** Says nothing for a time, or until a promise settles. */
  async stall(until: number | Promise<unknown>): Promise<void> {
    this.note(typeof until === "number" ? `stalls for ${until} ms` : "stalls");
    await (typeof until === "number" ? pass(until) : until);
  }

  // ---- expecting

  /** The next bytes are these. Fails at the first byte that differs; what comes behind them stays. */
  async expect(expected: Bytes, options: ExpectOptions = {}): Promise<void> {
    const wanted = toBuffer(expected);
    const clock = this.#clock(options);
    let seen: Buffer = Buffer.alloc(0);
    while (seen.length < wanted.length) {
      const what = `expected ${escapeBytes(wanted, 512)}`;
      seen = await this.#more(seen, clock, (why) => this.#mismatch(`${what}, ${why}`, wanted, seen));
      const compared = Math.min(seen.length, wanted.length);
      if (wanted.compare(seen, 0, compared, 0, compared) === 0) continue;
      this.socket.unreceive(seen);
      throw this.#mismatch(`${what}, but byte ${firstDifference(wanted, seen)} differs`, wanted, seen);
    }
    this.socket.unreceive(seen.subarray(wanted.length));
  }

  /**
   * What comes next matches, and is consumed through the match. Bytes are read as latin1, so that one character
   * is one byte. The pattern is tried with every packet: end it in something that a shorter match cannot have.
   */
  async expectMatch(
    pattern: RegExp,
    options: ExpectOptions & { readonly max?: number } = {},
  ): Promise<RegExpExecArray> {
    // A sticky or global pattern would carry its position from one packet to the next.
    const plain = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
    const { max = 1024 * 1024 } = options;
    const clock = this.#clock(options);
    let seen: Buffer = Buffer.alloc(0);
    for (;;) {
      seen = await this.#more(seen, clock, (why) =>
        this.#mismatch(`expected ${pattern}, ${why}`, pattern, seen),
      );
      const match = plain.exec(seen.toString("latin1"));
      if (match !== null) {
        this.socket.unreceive(seen.subarray(match.index + match[0].length));
        return match;
      }
      if (seen.length <= max) continue;
      this.socket.unreceive(seen);
      throw this.#mismatch(`expected ${pattern} within ${max} bytes`, pattern, seen);
    }
  }

  /** Nothing arrives for so many milliseconds, neither bytes nor an end. */
  async expectSilence(ms: number): Promise<void> {
    try {
      const bytes = await this.socket.receive({ timeout: ms });
      this.socket.unreceive(bytes);
      throw this.#fail(`expected silence for ${ms} ms, got ${escapeBytes(bytes, 512)}`);
    } catch (error) {
      if (error instanceof MugError && error.code === "timeout") return;
      if (error instanceof MugError)
        throw this.#fail(`expected silence for ${ms} ms, got: ${error.message}`, error);
      throw error;
    }
  }

  /**
   * The counterpart closes: by FIN, by RST, or either. Bytes in front of it are a failure unless `discard` is
   * set. Gives the kind it was.
   */
  async expectClose(
    options: ExpectOptions & { readonly kind?: CloseKind; readonly discard?: boolean } = {},
  ): Promise<"fin" | "reset"> {
    const { kind = "any", discard = false } = options;
    const clock = this.#clock(options);
    for (;;) {
      const end = await this.#receiveOrEnd(clock());
      if (end instanceof MugError) return this.#judgeEnd(end, kind);
      if (discard) continue;
      this.socket.unreceive(end);
      throw this.#fail(`expected the peer to close, got ${escapeBytes(end, 512)}`);
    }
  }

  // ---- parting

  /** Sends FIN; the counterpart may still speak. */
  async halfClose(): Promise<void> {
    await this.#attempt("half-close", () => this.socket.halfClose());
  }

  /** Flushes, sends FIN, lets go. */
  close(): Promise<void> {
    return this.socket.close();
  }

  /** Sends RST. */
  reset(): Promise<void> {
    return this.socket.reset();
  }

  /** Puts a line of the test's own into the transcript. */
  note(text: string): void {
    this.transcript.note(text);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- inside

  /** Milliseconds left, from now on. */
  #clock(options: ExpectOptions): () => number {
    const end = performance.now() + (options.timeout ?? this.#timeout);
    return () => Math.max(0, end - performance.now());
  }

  /** What was seen and the next packet behind it. On failure everything is put back first. */
  async #more(
    seen: Buffer,
    clock: () => number,
    failure: (why: string) => ExpectationError,
  ): Promise<Buffer> {
    const next = await this.#receiveOrEnd(clock());
    if (!(next instanceof MugError)) return seen.length === 0 ? next : Buffer.concat([seen, next]);
    this.socket.unreceive(seen);
    throw failure(`got ${escapeBytes(seen, 512)} and then: ${next.message}`);
  }

  async #receiveOrEnd(timeout: number): Promise<Buffer | MugError> {
    try {
      return await this.socket.receive({ timeout });
    } catch (error) {
      if (error instanceof MugError) return error;
      throw error;
    }
  }

  #judgeEnd(end: MugError, kind: CloseKind): "fin" | "reset" {
    if (end.code === "timeout") throw this.#fail("expected the peer to close, but it stays open", end);
    const seen = end.code === "closed" ? "fin" : "reset";
    if (kind !== "any" && kind !== seen) {
      throw this.#fail(`expected the peer to close by ${kind}, but it was ${seen}: ${end.message}`, end);
    }
    return seen;
  }

  async #attempt(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof MugError)
        throw this.#fail(`${what} failed with ${error.code}: ${error.message}`, error);
      throw error;
    }
  }

  #fail(what: string, cause?: unknown): ExpectationError {
    return new ExpectationError(what, this.transcript, cause === undefined ? {} : { cause });
  }

  #mismatch(what: string, expected: Buffer | RegExp, actual: Buffer): ExpectationError {
    const wanted = expected instanceof RegExp ? String(expected) : expected.toString("latin1");
    return new ExpectationError(what, this.transcript, {
      expected: wanted,
      actual: actual.toString("latin1"),
    });
  }
}

/** Connects a scripted peer. */
export async function connect(options: ConnectOptions & { readonly expectTimeout?: number }): Promise<Peer> {
  const { expectTimeout, ...connectOptions } = options;
  const transcript = new Transcript(options.path ?? `${options.host}:${options.port}`);
  const socket = await connectSocket({ ...connectOptions, tap: transcript.tap });
  transcript.event("connected");
  return new Peer(socket, transcript, expectTimeout === undefined ? {} : { timeout: expectTimeout });
}

/** Lets time pass: milliseconds, or without them one whole turn of the event loop, polling included. */
function pass(ms = 0): Promise<void> {
  if (ms > 0) return new Promise((resolve) => setTimeout(resolve, ms));
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

function firstDifference(wanted: Buffer, seen: Buffer): number {
  let at = 0;
  while (wanted[at] === seen[at]) at++;
  return at;
}
