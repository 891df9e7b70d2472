// Reading frames (RFC 6455 §5): packets in, messages and control frames out, one at a time.
//
// Payloads are unmasked in place and handed out as views of the packet they came in; only what frames or packets cut
// is copied.
//
// Owns the rules that span frames: fragments with control frames between them, UTF-8 as it arrives, the limits on a
// message's bytes and frames. What follows from a control frame is for `connection.ts` to say.

import { Buffer, isAscii, isUtf8 } from "node:buffer";
import type { ProtocolError } from "../errors.ts";
import { free } from "../performance/free.ts";
import { type CloseStatus, PROTOCOL_ERROR } from "./close-code.ts";
import { decodeClosePayload } from "./close-payload.ts";
import { isFailure, limitFailure, protocolFailure } from "./failure.ts";
import {
  CLOSE,
  CONTINUATION,
  FIN,
  type FrameHeader,
  maxHeaderBytes,
  PING,
  RSV1,
  readHeader,
  TEXT,
} from "./frame.ts";
import { advanceMaskingKey, applyMask } from "./mask.ts";
import { invalidText, type Message, MessageAssembly, type TextMessage } from "./message.ts";

/** A ping or a pong. Its payload is text of one character for each byte (latin1). */
export interface PingFrame {
  readonly type: "ping" | "pong";
  readonly payload: string;
}

/** The peer's Close frame. */
export interface CloseFrame extends CloseStatus {
  readonly type: "close";
}

/** Everything received has been given out. */
export interface NeedData {
  readonly type: "need-data";
}

/** The peer broke a rule; `error.closeCode` says which. */
export interface Failed {
  readonly type: "failed";
  readonly error: ProtocolError & { readonly closeCode: number };
}

/** What the bytes received so far have to say. Nothing comes behind `close` and `failed`. */
export type ReaderEvent = Message | PingFrame | CloseFrame | Failed | NeedData;

export const NEED_DATA: NeedData = Object.freeze({ type: "need-data" });

export interface WebSocketLimits {
  /** Bytes of a message, before and after inflating. */
  readonly maxMessageBytes: number;
  /** Frames of a message, empty ones included. */
  readonly maxFrames: number;
}

const empty: Buffer = Buffer.alloc(0);

/** What {@link readHeader} fills in: read at once, so that one is enough for all connections. */
const header: FrameHeader = { first: 0, length: 0, key: 0 };

/** Between two frames. */
const noFrame = -1;

export class FrameReader {
  readonly #limits: WebSocketLimits;
  readonly #compression: boolean;
  readonly #masked: boolean;
  #chunk: Buffer = empty;
  #offset = 0;
  /** Something that was given out lies in the packet. */
  #lent = false;
  /** The current frame: its first octet, the payload bytes still to come, the key for the next of them. */
  #first = 0;
  #remaining = noFrame;
  #key = 0;
  #assembly: MessageAssembly | undefined;
  /** The beginning of a header, or of a control frame's payload, that a packet's end cut off. */
  #partial: Buffer | undefined;
  #stopped = false;

  /**
   * @param compression whether permessage-deflate has been negotiated
   * @param masked whether the peer is a client, whose frames are masked, or a server
   */
  constructor(limits: WebSocketLimits, compression: boolean, masked = true) {
    this.#limits = limits;
    this.#masked = masked;
    this.#compression = compression;
  }

