// `buffers`: glibc keeps freed read buffers.
//
// Every read takes a block of 64 KiB. glibc gives freed memory back to the kernel as soon as 128 KiB lie free at the
// top of its heap, so whole reads pay for sixteen page faults again and again: half the cost of an echo and more. Once
// a larger block has been mapped and freed, glibc keeps up to twice that block's size (mallopt(3), "dynamic mmap
// threshold"; it learns from blocks of up to 32 MiB). What V8 frees in one go, some 32 MiB, must not come up to that.
// One such block, never touched and so never backed by memory, is enough for the whole process.

import { isOn } from "./switch.ts";

const blockBytes = 31 * 1024 * 1024;

let done = !isOn("buffers");

/** Has the process keep up to 62 MiB of freed read buffers. Nothing happens on allocators that do without. */
export function keepReadBuffers(): void {
  if (done) return;
  done = true;
  // Dropped at once: it is freed by the next garbage collection.
  Buffer.allocUnsafeSlow(blockBytes);
}
