/**
 * A word to the allocator below the buffers.
 *
 * Every read takes a block of 64 KiB. glibc gives freed memory back to the kernel as soon as 128 KiB lie free at the
 * top of its heap, so whole reads pay for sixteen page faults again and again: up to half the cost of an echo. Once
 * a larger block has been mapped and freed, glibc keeps up to twice that block's size (mallopt(3), "dynamic mmap
 * threshold"). One such block, never touched and so never backed by memory, is enough for the whole process.
 */

const BLOCK_BYTES = 16 * 1024 * 1024;

let done = false;

/** Has the process keep up to 32 MiB of freed read buffers. Nothing happens on allocators that do without. */
export function keepReadBuffers(): void {
  if (done) return;
  done = true;
  // Dropped at once: it is freed by the next garbage collection.
  Buffer.allocUnsafeSlow(BLOCK_BYTES);
}
