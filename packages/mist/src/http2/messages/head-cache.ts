// Heads by their header blocks. A client that asks for the same again sends the same few bytes, and while the table
// they refer to is the same they mean the same: the head is shared then, and nothing is decoded.

import { Buffer } from "node:buffer";
import type { RequestHead } from "./request-head.ts";

interface KeptHead {
  readonly block: Buffer;
  readonly ended: boolean;
  readonly generation: number;
  readonly head: RequestHead;
}

const SLOTS = 4;
/** Longer blocks are rarely the same again, and an idle connection should hold little. */
const MAX_BLOCK = 128;

export class HeadCache {
  readonly #slots: (KeptHead | undefined)[] = [];
  /** For each slot a hash of the block met last: only what comes twice is worth keeping. */
  readonly #met: number[] = [];

  /** The head that the block in `bytes[start, end)` stands for, if it is known. */
  find(
    bytes: Buffer,
    start: number,
    end: number,
    ended: boolean,
    generation: number,
  ): RequestHead | undefined {
    if (end === start) return undefined;
    const kept = this.#slots[slot(bytes, start, end)];
    if (kept === undefined || kept.generation !== generation || kept.ended !== ended) return undefined;
    const { block } = kept;
    if (block.length !== end - start) return undefined;
    for (let i = 0; i < block.length; i++) if (block[i] !== bytes[start + i]) return undefined;
    return kept.head;
  }

  /** Keeps a head whose block has left the table as it was, and has been met before. */
  keep(
    bytes: Buffer,
    start: number,
    end: number,
    ended: boolean,
    generation: number,
    head: RequestHead,
  ): void {
    if (end - start > MAX_BLOCK || end === start) return;
    const at = slot(bytes, start, end);
    const hash = hashOf(bytes, start, end);
    if (this.#met[at] !== hash) {
      while (this.#met.length < SLOTS) this.#met.push(0);
      this.#met[at] = hash;
      return;
    }
    while (this.#slots.length < SLOTS) this.#slots.push(undefined);
    const block = Buffer.from(bytes.subarray(start, end));
    // Shared by requests from here on.
    Object.freeze(head.fields);
    this.#slots[at] = { block, ended, generation, head };
  }
}

function slot(bytes: Buffer, start: number, end: number): number {
  return (end - start + (bytes[end - 1] as number)) & (SLOTS - 1);
}

/** Good enough: two blocks with one hash cost a copy, no more. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  return hash;
}
