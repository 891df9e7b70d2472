// A message in pieces: fragments, and frames that did not arrive in one packet (RFC 6455 §5.4).
//
// Pieces are copied into one growing buffer, so a message costs its bytes, however many frames and packets it came
// in. Room is made for what has arrived, not for what a header announces: a peer that announces 16 MiB and sends
// nothing does not make us allocate them.

import { Buffer } from "node:buffer";
import { free } from "../performance/free.ts";
import { INVALID_PAYLOAD } from "./close-code.ts";
import { protocolFailure } from "./failure.ts";
import { RSV1, TEXT } from "./frame.ts";
import { Utf8Validator } from "./utf8.ts";

/** Room made at once for what a header announces. */
const trustedBytes = 65_536;

const empty: Buffer = Buffer.alloc(0);

/** A text message: its UTF-8 has been checked. */
export interface TextMessage {
  readonly type: "text";
  readonly data: string;
}

/** A binary message. The bytes are the receiver's to keep. */
export interface BinaryMessage {
  readonly type: "binary";
  readonly data: Buffer;
}

/** A message compressed by permessage-deflate, still to be inflated (and, if text, checked). */
export interface CompressedMessage {
  readonly type: "compressed";
  readonly text: boolean;
  readonly data: Buffer;
}

/** A message that {@link MessageAssembly} or the reader has put together. */
export type Message = TextMessage | BinaryMessage | CompressedMessage;

/** One message being put together. */
export class MessageAssembly {
  readonly #text: boolean;
  readonly #compressed: boolean;
  readonly #utf8: Utf8Validator | undefined;
  #bytes: Buffer = empty;
  /** Bytes so far. */
  length = 0;
  /** Frames so far. */
  frames = 1;

  /** @param first the octet of FIN, RSV and opcode of the first frame */
  constructor(first: number) {
    this.#text = (first & 0x0f) === TEXT;
    this.#compressed = (first & RSV1) !== 0;
    this.#utf8 = this.#text && !this.#compressed ? new Utf8Validator() : undefined;
  }

  /** Memory held. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /**
   * Copies `source[start, end)` to the end; `expected` is the least length the message will have, as far as known.
   *
   * @throws ProtocolError 1007 at the first byte that cannot be UTF-8, in a text
   */
  append(source: Buffer, start: number, end: number, expected: number): void {
    if (this.#utf8?.push(source, start, end) === false) throw invalidText();
    const length = this.length + end - start;
    if (length > this.#bytes.length) this.#grow(length, expected);
    source.copy(this.#bytes, this.length, start, end);
    this.length = length;
  }

  /** The whole message. @throws ProtocolError 1007 if a text ends inside a character */
  end(): Message {
    const data = this.#take();
    if (this.#compressed) return { type: "compressed", text: this.#text, data };
    if (this.#utf8 === undefined) return { type: "binary", data };
    if (!this.#utf8.complete) throw invalidText();
    const text = data.toString(this.#utf8.ascii ? "latin1" : "utf8");
    free(data);
    return { type: "text", data: text };
  }

  #take(): Buffer {
    const { length } = this;
    const bytes = this.#bytes;
    // An assembly that has grown old would keep the message alive until the next full collection: half the speed.
    this.#bytes = empty;
    if (length === bytes.length) return bytes;
    // Do not let a small message keep a large buffer alive.
    return length < bytes.length >> 1 ? Buffer.from(bytes.subarray(0, length)) : bytes.subarray(0, length);
  }

  #grow(needed: number, expected: number): void {
    const trust = Math.max(needed * 2, trustedBytes);
    const capacity = expected > needed ? Math.min(expected, trust) : this.length === 0 ? needed : needed * 2;
    const grown = Buffer.allocUnsafe(capacity);
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }
}

/** RFC 6455 §8.1 */
export function invalidText(): Error {
  return protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
}
