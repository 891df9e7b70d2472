// Frames waiting to leave together.
//
// Everything a handler sends while one packet is being handled is gathered here and leaves in one write. As long as
// the frames are ASCII text they are gathered as one latin1 string, which is the cheapest thing to build and to
// write; the first frame of another kind turns the batch into bytes.
//
// The bytes are laid into a slab shared by all connections. A batch grows at the end of the slab; if somebody else
// has written there in the meantime it moves. Slabs are never reused, so what has been taken stays intact.

import { Buffer } from "node:buffer";
import { FIN, headerSize, TEXT, textHeader, writeHeader } from "./frame.ts";
import { SharedBatch } from "./shared-batch.ts";

const slabBytes = 32_768;
/** Payloads up to this size are copied into the batch; larger ones are worth a write of their own. */
export const maxBatchedPayload = 4096;
/** A batch beyond this leaves, although more may follow. */
export const fullBatch = 65_536;

let slab: Buffer = Buffer.alloc(0);
let slabUsed = 0;

export class Outbox {
  /** The batch while it is text; empty once it is bytes. */
  #text = "";
  /** The batch while it is nothing but frames made before, which are not copied unless another kind joins them. */
  #shared: SharedBatch | undefined;
  #bytes: Buffer | undefined;
  #start = 0;
  #end = 0;

  /** Octets waiting. */
  get size(): number {
    if (this.#shared !== undefined) return this.#shared.size;
    return this.#bytes === undefined ? this.#text.length : this.#end - this.#start;
  }

  /** Adds a text message of ASCII characters. */
  ascii(text: string): void {
    if (this.#bytes === undefined && this.#shared === undefined) {
      this.#text += textHeader(text.length) + text;
      return;
    }
    const at = this.#reserve(headerSize(text.length) + text.length);
    this.#bytes!.write(text, writeHeader(this.#bytes!, at, FIN | TEXT, text.length), "latin1");
  }

  /** Adds a text message of any characters, which are `length` octets in UTF-8. */
  utf8(text: string, length: number): void {
    const at = this.#reserve(headerSize(length) + length);
    this.#bytes!.write(text, writeHeader(this.#bytes!, at, FIN | TEXT, length), "utf8");
  }

  /** Adds a frame; `first` is the octet of FIN, RSV and opcode. */
  frame(first: number, payload: Uint8Array): void {
    const at = this.#reserve(headerSize(payload.length) + payload.length);
    this.#bytes!.set(payload, writeHeader(this.#bytes!, at, first, payload.length));
  }

  /** Adds a header alone: its payload is written behind the batch. */
  header(first: number, length: number): void {
    const at = this.#reserve(headerSize(length));
    writeHeader(this.#bytes!, at, first, length);
  }

  /** Adds a frame made before, which nobody changes any more. */
  encoded(frame: Buffer): void {
    if (this.#shared !== undefined || this.size === 0) {
      this.#shared = (this.#shared ?? SharedBatch.empty).with(frame);
      return;
    }
    const at = this.#reserve(frame.length);
    this.#bytes!.set(frame, at);
  }

  /** Gives the batch away: latin1 text or bytes. `own`: the bytes are to be a copy that pins no slab. */
  take(own: boolean): string | Buffer {
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

  /** Makes room for `count` octets at the end of the batch and says where it is in `#bytes`. */
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
