// Frames made before, gathered once for everybody who is sent the same ones.
//
// A broadcast hands each frame to all of its clients in turn. Each of them goes from the batch it has to the one with
// the frame behind it, and all find the same one there: thousands of clients cost one batch, and one buffer.

import { Buffer } from "node:buffer";

/** A frame, behind those of the batch before. */
export class SharedBatch {
  /** Octets of all frames. */
  readonly size: number;
  readonly #before: SharedBatch | undefined;
  readonly #frame: Buffer;
  /** The batch that was made of this one last. */
  #next: SharedBatch | undefined;
  #bytes: Buffer | undefined;

  private constructor(before: SharedBatch | undefined, frame: Buffer) {
    this.size = (before?.size ?? 0) + frame.length;
    this.#before = before;
    this.#frame = frame;
  }

  static readonly empty: SharedBatch = new SharedBatch(undefined, Buffer.alloc(0));

  /** This batch and one more frame, which nobody changes any more. */
  with(frame: Buffer): SharedBatch {
    if (this.#next === undefined || this.#next.#frame !== frame) this.#next = new SharedBatch(this, frame);
    return this.#next;
  }

  /** All frames, one behind the other; to be read only. */
  get bytes(): Buffer {
    this.#bytes ??=
      this.#before === SharedBatch.empty ? this.#frame : Buffer.concat(this.#frames(), this.size);
    return this.#bytes;
  }

  #frames(): Buffer[] {
    const frames: Buffer[] = [];
    for (let at: SharedBatch | undefined = this; at !== undefined; at = at.#before) frames.push(at.#frame);
    return frames.reverse();
  }
}
