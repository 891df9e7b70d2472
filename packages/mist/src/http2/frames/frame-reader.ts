// The preface and the frames behind it (RFC 9113 §3.4, §4.1), where they lie in the bytes received. A frame is seen
// when it is there as a whole; only DATA, the one whose payload nobody needs at once, is seen by its header.

import { ReceiveBuffer } from "../../http/receive-buffer.ts";
import { connectionFault, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from "../errors.ts";
import * as frame from "./frame.ts";

export class FrameReader {
  readonly buffer: ReceiveBuffer = new ReceiveBuffer();
  // The frame seen last. Its payload starts where `buffer` does.
  type = 0;
  flags = 0;
  id = 0;
  length = 0;
  #prefaceSeen = false;
  #settingsSeen = false;

  /** Are there bytes of something that is not complete? True before the preface is. */
  get partial(): boolean {
    return this.buffer.length > 0 || !this.#prefaceSeen;
  }

  /** Sees the next frame and consumes its header; false when it is not there. Throws a `ConnectionFault`. */
  next(): boolean {
    const { buffer } = this;
    if (!this.#prefaceSeen && !this.#readPreface()) return false;
    if (buffer.length < frame.HEADER_LENGTH) return false;
    const { bytes, start } = buffer;
    const length =
      ((bytes[start] as number) << 16) | ((bytes[start + 1] as number) << 8) | (bytes[start + 2] as number);
    const type = bytes[start + 3] as number;
    const flags = bytes[start + 4] as number;
    if (length > frame.MAX_FRAME_SIZE) {
      throw connectionFault(FRAME_SIZE_ERROR, `a frame has ${length} bytes`, "RFC 9113 §4.2");
    }
    if (!this.#settingsSeen && (type !== frame.SETTINGS || (flags & frame.ACK) !== 0)) {
      throw connectionFault(PROTOCOL_ERROR, "the first frame is not SETTINGS", "RFC 9113 §3.4");
    }
    // Of DATA, only the length of the padding.
    const needed = type !== frame.DATA ? length : (flags & frame.PADDED) === 0 || length === 0 ? 0 : 1;
    if (buffer.length < frame.HEADER_LENGTH + needed) return false;
    this.type = type;
    this.flags = flags;
    this.id = frame.readUint31(bytes, start + 5);
    this.length = length;
    this.#settingsSeen = true;
    // Not `consumeTo`: a payload of no bytes is to be found as well.
    buffer.start = start + frame.HEADER_LENGTH;
    return true;
  }

  /** Consumes `count` bytes of the payload. */
  consume(count: number): void {
    this.buffer.consumeTo(this.buffer.start + count);
  }

  #readPreface(): boolean {
    const { buffer } = this;
    const bytes = buffer.bytes.subarray(buffer.start, buffer.end);
    const found = frame.recognisePreface(bytes);
    if (found === "other")
      throw connectionFault(PROTOCOL_ERROR, "the connection preface is wrong", "RFC 9113 §3.4");
    if (found === "incomplete") return false;
    this.#prefaceSeen = true;
    buffer.consumeTo(buffer.start + frame.PREFACE.length);
    return true;
  }
}
