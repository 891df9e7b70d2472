// Unmasking payloads (RFC 6455 §5.3), in place.
//
// A masking key is held as four bytes in a little-endian 32-bit integer, so that a right shift moves on by one
// byte: bits 0–7 belong to the next octet. Short payloads go byte by byte (making a view costs more than it
// saves); longer ones by 32-bit words, eight to a turn.

/** Below this many octets a plain loop beats a typed-array view. */
const wordwiseFrom = 96;

/** The key of four octets standing at `offset`. */
export function readMaskingKey(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
}

/** The key as it stands after `count` octets have been unmasked. */
export function advanceMaskingKey(key: number, count: number): number {
  const shift = (count & 3) << 3;
  return shift === 0 ? key : (key >>> shift) | (key << (32 - shift));
}

/**
 * Applies `key` to `bytes[start, end)` in place. Masking and unmasking are the same operation.
 *
 * @returns a number whose bit 7 is set if an octet of the result is above 0x7f; for long payloads it is always
 *   set, because looking would cost more than asking the platform.
 */
export function applyMask(bytes: Uint8Array, start: number, end: number, key: number): number {
  return end - start < wordwiseFrom ? maskOctets(bytes, start, end, key) : maskWords(bytes, start, end, key);
}

function maskOctets(bytes: Uint8Array, start: number, end: number, key: number): number {
  const k0 = key & 255;
  const k1 = (key >>> 8) & 255;
  const k2 = (key >>> 16) & 255;
  const k3 = key >>> 24;
  let seen = 0;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    const a = bytes[i]! ^ k0;
    const b = bytes[i + 1]! ^ k1;
    const c = bytes[i + 2]! ^ k2;
    const d = bytes[i + 3]! ^ k3;
    bytes[i] = a;
    bytes[i + 1] = b;
    bytes[i + 2] = c;
    bytes[i + 3] = d;
    seen |= a | b | c | d;
  }
  return seen | maskRest(bytes, i, end, key);
}

function maskWords(bytes: Uint8Array, start: number, end: number, key: number): number {
  const lead = -(bytes.byteOffset + start) & 3;
  maskRest(bytes, start, start + lead, key);
  const first = start + lead;
  const count = (end - first) >> 2;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + first, count);
  const k = advanceMaskingKey(key, lead) | 0;
  let i = 0;
  for (const last = count - 7; i < last; i += 8) {
    words[i]! ^= k;
    words[i + 1]! ^= k;
    words[i + 2]! ^= k;
    words[i + 3]! ^= k;
    words[i + 4]! ^= k;
    words[i + 5]! ^= k;
    words[i + 6]! ^= k;
    words[i + 7]! ^= k;
  }
  for (; i < count; i++) words[i]! ^= k;
  maskRest(bytes, first + (count << 2), end, k);
  return 0x80;
}

function maskRest(bytes: Uint8Array, start: number, end: number, key: number): number {
  let seen = 0;
  let k = key;
  for (let i = start; i < end; i++) {
    const octet = bytes[i]! ^ (k & 255);
    bytes[i] = octet;
    seen |= octet;
    k >>>= 8;
  }
  return seen;
}
