// Frames into the buffer of what is to be written: control frames whole, and header blocks around what HPACK writes.

import { Buffer } from "node:buffer";
import { ByteSink } from "./byte-sink.ts";
import * as frame from "./frame.ts";
import { readUint31, writeFrameHeader, writeUint32 } from "./frame.ts";

export class FrameWriter {
  readonly sink: ByteSink = new ByteSink();
  /** Control frames in the buffer. */
  controls = 0;

  /** The buffer, for a control frame to be written into. */
  control(): ByteSink {
    this.controls++;
    return this.sink;
  }

  /** RFC 9113 §6.4. */
  reset(id: number, code: number): void {
    const sink = this.control();
    writeFrameHeader(sink, 4, frame.RST_STREAM, 0, id);
    writeUint32(sink, code);
  }

  /** RFC 9113 §6.5.3. */
  settingsAck(): void {
    writeFrameHeader(this.control(), 0, frame.SETTINGS, frame.ACK, 0);
  }

  /** RFC 9113 §6.7. The eight octets in `bytes` from `at` on. */
  ping(flags: number, bytes: Uint8Array, at: number): void {
    const sink = this.control();
    writeFrameHeader(sink, 8, frame.PING, flags, 0);
    sink.append(bytes.subarray(at, at + 8));
  }

  /** RFC 9113 §6.8. */
  goaway(lastId: number, code: number, debug: string): void {
    const sink = this.control();
    const text = Buffer.from(debug, "latin1");
    writeFrameHeader(sink, 8 + text.length, frame.GOAWAY, 0, 0);
    writeUint32(sink, lastId);
    writeUint32(sink, code);
    sink.append(text);
  }

  /** RFC 9113 §6.9. */
  windowUpdate(id: number, increment: number): void {
    const sink = this.control();
    writeFrameHeader(sink, 4, frame.WINDOW_UPDATE, 0, id);
    writeUint32(sink, increment);
  }

  /** Starts a header block, whose length `finishBlock` sets. Returns where its frame starts. */
  startBlock(id: number, flags: number): number {
    const start = this.sink.length;
    writeFrameHeader(this.sink, 0, frame.HEADERS, frame.END_HEADERS | flags, id);
    return start;
  }

  /** Ends the header block at `start`; what is too long for one frame goes on in CONTINUATION frames. */
  finishBlock(start: number, maxFrameSize: number): void {
    const { sink } = this;
    const length = sink.length - start - frame.HEADER_LENGTH;
    if (length > maxFrameSize) this.#continueBlock(start, length, maxFrameSize);
    const own = Math.min(length, maxFrameSize);
    sink.bytes[start] = own >> 16;
    sink.bytes[start + 1] = own >> 8;
    sink.bytes[start + 2] = own;
  }

  #continueBlock(start: number, length: number, maxFrameSize: number): void {
    const { sink } = this;
    const rest = Buffer.from(sink.bytes.subarray(sink.length - (length - maxFrameSize), sink.length));
    const id = readUint31(sink.bytes, start + 5);
    sink.length -= rest.length;
    sink.bytes[start + 4] = (sink.bytes[start + 4] as number) & ~frame.END_HEADERS;
    for (let at = 0; at < rest.length; at += maxFrameSize) {
      const end = Math.min(rest.length, at + maxFrameSize);
      const flags = end === rest.length ? frame.END_HEADERS : 0;
      writeFrameHeader(sink, end - at, frame.CONTINUATION, flags, id);
      sink.append(rest.subarray(at, end));
    }
  }
}
