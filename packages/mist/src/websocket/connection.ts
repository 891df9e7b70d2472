// The receiving side of a WebSocket connection, sans-IO (RFC 6455 §5–§7): packets in, messages out.
//
// `receive` takes a packet, `next` gives what it held, one event at a time. Payloads are unmasked in place and
// handed out as views of the packet they came in; only what is cut by frames or packets is copied.
//
// Owns the rules that span frames: fragments with control frames between them, UTF-8 as it arrives, the limits on a
// message's octets and frames. It answers nobody: pongs and closes are the caller's to send.

import { Buffer, isAscii, isUtf8 } from "node:buffer";
import { type CloseStatus, decodeClosePayload, INVALID_PAYLOAD, PROTOCOL_ERROR } from "./close-code.ts";
import { limitFailure, protocolFailure } from "./failure.ts";
import {
  CLOSE,
  CONTINUATION,
  FIN,
  type FrameHeader,
  maxHeaderBytes,
  PING,
  PONG,
  RSV1,
  readHeader,
  TEXT,
} from "./frame.ts";
import { free } from "./free.ts";
import { advanceMaskingKey, applyMask } from "./mask.ts";
import { MessageBuffer } from "./message.ts";
import { Utf8Validator } from "./utf8.ts";

/** A text message: its UTF-8 has been checked. */
export interface TextMessage {
  readonly type: "text";
  readonly data: string;
}

/** A binary message. The bytes are the receiver's to keep. */
export interface BinaryMessage {
  readonly type: "binary";
  readonly data: Uint8Array;
}

/** A message compressed by permessage-deflate, still to be inflated (and, if text, checked). */
export interface CompressedMessage {
  readonly type: "compressed";
  readonly text: boolean;
  readonly data: Buffer;
}

/** A ping, to be answered with a pong of the same payload (RFC 6455 §5.5.2). */
export interface PingFrame {
  readonly type: "ping";
  readonly data: Buffer;
}

/** A pong, asked for or not (RFC 6455 §5.5.3). */
export interface PongFrame {
  readonly type: "pong";
  readonly data: Buffer;
}

/** The peer's Close frame: nothing comes behind it. */
export interface CloseFrame extends CloseStatus {
  readonly type: "close";
}

/** Everything received has been given out. */
export interface NeedData {
  readonly type: "need-data";
}

export type WebSocketEvent =
  | TextMessage
  | BinaryMessage
  | CompressedMessage
  | PingFrame
  | PongFrame
  | CloseFrame
  | NeedData;

export const NEED_DATA: NeedData = Object.freeze({ type: "need-data" });

export interface WebSocketLimits {
  /** Octets of a message, before and after inflating. */
  readonly maxMessageBytes: number;
  /** Frames of a message, empty ones included. */
  readonly maxFrames: number;
}

const empty: Buffer = Buffer.alloc(0);

/** What {@link readHeader} fills in: read at once, so that one is enough for all connections. */
const header: FrameHeader = { first: 0, length: 0, key: 0 };

/** Between two frames. */
const noFrame = -1;

/** A message in pieces; only there while one is. */
interface Assembly {
  /** TEXT or BINARY. */
  readonly opcode: number;
  readonly compressed: boolean;
  readonly buffer: MessageBuffer;
  readonly utf8: Utf8Validator | undefined;
  frames: number;
}

export class WebSocketConnection {
  readonly #limits: WebSocketLimits;
  readonly #compression: boolean;
  #chunk: Buffer = empty;
  #offset = 0;
  /** Something that was given out lies in the packet. */
  #lent = false;
  /** The current frame: its first octet, the payload octets still to come, the key for the next of them. */
  #first = 0;
  #remaining = noFrame;
  #key = 0;
  #assembly: Assembly | undefined;
  /** The beginning of a header, or of a control frame's payload, that a packet's end cut off. */
  #partial: Buffer | undefined;
  #over = false;

  /** @param compression has permessage-deflate been negotiated? */
  constructor(limits: WebSocketLimits, compression: boolean) {
    this.#limits = limits;
    this.#compression = compression;
  }

