// The receiving side of a WebSocket connection, sans-IO (RFC 6455 §5–§7): packets in, messages out.
//
// `receive` takes a packet, `next` gives what it held, one event at a time. Payloads are unmasked in place and
// handed out as views of the packet they came in; only what is cut by frames or packets is copied.
//
// Owns the rules that span frames: fragments with control frames between them, UTF-8 as it arrives, the limits on a
// message's octets and frames. It answers nobody: pongs and closes are the caller's to send.

import { Buffer, isUtf8 } from "node:buffer";
import { type CloseStatus, decodeClosePayload, INVALID_PAYLOAD, PROTOCOL_ERROR } from "./close-code.ts";
import { limitFailure, protocolFailure } from "./failure.ts";
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  FrameHeaderReader,
  maxControlPayload,
  PING,
  PONG,
  TEXT,
} from "./frame.ts";
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
const noMessage = -1;

export class WebSocketConnection {
  readonly #limits: WebSocketLimits;
  readonly #header: FrameHeaderReader;
  readonly #utf8 = new Utf8Validator();
  readonly #message = new MessageBuffer();
  #chunk: Buffer = empty;
  #offset = 0;
  /** Payload octets of the current frame still to come; -1 between frames. */
  #remaining = -1;
  #key = 0;
  /** TEXT or BINARY while a message is in pieces. */
  #opcode = noMessage;
  #compressed = false;
  #frames = 0;
  #control: Buffer | undefined;
  #controlLength = 0;
  #over = false;

  /** @param compression has permessage-deflate been negotiated? */
  constructor(limits: WebSocketLimits, compression: boolean) {
    this.#limits = limits;
    this.#header = new FrameHeaderReader(compression);
  }

  /** Memory held for what has come but not been given out. */
  get retainedBytes(): number {
    return this.#message.capacity + this.#header.retainedBytes + this.#chunk.length - this.#offset;
  }

  /** Takes a packet. It is ours from now on: payloads are unmasked in it. Call `next` until it needs data. */
  receive(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#offset === this.#chunk.length) {
      this.#chunk = bytes;
    } else {
      this.#chunk = Buffer.concat([this.#chunk.subarray(this.#offset), bytes]);
    }
    this.#offset = 0;
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
    this.#message.clear();
  }

  #advance(): WebSocketEvent {
    for (;;) {
      if (this.#remaining < 0 && !this.#beginFrame()) return this.#starve();
      const event = this.#header.opcode >= CLOSE ? this.#readControl() : this.#readData();
      if (event !== undefined) return event;
      if (this.#remaining >= 0) return this.#starve();
    }
  }

  #starve(): NeedData {
    this.#release();
    return NEED_DATA;
  }

  #release(): void {
    this.#chunk = empty;
    this.#offset = 0;
  }

  #beginFrame(): boolean {
    const payload = this.#header.read(this.#chunk, this.#offset);
    if (payload < 0) return false;
    this.#offset = payload;
    const { opcode, length } = this.#header;
    if (opcode < CLOSE) this.#checkSequence(opcode, length);
    this.#remaining = length;
    this.#key = this.#header.key;
    return true;
  }

  #checkSequence(opcode: number, length: number): void {
    if (opcode === CONTINUATION) {
      // RFC 6455 §5.4
      if (this.#opcode === noMessage) throw protocolFailure(PROTOCOL_ERROR, "nothing to continue", "5.4");
    } else {
      if (this.#opcode !== noMessage)
        throw protocolFailure(PROTOCOL_ERROR, "a message inside a message", "5.4");
      this.#compressed = this.#header.rsv1;
    }
    const { maxFrames, maxMessageBytes } = this.#limits;
    if (++this.#frames > maxFrames)
      throw limitFailure("too many frames in a message", "maxFrames", maxFrames);
    if (length + this.#message.length > maxMessageBytes) {
      throw limitFailure("message too big", "maxMessageBytes", maxMessageBytes);
    }
  }

  #readData(): WebSocketEvent | undefined {
    const header = this.#header;
    const start = this.#offset;
    const end = start + this.#remaining;
    if (
      header.fin &&
      header.opcode !== CONTINUATION &&
      this.#opcode === noMessage &&
      end <= this.#chunk.length
    ) {
      return this.#wholeMessage(start, end);
    }
    if (this.#opcode === noMessage) this.#opcode = header.opcode;
    this.#takePiece(start, Math.min(end, this.#chunk.length));
    if (this.#remaining > 0) return undefined;
    this.#remaining = -1;
    return header.fin ? this.#endMessage() : undefined;
  }

  /** The fast path: one frame, in one packet. */
  #wholeMessage(start: number, end: number): WebSocketEvent {
    const chunk = this.#chunk;
    const seen = applyMask(chunk, start, end, this.#key);
    this.#offset = end;
    this.#remaining = -1;
    this.#frames = 0;
    if (this.#compressed) {
      return { type: "compressed", text: this.#header.opcode === TEXT, data: chunk.subarray(start, end) };
    }
    if (this.#header.opcode === BINARY) return { type: "binary", data: chunk.subarray(start, end) };
    if (seen < 0x80) return { type: "text", data: chunk.toString("latin1", start, end) };
    if (!isUtf8(chunk.subarray(start, end))) throw invalidText();
    return { type: "text", data: chunk.toString("utf8", start, end) };
  }

  #takePiece(start: number, end: number): void {
    if (end === start) return;
    applyMask(this.#chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    if (this.#opcode === TEXT && !this.#compressed && !this.#utf8.push(this.#chunk, start, end))
      throw invalidText();
    this.#message.append(this.#chunk, start, end, this.#message.length + this.#remaining);
    this.#remaining -= end - start;
    this.#offset = end;
  }

  #endMessage(): WebSocketEvent {
    const text = this.#opcode === TEXT;
    const data = this.#message.take();
    this.#opcode = noMessage;
    this.#frames = 0;
    if (this.#compressed) return { type: "compressed", text, data };
    if (!text) return { type: "binary", data };
    const complete = this.#utf8.complete;
    this.#utf8.reset();
    if (!complete) throw invalidText();
    return { type: "text", data: data.toString("utf8") };
  }

  #readControl(): WebSocketEvent | undefined {
    const start = this.#offset;
    const end = Math.min(start + this.#remaining, this.#chunk.length);
    applyMask(this.#chunk, start, end, this.#key);
    this.#key = advanceMaskingKey(this.#key, end - start);
    this.#offset = end;
    const whole = this.#controlLength === 0 && end - start === this.#remaining;
    this.#remaining -= end - start;
    if (whole) return this.#endControl(this.#chunk.subarray(start, end));
    this.#control ??= Buffer.allocUnsafe(maxControlPayload);
    this.#chunk.copy(this.#control, this.#controlLength, start, end);
    this.#controlLength += end - start;
    if (this.#remaining > 0) return undefined;
    const payload = Buffer.from(this.#control.subarray(0, this.#controlLength));
    this.#controlLength = 0;
    return this.#endControl(payload);
  }

  #endControl(data: Buffer): WebSocketEvent {
    this.#remaining = -1;
    if (this.#header.opcode === PING) return { type: "ping", data };
    if (this.#header.opcode === PONG) return { type: "pong", data };
    const status = decodeClosePayload(data);
    this.stop();
    return { type: "close", code: status.code, reason: status.reason };
  }
}

function invalidText(): Error {
  // RFC 6455 §8.1
  return protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
}
