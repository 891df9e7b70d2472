// `weight`: large chunks weigh on the heap.
//
// V8 13 collects the whole heap for every so many bytes that were allocated outside it and not freed since. That takes
// the longer the larger the application is, where a collection of the young generation takes a fraction of a
// millisecond and frees the chunks as well. Up to V8 12 memory outside the heap brings the next young collection
// forward by itself.

import { getHeapSpaceStatistics } from "node:v8";
import { isOn } from "./switch.ts";

const MiB = 1024 * 1024;
/** For every so many bytes. */
const majorEvery = 64 * MiB;
/** How often the size of the young generation is looked up, in bytes of traffic. */
const lookEvery = 16 * MiB;
/** Smaller chunks come with enough heap of their own. */
const heavyBytes = 4 * 1024;
const wordBytes = 8;

let needsWeight = isOn("weight") && Number.parseInt(process.versions.v8 ?? "", 10) > 12;
let wordsPerByte = 0;
let untilLook = 0;
/** Held, so that no compiler takes the allocation for superfluous. */
const held: { weight: unknown[] } = { weight: [] };

/**
 * Puts a weight of heap beside a chunk, so that V8 collects the young generation before it sees a reason to collect the
 * whole heap. Traffic in large chunks allocates too little else to bring that about.
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
    needsWeight = false; // not V8
  }
}