  /** Memory held for what has come but not been given out. */
  get retainedBytes(): number {
    const assembled = this.#assembly?.buffer.capacity ?? 0;
    return assembled + (this.#partial?.length ?? 0) + this.#chunk.length - this.#offset;
  }

  /** Takes a packet. It is ours from now on: payloads are unmasked in it. Call `next` until it needs data. */
  receive(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#offset === this.#chunk.length) this.#chunk = bytes;
    else this.#chunk = Buffer.concat([this.#chunk.subarray(this.#offset), bytes]);
    this.#offset = 0;
    this.#lent = false;
  }

  /**
   * The next event. After a Close frame or a failure everything else is discarded, as RFC 6455 §1.4 and §7.1.7
   * want it.
   *
   * @throws ProtocolError with the close code the peer is to be told
   */
  next(): WebSocketEvent {
    if (this.#over) return NEED_DATA;
    try {
      return this.#advance();
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Takes and keeps nothing from now on. */
  stop(): void {
    this.#over = true;
    this.#release();
    this.#partial = undefined;
    this.#assembly = undefined;
  }

  #advance(): WebSocketEvent {
    for (;;) {
      if (this.#remaining === noFrame && !this.#beginFrame()) return this.#starve();
      const event = (this.#first & 0x0f) >= CLOSE ? this.#readControl() : this.#readData();
      if (event !== undefined) return event;
      if (this.#remaining !== noFrame) return this.#starve();
    }
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
        ? readHeader(this.#chunk, this.#offset, this.#compression, header)
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
    const payload = readHeader(Buffer.concat([partial, more]), 0, this.#compression, header);
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
    if (length + (assembly === undefined ? 0 : assembly.buffer.length) > maxMessageBytes) {
      throw limitFailure("message too big", "maxMessageBytes", maxMessageBytes);
    }
  }

  #readData(): WebSocketEvent | undefined {
    const start = this.#offset;
    const end = start + this.#remaining;
    if (this.#first >= FIN && this.#assembly === undefined && end <= this.#chunk.length) {
      return this.#wholeMessage(start, end);
    }
    this.#assembly ??= this.#beginAssembly();
    this.#takePiece(this.#assembly, start, Math.min(end, this.#chunk.length));
    if (this.#remaining > 0) return undefined;
    this.#remaining = noFrame;
    return this.#first >= FIN ? this.#endMessage(this.#assembly) : undefined;
  }

  /** The fast path: one frame, in one packet. */
  #wholeMessage(start: number, end: number): WebSocketEvent {
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

  #beginAssembly(): Assembly {
    const opcode = this.#first & 0x0f;
    const compressed = (this.#first & RSV1) !== 0;
    const utf8 = opcode === TEXT && !compressed ? new Utf8Validator() : undefined;
    return { opcode, compressed, buffer: new MessageBuffer(), utf8, frames: 1 };
  }

  #takePiece(assembly: Assembly, start: number, end: number): void {
    if (end === start) return;
    const chunk = this.#chunk;
    applyMask(chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    if (assembly.utf8?.push(chunk, start, end) === false) throw invalidText();
    assembly.buffer.append(chunk, start, end, assembly.buffer.length + this.#remaining);
    this.#remaining -= end - start;
    this.#offset = end;
  }

  #endMessage({ opcode, compressed, buffer, utf8 }: Assembly): WebSocketEvent {
    this.#assembly = undefined;
    const data = buffer.take();
    if (compressed) return { type: "compressed", text: opcode === TEXT, data };
    if (utf8 === undefined) return { type: "binary", data };
    if (!utf8.complete) throw invalidText();
    const text = utf8.ascii ? data.toString("latin1") : data.toString("utf8");
    free(data);
    return { type: "text", data: text };
  }

  #readControl(): WebSocketEvent | undefined {
    const start = this.#offset;
    const end = Math.min(start + this.#remaining, this.#chunk.length);
    applyMask(this.#chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    this.#offset = end;
    this.#remaining -= end - start;
    this.#lent = true;
    const piece = this.#chunk.subarray(start, end);
    const payload = this.#partial === undefined ? piece : Buffer.concat([this.#partial, piece]);
    if (this.#remaining > 0) {
      this.#partial = this.#partial === undefined ? Buffer.from(piece) : payload;
      return undefined;
    }
    this.#partial = undefined;
    return this.#endControl(payload);
  }

  #endControl(data: Buffer): WebSocketEvent {
    this.#remaining = noFrame;
    const opcode = this.#first & 0x0f;
    if (opcode === PING) return { type: "ping", data };
    if (opcode === PONG) return { type: "pong", data };
    const status = decodeClosePayload(data);
    this.stop();
    return { type: "close", code: status.code, reason: status.reason };
  }
}

function decodeText(bytes: Buffer): TextMessage {
  if (isAscii(bytes)) return { type: "text", data: bytes.toString("latin1") };
  if (!isUtf8(bytes)) throw invalidText();
  return { type: "text", data: bytes.toString("utf8") };
}

function invalidText(): Error {
  // RFC 6455 §8.1
  return protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
}
