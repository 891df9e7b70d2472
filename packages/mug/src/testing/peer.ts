// A scripted peer: a socket that sends the way networks do, expects what a test says, and records all of it. Works the
// same on either end. Every failure is an ExpectationError that shows the transcript.

import type { Duplex } from "node:stream";
import {
  type Checks,
  checkInteger,
  checkOptions,
  isBoolean,
  isBytes,
  isInteger,
  isOneOf,
  isTimeout,
  refuse,
} from "../checks.ts";
import { clock } from "../clock.ts";
import { connectOptions, connect as connectSocket } from "../connect/connect.ts";
import { over as socketOver } from "../connect/over.ts";
import { MugError } from "../errors.ts";
import type { ConnectOptions, HostOptions, SocketOptions } from "../options.ts";
import type { Socket } from "../socket/socket.ts";
import { checkSendable, type Sendable } from "../socket/writer.ts";
import { handled } from "../unhandled.ts";
import { ExpectationError } from "./expectation-error.ts";
import { type Bytes, chop, splitAt, toBuffer } from "./splits.ts";
import { escapeBytes, Transcript } from "./transcript.ts";

/** Options of a scripted peer. */
export interface PeerOptions {
  /** Milliseconds every expectation waits at most, unless it says otherwise. Default 2000. */
  readonly timeout?: number | undefined;
}

/** Options of one expectation. */
export interface ExpectOptions {
  /** Milliseconds to wait at most. Default: the peer's. */
  readonly timeout?: number | undefined;
}

/** Options of {@link Peer.expectMatch}. */
export interface MatchOptions extends ExpectOptions {
  /** Most bytes to collect. Default 1 048 576. */
  readonly max?: number | undefined;
}

/** Options of {@link Peer.expectClose}. */
export interface CloseOptions extends ExpectOptions {
  /** How the counterpart must close. Default `"any"`. */
  readonly kind?: CloseKind | undefined;
  /** Drop the bytes in front of the close instead of failing. Default false. */
  readonly discard?: boolean | undefined;
}

/** How fast pieces follow each other. */
export interface PacingOptions {
  /** Milliseconds between two pieces. Default 0: one turn of the event loop, enough for a peer in this process. */
  readonly everyMs?: number | undefined;
}

/** Options of {@link Peer.dribble}. */
export interface DribbleOptions extends PacingOptions {
  /** Bytes of a piece. Default 1. */
  readonly size?: number | undefined;
}

/** How a message can break off: by FIN, by letting go, by RST, or by silence. */
export type CutKind = "half-close" | "close" | "reset" | "stall";

/** How a peer can see its counterpart go. */
export type CloseKind = "fin" | "reset" | "any";

export const defaultTimeout = 2000;

const expectChecks: Checks<ExpectOptions> = { timeout: isTimeout };
const matchChecks: Checks<MatchOptions> = { timeout: isTimeout, max: isInteger(1, 2 ** 31 - 1) };
const closeChecks: Checks<CloseOptions> = {
  timeout: isTimeout,
  kind: isOneOf("fin", "reset", "any"),
  discard: isBoolean,
};
const pacingChecks: Checks<PacingOptions> = { everyMs: isTimeout };
const dribbleChecks: Checks<DribbleOptions> = { everyMs: isTimeout, size: isInteger(1, 2 ** 31 - 1) };
const isCutKind = isOneOf("half-close", "close", "reset", "stall");

/**
 * A scripted peer: one end of a connection. Every failure is an ExpectationError with the transcript. Await every call:
 * a failure that nobody awaits does not end the process and fails no test.
 */
export class Peer implements AsyncDisposable {
  /** The socket below, for everything else. */
  readonly socket: Socket;
  /** What went over the connection so far. */
  readonly transcript: Transcript;
  readonly #timeout: number;

  /** @internal Use `connect` or `over`, or take the peers of `listen`. */
  constructor(socket: Socket, transcript: Transcript, options: PeerOptions = {}) {
    this.socket = socket;
    this.transcript = transcript;
    this.#timeout = options.timeout ?? defaultTimeout;
  }

  // ---- sending

