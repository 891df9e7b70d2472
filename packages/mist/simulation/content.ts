// Content: bytes that say by themselves whose they are and where they stand, so that a byte lost, doubled or moved shows.

import { Buffer } from "node:buffer";
import { Random } from "./random.ts";

/** A prime, so that no piece size divides it. */
const ringBytes = 65_521;

const ring: Buffer = makeRing();

function makeRing(): Buffer {
  const random = new Random(1);
  const once = Buffer.alloc(ringBytes);
  for (let i = 0; i < ringBytes; i++) once[i] = random.word() & 0xff;
  // Twice, so that any piece up to a whole ring is one slice.
  return Buffer.concat([once, once]);
}

function startOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % ringBytes;
}

/** The bytes `from` to `to` of the content called `name`. Not to be written to. */
export function contentOf(name: string, from: number, to: number): Buffer {
  const start = startOf(name);
  const length = to - from;
  const at = (start + from) % ringBytes;
  if (length <= ringBytes) return ring.subarray(at, at + length);
  const whole = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const piece = ring.subarray(
      (at + done) % ringBytes,
      ((at + done) % ringBytes) + Math.min(ringBytes, length - done),
    );
    done += piece.copy(whole, done);
  }
  return whole;
}

/** Where `bytes`, which should stand at `at` of the content called `name`, first differs; -1: nowhere. */
export function differsAt(name: string, at: number, bytes: Uint8Array): number {
  const expected = contentOf(name, at, at + bytes.length);
  if (Buffer.compare(expected, bytes) === 0) return -1;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== expected[i]) return at + i;
  return -1;
}

const letters = "abcdefghijklmnopqrstuvwxyz0123456789äß€😀";
const symbols: readonly string[] = [...letters];

/** Text called `name`, of that many characters: not all of them one byte, not all of them one UTF-16 unit. */
export function textOf(name: string, length: number): string {
  const start = startOf(name);
  let text = "";
  for (let i = 0; i < length; i++)
    text += symbols[(ring[(start + i) % ringBytes] as number) % symbols.length];
  return text;
}
