// The Huffman code of HPACK (RFC 7541 §5.2, Appendix B).
//
// The code is canonical: sorted by length and then by symbol, codes count upwards. So the lengths say everything. They
// are written down as letters, `a` for 5 bits. Decoding takes half an octet per step: the shortest code has five
// bits, so that a step yields one octet at most.

import { Buffer } from "node:buffer";
import { compressionFault } from "../errors.ts";

const LENGTHS = [
  "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdc",
  "dioijbkabababbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrq",
  "srssprrrsrrsvvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz",
].join("");

const SYMBOLS = 257;
const EOS = 256;

const codes = new Uint32Array(SYMBOLS);
const lengths = Uint8Array.from({ length: SYMBOLS }, (_, symbol) => LENGTHS.charCodeAt(symbol) - 0x61 + 5);

/** A step of the decoder: where it leads, and the octet it yields. State 0 is the root, between two codes. */
const NEXT = new Int16Array(SYMBOLS * 16);
const YIELDS = new Int16Array(SYMBOLS * 16);
/** Where a string may end: at most seven bits into a code, all ones (the padding is the start of EOS). */
const MAY_END = new Uint8Array(SYMBOLS);
const NOTHING = -1;
const FAILED = -1;

buildCodes();
buildSteps();

function buildCodes(): void {
  let code = 0;
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol < SYMBOLS; symbol++) if (lengths[symbol] === length) codes[symbol] = code++;
    code *= 2;
  }
}

function buildSteps(): void {
  // The tree: children of the inner nodes; a leaf is stored as -2 minus its symbol.
  const tree: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    let node = 0;
    for (let bit = (lengths[symbol] as number) - 1; bit >= 0; bit--) {
      const children = tree[node] as [number, number];
      const side = ((codes[symbol] as number) >>> bit) & 1;
      if (bit === 0) children[side] = -2 - symbol;
      else if (children[side] === 0) {
        children[side] = tree.length;
        tree.push([0, 0]);
      }
      node = children[side] as number;
    }
  }
  for (let state = 0; state < tree.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) buildStep(tree, state, nibble);
  }
  for (let node = 0, ones = 0; ones < 8; ones++) {
    MAY_END[node] = 1;
    node = (tree[node] as [number, number])[1];
  }
}

function buildStep(tree: readonly (readonly [number, number])[], state: number, nibble: number): void {
  let node = state;
  let yields = NOTHING;
  for (let bit = 3; bit >= 0 && node !== FAILED; bit--) {
    const child = (tree[node] as readonly [number, number])[((nibble >> bit) & 1) as 0 | 1];
    if (child === -2 - EOS) node = FAILED;
    else if (child < 0) {
      yields = -2 - child;
      node = 0;
    } else node = child;
  }
  NEXT[state * 16 + nibble] = node;
  YIELDS[state * 16 + nibble] = yields;
}

/** Strings are decoded in here and then made; grows to the longest. */
let scratch: Buffer = Buffer.allocUnsafeSlow(4096);

/** The text in `bytes[start, end)`. Throws a `ConnectionFault`: EOS inside, or padding that is none. */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string {
  const most = Math.floor(((end - start) * 8) / 5);
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most * 2);
  const next = NEXT;
  const yields = YIELDS;
  const out = scratch;
  let length = 0;
  let state = 0;
  for (let at = start; at < end; at++) {
    const octet = bytes[at] as number;
    let step = (state << 4) | (octet >> 4);
    let symbol = yields[step] as number;
    if (symbol !== NOTHING) out[length++] = symbol;
    state = next[step] as number;
    if (state === FAILED) break;
    step = (state << 4) | (octet & 15);
    symbol = yields[step] as number;
    if (symbol !== NOTHING) out[length++] = symbol;
    state = next[step] as number;
    if (state === FAILED) break;
  }
  if (state === FAILED || MAY_END[state] !== 1) {
    throw compressionFault("a Huffman-coded string holds EOS or wrong padding", "RFC 7541 §5.2");
  }
  return out.toString("latin1", 0, length);
}

/** The bytes a latin-1 text takes. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += lengths[text.charCodeAt(i)] as number;
  return (bits + 7) >> 3;
}

/** The code of a latin-1 text. */
export function encodeHuffman(text: string): Buffer {
  const out = Buffer.alloc(huffmanLength(text), 0);
  let bit = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    const code = codes[symbol] as number;
    for (let left = (lengths[symbol] as number) - 1; left >= 0; left--, bit++) {
      if (((code >>> left) & 1) === 1) out[bit >> 3] = (out[bit >> 3] as number) | (0x80 >> (bit & 7));
    }
  }
  // The rest of the last octet is the start of EOS: ones.
  if ((bit & 7) !== 0) out[out.length - 1] = (out[out.length - 1] as number) | (0xff >> (bit & 7));
  return out;
}