  /** Sends all of it and waits until the operating system has it. */
  send(data: Sendable): Promise<void> {
    checkSendable(data);
    return this.#attempt("send", async () => {
      await this.socket.send(data);
      await this.socket.flush();
    });
  }

  /** Sends the message cut at these byte offsets, each piece as a packet of its own. */
  sendSplit(message: Bytes, offsets: readonly number[], options?: PacingOptions): Promise<void> {
    return this.sendPieces(splitAt(message, offsets), options);
  }

  /** Sends each piece, then lets the receiver have it before the next. */
  sendPieces(pieces: readonly Bytes[], options: PacingOptions = {}): Promise<void> {
    if (!Array.isArray(pieces)) refuse("pieces", "an array of strings and bytes", pieces);
    for (const piece of pieces) isBytes(piece, "a piece");
    checkOptions(options, pacingChecks);
    return handled(this.#sendPieces(pieces, options));
  }

  async #sendPieces(pieces: readonly Bytes[], { everyMs }: PacingOptions): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await pass(everyMs);
      await this.send(piece);
    }
  }

  /** Sends a few bytes at a time, by default one. */
  dribble(message: Bytes, options: DribbleOptions = {}): Promise<void> {
    checkOptions(options, dribbleChecks);
    const { size, everyMs } = options;
    return this.sendPieces(chop(message, size), { everyMs });
  }

  /** Sends the first `at` bytes of a message, lets them arrive, and then breaks off. */
  cutShort(message: Bytes, at: number, how: CutKind): Promise<void> {
    const bytes = toBuffer(message);
    checkInteger(at, "at", 0, bytes.length);
    isCutKind(how, "how");
    return handled(this.#cutShort(bytes.subarray(0, at), how));
  }

  async #cutShort(bytes: Buffer, how: CutKind): Promise<void> {
    if (bytes.length > 0) await this.send(bytes);
    // A reset overtakes what the other side has not read yet.
    await pass();
    if (how === "half-close") await this.halfClose();
    else if (how === "close") await this.close();
    else if (how === "reset") await this.reset();
    else this.note("stalls");
  }

  /** Says nothing for so many milliseconds, or until a promise settles. */
  stall(until: number | Promise<unknown>): Promise<void> {
    if (typeof until !== "number") {
      if (typeof until?.then !== "function") refuse("until", "milliseconds or a promise", until);
      this.note("stalls");
      return handled(Promise.resolve(until).then(() => {}));
    }
    isTimeout(until, "until");
    this.note(`stalls for ${until} ms`);
    return pass(until);
  }

  // ---- expecting

  /** The next bytes are these. Fails at the first byte that differs; the bytes stay for the next expectation. */
  expect(expected: Bytes, options: ExpectOptions = {}): Promise<void> {
    checkOptions(options, expectChecks);
    return handled(this.#expect(toBuffer(expected), this.#timeLimit(options)));
  }

  async #expect(wanted: Buffer, limit: TimeLimit): Promise<void> {
    let seen: Buffer = Buffer.alloc(0);
    while (seen.length < wanted.length) {
      const what = `expected ${escapeBytes(wanted, 512)}`;
      seen = await this.#more(seen, limit, (why) => this.#mismatch(`${what}, ${why}`, wanted, seen));
      const compared = Math.min(seen.length, wanted.length);
      if (wanted.compare(seen, 0, compared, 0, compared) === 0) continue;
      this.socket.unreceive(seen);
      throw this.#mismatch(`${what}, but byte ${firstDifference(wanted, seen)} differs`, wanted, seen);
    }
    this.socket.unreceive(seen.subarray(wanted.length));
  }

  /**
   * What comes next matches, and is consumed through the match. Bytes are read as latin1, so that one character is one
   * byte. The pattern is tried after every packet, so end it in something that only the whole match has.
   */
  expectMatch(pattern: RegExp, options: MatchOptions = {}): Promise<RegExpExecArray> {
    if (!(pattern instanceof RegExp)) refuse("pattern", "a RegExp", pattern);
    checkOptions(options, matchChecks);
    return handled(this.#expectMatch(pattern, options.max ?? 1024 * 1024, this.#timeLimit(options)));
  }

  async #expectMatch(pattern: RegExp, max: number, limit: TimeLimit): Promise<RegExpExecArray> {
    // A sticky or global pattern would carry its position from one packet to the next.
    const plain = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
    let seen: Buffer = Buffer.alloc(0);
    for (;;) {
      seen = await this.#more(seen, limit, (why) =>
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
  expectSilence(ms: number): Promise<void> {
    isTimeout(ms, "ms");
    return handled(this.#expectSilence(ms));
  }

  async #expectSilence(ms: number): Promise<void> {
    const next = await this.#receiveOrEnd(ms);
    if (next instanceof MugError && next.code === "timeout") return;
    const what = `expected silence for ${ms} ms`;
    if (next instanceof MugError) throw this.#fail(`${what}, got: ${next.message}`, next);
    this.socket.unreceive(next);
    throw this.#fail(`${what}, got ${escapeBytes(next, 512)}`);
  }

  /**
   * The counterpart closes: by FIN, by RST, or either. Bytes in front of the close are a failure unless `discard` is
   * set. Resolves with the kind it was.
   */
  expectClose(options: CloseOptions = {}): Promise<"fin" | "reset"> {
    checkOptions(options, closeChecks);
    const { kind = "any", discard = false } = options;
    return handled(this.#expectClose(kind, discard, this.#timeLimit(options)));
  }

  async #expectClose(kind: CloseKind, discard: boolean, limit: TimeLimit): Promise<"fin" | "reset"> {
    for (;;) {
      const end = await this.#receiveOrEnd(limit.left());
      if (end instanceof MugError) return this.#judgeEnd(end, kind, limit);
      if (discard) continue;
      this.socket.unreceive(end);
      throw this.#fail(`expected the peer to close, got ${escapeBytes(end, 512)}`);
    }
  }

  // ---- ending

  /** Sends FIN; the counterpart may still send. */
  halfClose(): Promise<void> {
    return this.#attempt("half-close", () => this.socket.halfClose());
  }

  /** Flushes, sends FIN, and releases the socket. */
  close(): Promise<void> {
    return this.socket.close();
  }

  /** Sends RST. */
  reset(): Promise<void> {
    return this.socket.reset();
  }

  /** Adds a line of the test's own to the transcript. */
  note(text: string): void {
    this.transcript.note(text);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return clock.until(this.close());
  }

  // ---- inside

  #timeLimit(options: ExpectOptions): TimeLimit {
    const timeout = options.timeout ?? this.#timeout;
    const end = clock.now() + timeout;
    return { timeout, left: () => Math.max(0, end - clock.now()) };
  }

  /** What was seen and the next packet behind it. On failure everything is put back first. */
  async #more(seen: Buffer, limit: TimeLimit, failure: (why: string) => ExpectationError): Promise<Buffer> {
    const next = await this.#receiveOrEnd(limit.left());
    if (!(next instanceof MugError)) return seen.length === 0 ? next : Buffer.concat([seen, next]);
    this.socket.unreceive(seen);
    const got = `got ${seen.length === 0 ? "nothing" : escapeBytes(seen, 512)}`;
    throw failure(
      next.code === "timeout" ? `${got} within ${limit.timeout} ms` : `${got}, then: ${next.message}`,
    );
  }

  async #receiveOrEnd(timeout: number): Promise<Buffer | MugError> {
    try {
      return await this.socket.receive({ timeout });
    } catch (error) {
      if (error instanceof MugError) return error;
      throw error;
    }
  }

  #judgeEnd(end: MugError, kind: CloseKind, limit: TimeLimit): "fin" | "reset" {
    if (end.code === "timeout") {
      throw this.#fail(`expected the peer to close, but it stayed open for ${limit.timeout} ms`, end);
    }
    const seen = end.code === "closed" ? "fin" : "reset";
    if (kind !== "any" && kind !== seen) {
      throw this.#fail(
        `expected the peer to close by ${kind}, but it closed by ${seen}: ${end.message}`,
        end,
      );
    }
    return seen;
  }

  #attempt(what: string, action: () => Promise<void>): Promise<void> {
    const attempt = action().catch((error: unknown) => {
      if (!(error instanceof MugError)) throw error;
      throw this.#fail(`${what} failed with ${error.code}: ${error.message}`, error);
    });
    return handled(attempt);
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

