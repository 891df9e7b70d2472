// The sending half of a socket: what may be sent when. The bytes and the waiting are the flow's.

import type { Duplex } from "node:stream";
import { refuse } from "../checks.ts";
import { Deadline } from "../deadline.ts";
import { abortedError, MugError, renewed, toMugError } from "../errors.ts";
import type { WaitOptions } from "../options.ts";
import { handled, rejected } from "../unhandled.ts";
import { Flow } from "./flow.ts";
import type { SafeTap } from "./tap.ts";

/** What `send` takes; an array leaves as one write. Strings are UTF-8. */
export type Sendable = string | Uint8Array | readonly (string | Uint8Array)[];

/** Shared by all sends whose bytes went straight through: the common case allocates no promise. */
const sent: Promise<void> = Promise.resolve();

export class Writer {
  readonly flow: Flow;
  readonly #tap: SafeTap | undefined;
  /** Why nothing more can be sent. */
  #ended: MugError | undefined;
  #finished: Promise<void> | undefined;
  /** FIN was asked for and has not left yet. */
  #finishing = false;
  /** Why the stream is gone. */
  #gone: MugError | undefined;
  #abandonFinish: (reason: MugError) => void = () => {};
  /** Set while nothing may be sent: plain text behind the start of a TLS handshake would leave unencrypted. */
  held: MugError | undefined;

  constructor(stream: Duplex, tap: SafeTap | undefined) {
    this.flow = new Flow(stream);
    this.#tap = tap;
  }

  get finishing(): boolean {
    return this.#finishing;
  }

  /** Resolves at once while the stream takes more, else when it has drained. */
  send(data: Sendable, wait: WaitOptions | undefined): Promise<void> {
    const refused = this.#ended ?? this.held;
    if (refused !== undefined) return rejected(renewed(refused, "send"));
    if (wait?.signal?.aborted) return rejected(abortedError("send", wait.signal));
    if (this.#tap !== undefined) for (const piece of piecesOf(data)) this.#tap.sent(piece);
    return this.flow.write(data) ? sent : this.flow.whenRoom(wait);
  }

  /** Resolves when everything sent so far has been taken. */
  flush(wait: WaitOptions = {}): Promise<void> {
    if (this.flow.buffered === 0) return sent;
    if (wait.signal?.aborted) return rejected(abortedError("flush", wait.signal));
    if (this.#finished === undefined) return this.flow.whenFlushed(wait);
    return handled(new Deadline(wait).limit("flush", this.#finished));
  }

  /** Flushes and sends FIN; nothing can be sent afterwards. */
  finish(): Promise<void> {
    this.#finished ??= handled(
      new Promise((resolve, reject) => {
        this.#finishing = true;
        this.#abandonFinish = reject;
        if (this.#gone !== undefined) reject(this.#gone);
        this.flow.finish((error) => {
          this.#finishing = false;
          if (error) reject(toMugError(error));
          else resolve();
        });
        this.#ended ??= new MugError("closed", "this side has finished sending");
      }),
    );
    return this.#finished;
  }

  /** Nothing more can be sent. The first reason stands. */
  end(reason: MugError): void {
    this.#ended ??= reason;
    this.flow.abandon(reason);
  }

  /** The stream is gone. A destroyed stream calls nobody back while one of its writes hangs. */
  gone(reason: MugError): void {
    this.end(reason);
    this.#gone = reason;
    this.#abandonFinish(reason);
  }
}

function piecesOf(data: Sendable): readonly (string | Uint8Array)[] {
  return typeof data === "string" || data instanceof Uint8Array ? [data] : data;
}

/** Refuses what cannot be sent, before anything leaves. */
export function checkSendable(data: unknown): void {
  if (typeof data === "string" || data instanceof Uint8Array) return;
  if (!Array.isArray(data)) refuse("data", "text, bytes or an array of them", data);
  for (const piece of data) {
    if (typeof piece !== "string" && !(piece instanceof Uint8Array)) {
      refuse("an element of data", "text or bytes", piece);
    }
  }
}