  /** Memory held for what has arrived and not been given out. */
  get retainedBytes(): number {
    const assembled = this.#assembly?.capacity ?? 0;
    return assembled + (this.#partial?.length ?? 0) + this.#chunk.length - this.#offset;
  }

  /** Takes a packet. It is the reader's from now on: payloads are unmasked in it. */
  receive(bytes: Buffer): void {
    if (this.#stopped) return;
    if (this.#offset === this.#chunk.length) this.#chunk = bytes;
    else this.#chunk = Buffer.concat([this.#chunk.subarray(this.#offset), bytes]);
    this.#offset = 0;
    this.#lent = false;
  }

  /** The next event. */
  next(): ReaderEvent {
    if (this.#stopped) return NEED_DATA;
    try {
      for (;;) {
        if (this.#remaining === noFrame && !this.#beginFrame()) return this.#starve();
        const event = (this.#first & 0x0f) >= CLOSE ? this.#readControl() : this.#readData();
        if (event !== undefined) return event;
        if (this.#remaining !== noFrame) return this.#starve();
      }
    } catch (error) {
      this.stop();
      if (isFailure(error)) return { type: "failed", error };
      throw error;
    }
  }

  /** Takes and keeps nothing from now on. */
  stop(): void {
    this.#stopped = true;
    this.#release();
    this.#partial = undefined;
    this.#assembly = undefined;
  }

  #starve(): NeedData {
    this.#release();
    return NEED_DATA;
  }

  #release(): void {
    if (!this.#lent) free(this.#chunk);
    this.#chunk = empty;
    this.#offset = 0;
  }

  #beginFrame(): boolean {
    const payload =
      this.#partial === undefined
        ? readHeader(this.#chunk, this.#offset, this.#compression, header, this.#masked)
        : this.#resumeHeader(this.#partial);
    if (payload < 0) {
      this.#keepPartial();
      return false;
    }
    this.#offset = payload;
    this.#first = header.first;
    this.#remaining = header.length;
    this.#key = header.key;
    if ((header.first & 0x0f) < CLOSE) this.#checkSequence(header.first & 0x0f, header.length);
    return true;
  }

  /** Reads a header that began in an earlier packet. */
  #resumeHeader(partial: Buffer): number {
    const more = this.#chunk.subarray(this.#offset, this.#offset + maxHeaderBytes - partial.length);
    const payload = readHeader(Buffer.concat([partial, more]), 0, this.#compression, header, this.#masked);
    if (payload < 0) return payload;
    this.#partial = undefined;
    return this.#offset + payload - partial.length;
  }

  /** Keeps what is left of the packet, which is less than a header. */
  #keepPartial(): void {
    if (this.#offset === this.#chunk.length) return;
    const rest = this.#chunk.subarray(this.#offset);
    this.#partial = this.#partial === undefined ? Buffer.from(rest) : Buffer.concat([this.#partial, rest]);
  }

  #checkSequence(opcode: number, length: number): void {
    const assembly = this.#assembly;
    if (opcode === CONTINUATION) {
      // RFC 6455 §5.4
      if (assembly === undefined) throw protocolFailure(PROTOCOL_ERROR, "nothing to continue", "5.4");
      const { maxFrames } = this.#limits;
      if (++assembly.frames > maxFrames)
        throw limitFailure("too many frames in a message", "maxFrames", maxFrames);
    } else if (assembly !== undefined) {
      throw protocolFailure(PROTOCOL_ERROR, "a message inside a message", "5.4");
    }
    const { maxMessageBytes } = this.#limits;
    if (length + (assembly === undefined ? 0 : assembly.length) > maxMessageBytes) {
      throw limitFailure("message too big", "maxMessageBytes", maxMessageBytes);
    }
  }

  #readData(): Message | undefined {
    const start = this.#offset;
    const end = start + this.#remaining;
    if (this.#first >= FIN && this.#assembly === undefined && end <= this.#chunk.length) {
      return this.#wholeMessage(start, end);
    }
    this.#assembly ??= new MessageAssembly(this.#first);
    this.#takePiece(this.#assembly, start, Math.min(end, this.#chunk.length));
    if (this.#remaining > 0) return undefined;
    this.#remaining = noFrame;
    if (this.#first < FIN) return undefined;
    const assembly = this.#assembly;
    this.#assembly = undefined;
    return assembly.end();
  }

  /** The fast path: one frame, in one packet. */
  #wholeMessage(start: number, end: number): Message {
    const chunk = this.#chunk;
    const first = this.#first;
    const seen = applyMask(chunk, start, end, this.#key);
    this.#offset = end;
    this.#remaining = noFrame;
    const compressed = (first & RSV1) !== 0;
    const text = (first & 0x0f) === TEXT;
    if (text && !compressed) {
      if (seen < 0x80) return { type: "text", data: chunk.toString("latin1", start, end) };
      return decodeText(chunk.subarray(start, end));
    }
    this.#lent = true;
    const data = chunk.subarray(start, end);
    return compressed ? { type: "compressed", text, data } : { type: "binary", data };
  }

  #takePiece(assembly: MessageAssembly, start: number, end: number): void {
    if (end === start) return;
    applyMask(this.#chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    assembly.append(this.#chunk, start, end, assembly.length + this.#remaining);
    this.#remaining -= end - start;
    this.#offset = end;
  }

  #readControl(): PingFrame | CloseFrame | undefined {
    const start = this.#offset;
    const end = Math.min(start + this.#remaining, this.#chunk.length);
    applyMask(this.#chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    this.#offset = end;
    this.#remaining -= end - start;
    if (this.#remaining > 0 || this.#partial !== undefined) return this.#controlInPieces(start, end);
    return this.#endControl(this.#chunk, start, end);
  }

  #controlInPieces(start: number, end: number): PingFrame | CloseFrame | undefined {
    const payload = Buffer.concat([this.#partial ?? empty, this.#chunk.subarray(start, end)]);
    this.#partial = this.#remaining > 0 ? payload : undefined;
    return this.#remaining > 0 ? undefined : this.#endControl(payload, 0, payload.length);
  }

  #endControl(bytes: Buffer, start: number, end: number): PingFrame | CloseFrame {
    this.#remaining = noFrame;
    const opcode = this.#first & 0x0f;
    if (opcode === CLOSE) {
      const { code, reason } = decodeClosePayload(bytes.subarray(start, end));
      this.stop();
      return { type: "close", code, reason };
    }
    return { type: opcode === PING ? "ping" : "pong", payload: bytes.toString("latin1", start, end) };
  }
}

function decodeText(bytes: Buffer): TextMessage {
  if (isAscii(bytes)) return { type: "text", data: bytes.toString("latin1") };
  if (!isUtf8(bytes)) throw invalidText();
  return { type: "text", data: bytes.toString("utf8") };
}