/** How long an expectation may take, and what is left of it. */
interface TimeLimit {
  readonly timeout: number;
  left(): number;
}

/** What a peer made by `connect` or `over` takes besides the options of its socket. */
export interface PeerTimeout {
  /** Milliseconds every expectation waits at most, unless it says otherwise. Default 2000. */
  readonly expectTimeoutMs?: number | undefined;
}

/** Connects a scripted peer, to a host or to whatever the options say. */
export function connect(host: string, options: HostOptions & PeerTimeout): Promise<Peer>;
/** The same with everything in one object: `{ host, port }`, or `{ path }` for a unix socket. */
export function connect(options: ConnectOptions & PeerTimeout): Promise<Peer>;
export function connect(
  target: string | (ConnectOptions & PeerTimeout),
  options?: HostOptions & PeerTimeout,
): Promise<Peer> {
  const inOne = typeof target === "object" && target !== null;
  const { expectTimeoutMs, ...rest } = (inOne ? target : options) ?? {};
  const settings = peerOptions(expectTimeoutMs);
  const all = inOne ? connectOptions(rest, options) : connectOptions(target, rest);
  const transcript = new Transcript(all.path ?? `${all.host}:${all.port}`);
  const connecting = connectSocket({ ...all, tap: transcript.tap }).then((socket) => {
    transcript.event("connected");
    return new Peer(socket, transcript, settings);
  });
  return handled(connecting);
}

/** A scripted peer over any Duplex of bytes; see `over` of `@x/mug`. */
export function over(stream: Duplex, options: Omit<SocketOptions, "tap"> & PeerTimeout = {}): Peer {
  const { expectTimeoutMs, ...rest } = options;
  const transcript = new Transcript("a stream");
  const socket = socketOver(stream, { ...rest, tap: transcript.tap });
  return new Peer(socket, transcript, peerOptions(expectTimeoutMs));
}

function peerOptions(timeout: number | undefined): PeerOptions {
  if (timeout !== undefined) isTimeout(timeout, "expectTimeoutMs");
  return { timeout };
}

/** Lets time pass: milliseconds, or without them one whole turn of the event loop, polling included. */
function pass(ms = 0): Promise<void> {
  if (ms > 0) return new Promise((resolve) => clock.setTimer(resolve, ms));
  return new Promise((resolve) => clock.nextTurn(() => clock.nextTurn(resolve)));
}

function firstDifference(wanted: Buffer, seen: Buffer): number {
  let at = 0;
  while (wanted[at] === seen[at]) at++;
  return at;
}
