/**
 * What a server that reads a lot has to say to those who manage its memory: glibc, which gives the freed blocks back to
 * the kernel one by one, and V8, whose heap does not feel how much lies outside it.
 */

import { getHeapSpaceStatistics } from "node:v8";

const MiB = 1024 * 1024;

/**
 * Every read takes a block of 64 KiB. glibc gives freed memory back to the kernel as soon as 128 KiB lie free at the
 * top of its heap, so whole reads pay for sixteen page faults again and again: half the cost of an echo and more. Once
 * a larger block has been mapped and freed, glibc keeps up to twice that block's size (mallopt(3), "dynamic mmap
 * threshold"; it learns from blocks of up to 32 MiB). What V8 frees in one go, some 32 MiB, must not come up to that.
 * One such block, never touched and so never backed by memory, is enough for the whole process.
 */
const blockBytes = 31 * MiB;

let done = false;

/** Has the process keep up to 62 MiB of freed read buffers. Nothing happens on allocators that do without. */
export function keepReadBuffers(): void {
  if (done) return;
  done = true;
  // Dropped at once: it is freed by the next garbage collection.
  Buffer.allocUnsafeSlow(blockBytes);
}

/** V8 13 collects the whole heap for every so many bytes that were allocated outside it and not freed since. */
const majorEvery = 64 * MiB;
/** How often the size of the young generation is looked up, in bytes of traffic. */
const lookEvery = 16 * MiB;
/** Smaller chunks come with enough heap of their own. */
const heavyBytes = 4 * 1024;
const wordBytes = 8;

/** Up to V8 12 memory outside the heap brings the next young collection forward by itself. */
let needsWeight = Number.parseInt(process.versions.v8 ?? "", 10) > 12;
let wordsPerByte = 0;
let untilLook = 0;
/** Held, so that no compiler takes the allocation for superfluous. */
const held: { weight: unknown[] } = { weight: [] };

/**
 * Makes a chunk that was read weigh on the heap, so that the young generation is collected, which takes a fraction of a
 * millisecond and frees the chunks, before V8 sees a reason to collect the whole heap, which takes the longer the larger
 * the application is. Traffic in large chunks allocates too little else to bring that about, and would go through a
 * whole collection every thousand reads.
 */
export function weigh(chunk: Uint8Array): void {
  const { length } = chunk;
  if (length < heavyBytes || !needsWeight) return;
  untilLook -= length;
  if (untilLook < 0) look();
  held.weight = new Array(Math.ceil(length * wordsPerByte));
}

/** How much heap fills the young generation, with a margin, before the limit is reached. */
function look(): void {
  untilLook = lookEvery;
  try {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    const bytes = young!.space_used_size + young!.space_available_size;
    wordsPerByte = Math.min(1, (1.25 * bytes) / majorEvery) / wordBytes;
  } catch {
    needsWeight = false; // somebody else's engine
  }
}
