// Frames waiting to leave together.
//
// Everything that is sent while one packet is handled is gathered here and leaves in one write. As long as the frames
// are ASCII text or pongs they are gathered as one latin1 string, which is the cheapest thing to build and to write;
// the first frame of another kind turns the batch into bytes. A payload that is not worth copying stands between two
// batches as it is.
//
// The bytes are laid into a slab shared by all connections. A batch grows at the end of the slab; if somebody else
// has written there in the meantime it moves. Slabs are never reused, so what has been taken stays intact.

import { Buffer } from "node:buffer";
import { FIN, headerSize, pongHeader, TEXT, textHeader, writeHeader } from "./frame.ts";
import { SharedBatch } from "./shared-batch.ts";

const slabBytes = 32_768;
/** Payloads up to this size are copied into the batch. */
export const maxCopiedBytes = 4096;

/** A batch beyond this leaves, although more may follow. */
const fullBatch = 65_536;

let slab: Buffer = Buffer.alloc(0);
let slabUsed = 0;

/** What leaves in one write: latin1 text, bytes, or several of both. */
export type Batch = string | Uint8Array | readonly (string | Uint8Array)[];

export class Outbox {
  /** Earlier batches, and payloads too large to be copied. */
  #parts: (string | Uint8Array)[] | undefined;
  #partsSize = 0;
  /** The batch while it is text; empty once it is bytes. */
  #text = "";
  /** The batch while it is nothing but frames made before, which are not copied unless another kind joins them. */
  #shared: SharedBatch | undefined;
  #bytes: Buffer | undefined;
  #start = 0;
  #end = 0;

  /** Bytes waiting. */
  get size(): number {
    return this.#partsSize + this.#batchSize();
  }

  #batchSize(): number {
    if (this.#shared !== undefined) return this.#shared.size;
    return this.#bytes === undefined ? this.#text.length : this.#end - this.#start;
  }

  /** Whether it should leave at once: it is large, or holds somebody else's bytes, which may be changed later. */
  get full(): boolean {
    return this.#parts !== undefined || this.#batchSize() >= fullBatch;
  }

  /** Adds a text message, which is `length` bytes in UTF-8. */
  text(text: string, length: number): void {
    if (length === text.length) {
      if (this.#bytes === undefined && this.#shared === undefined) this.#text += textHeader(length) + text;
      else this.#latin1(textHeader(length) + text);
    } else if (length > maxCopiedBytes) this.frame(FIN | TEXT, Buffer.from(text, "utf8"));
    else {
      const at = this.#reserve(headerSize(length) + length);
      this.#bytes!.write(text, writeHeader(this.#bytes!, at, FIN | TEXT, length), "utf8");
    }
  }

  /** Adds a pong, its payload in latin1. */
  pong(payload: string): void {
    this.#latin1(pongHeader(payload.length) + payload);
  }

  /** Adds a frame; `first` is the octet of FIN, RSV and opcode. */
  frame(first: number, payload: Uint8Array): void {
    const large = payload.length > maxCopiedBytes;
    const at = this.#reserve(headerSize(payload.length) + (large ? 0 : payload.length));
    const start = writeHeader(this.#bytes!, at, first, payload.length);
    if (large) this.#part(payload);
    else this.#bytes!.set(payload, start);
  }

  /** Adds a frame made before, which nobody changes any more. */
  encoded(frame: Buffer): void {
    if (frame.length > maxCopiedBytes) this.#part(frame);
    else if (this.#shared !== undefined || this.#batchSize() === 0)
      this.#shared = (this.#shared ?? SharedBatch.empty).with(frame);
    else {
      const at = this.#reserve(frame.length);
      this.#bytes!.set(frame, at);
    }
  }

  /** Gives everything away. `own`: it may have to wait, and must not keep a whole slab alive. */
  take(own: boolean): Batch {
    const parts = this.#parts;
    if (parts === undefined) return this.#takeBatch(own);
    if (this.#batchSize() > 0) parts.push(this.#takeBatch(own));
    this.#parts = undefined;
    this.#partsSize = 0;
    return parts.length === 1 ? parts[0]! : parts;
  }

  #takeBatch(own: boolean): string | Buffer {
    const shared = this.#shared;
    if (shared !== undefined) {
      this.#shared = undefined;
      return shared.bytes;
    }
    const bytes = this.#bytes;
    if (bytes === undefined) {
      const text = this.#text;
      this.#text = "";
      return text;
    }
    this.#bytes = undefined;
    const batch = bytes.subarray(this.#start, this.#end);
    return own ? Buffer.from(batch) : batch;
  }

  #part(payload: Uint8Array): void {
    this.#parts ??= [];
    this.#partsSize += this.#batchSize() + payload.length;
    if (this.#batchSize() > 0) this.#parts.push(this.#takeBatch(true));
    this.#parts.push(payload);
  }

  #latin1(frame: string): void {
    if (this.#bytes === undefined && this.#shared === undefined) this.#text += frame;
    else {
      const at = this.#reserve(frame.length);
      this.#bytes!.write(frame, at, "latin1");
    }
  }

  /** Makes room for `count` bytes at the end of the batch and says where it is in `#bytes`. */
  #reserve(count: number): number {
    const shared = this.#shared;
    if (shared !== undefined) {
      this.#shared = undefined;
      this.#claim(shared.size + count);
      this.#bytes!.set(shared.bytes, this.#end);
      this.#end += shared.size;
    } else if (this.#bytes === undefined) this.#openBytes(count);
    else if (this.#bytes !== slab || this.#end !== slabUsed || slabUsed + count > slab.length)
      this.#move(count);
    const at = this.#end;
    this.#end = at + count;
    slabUsed = this.#end;
    return at;
  }

  #openBytes(count: number): void {
    const text = this.#text;
    this.#text = "";
    this.#claim(text.length + count);
    if (text !== "") this.#end += this.#bytes!.write(text, this.#end, "latin1");
  }

  #move(count: number): void {
    const batch = this.#bytes!.subarray(this.#start, this.#end);
    this.#claim(batch.length + count);
    this.#bytes!.set(batch, this.#end);
    this.#end += batch.length;
  }

  #claim(count: number): void {
    if (slabUsed + count > slab.length) {
      slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, count));
      slabUsed = 0;
    }
    this.#bytes = slab;
    this.#start = slabUsed;
    this.#end = slabUsed;
  }
}
