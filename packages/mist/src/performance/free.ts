// Memory given back by hand.

import type { Buffer } from "node:buffer";

/** Less is not worth the call. */
const worthBytes = 4096;

/** ES2024; Node.js 20 is without it. */
type Transferable = ArrayBufferLike & { transfer?(newLength: number): ArrayBuffer };

/**
 * Gives the memory of a packet or a message back at once, where the engine can, and not when it is collected next: the
 * next packet is then read into memory that is still in the processor's cache. Nobody may read `bytes` any more, and
 * nobody else may hold a view of the same memory; one that is itself a part of something larger is left alone.
 */
export function free(bytes: Buffer): void {
  const { length } = bytes;
  const memory: Transferable = bytes.buffer;
  if (length >= worthBytes && length === memory.byteLength) memory.transfer?.(0);
}
