// Frames of RFC 9113 and header blocks of RFC 7541, as a client writes and reads them. Written apart from mist's core.

import { Buffer } from "node:buffer";

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

export const preface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export type Fields = readonly (readonly [name: string, value: string])[];

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(0),
): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One setting. */
export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** A header block of literals that are not indexed. */
export function headerBlock(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  const text = (value: string): void => {
    const bytes = Buffer.from(value, "latin1");
    parts.push(Buffer.from(integer(bytes.length, 7)), bytes);
  };
  for (const [name, value] of fields) {
    parts.push(Buffer.from([0]));
    text(name);
    text(value);
  }
  return Buffer.concat(parts);
}

function integer(value: number, bits: number): number[] {
  const most = (1 << bits) - 1;
  if (value < most) return [value];
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return bytes;
}

/** Reads frames. */
export class FrameStream {
  #held: Buffer = Buffer.alloc(0);

  get busy(): boolean {
    return this.#held.length > 0;
  }

  *receive(bytes: Buffer): Generator<{
    readonly type: number;
    readonly flags: number;
    readonly stream: number;
    readonly payload: Buffer;
  }> {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 9) {
      const held = this.#held;
      const length = held.readUIntBE(0, 3);
      if (held.length < 9 + length) return;
      this.#held = held.subarray(9 + length);
      yield {
        type: held[3] as number,
        flags: held[4] as number,
        stream: held.readUInt32BE(5) & 0x7fffffff,
        payload: held.subarray(9, 9 + length),
      };
    }
  }
}

// ── header compression ────────────────────────────────────────────────────────────────────────────────────

const staticNames =
  ":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate";
const staticTable: readonly (readonly [string, string])[] = staticNames.split("|").map((entry) => {
  const space = entry.indexOf(" ");
  return space < 0 ? [entry, ""] : [entry.slice(0, space), entry.slice(space + 1)];
});

/** The lengths of the codes of RFC 7541, Appendix B, less five, as letters. */
const codeLengths =
  "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz";
const symbols: Map<string, number> = new Map();

function makeCode(): void {
  let code = 0;
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol < 257; symbol++) {
      if (codeLengths.charCodeAt(symbol) - 97 + 5 !== length) continue;
      symbols.set(code.toString(2).padStart(length, "0"), symbol);
      code += 1;
    }
    code *= 2;
  }
}
makeCode();

const decoded: Map<string, string> = new Map();

function huffman(bytes: Buffer): string {
  const key = bytes.toString("latin1");
  const known = decoded.get(key);
  if (known !== undefined) return known;
  let text = "";
  let bits = "";
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      bits += (byte >> bit) & 1;
      const symbol = symbols.get(bits);
      if (symbol === undefined) continue;
      text += String.fromCharCode(symbol);
      bits = "";
    }
  }
  if (bits.length > 7 || bits.includes("0")) throw new Error("wrong padding");
  if (decoded.size < 5000) decoded.set(key, text);
  return text;
}

/** Reads header blocks, one behind the other. */
export class BlockReader {
  #dynamic: (readonly [string, string])[] = [];
  #size = 0;
  #most = 4096;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  read(block: Buffer): Fields {
    this.#bytes = block;
    this.#at = 0;
    const fields: (readonly [string, string])[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if ((first & 0x80) !== 0) fields.push(this.#entry(this.#integer(7)));
      else if ((first & 0xe0) === 0x20) {
        this.#most = this.#integer(5);
        if (this.#most > 4096) throw new Error("a table larger than allowed");
        this.#evict();
      } else {
        const isIndexed = (first & 0x40) !== 0;
        const name = this.#integer(isIndexed ? 6 : 4);
        const field: readonly [string, string] = [
          name === 0 ? this.#text() : this.#entry(name)[0],
          this.#text(),
        ];
        if (isIndexed) this.#add(field);
        fields.push(field);
      }
    }
    return fields;
  }

  #entry(index: number): readonly [string, string] {
    const entry = index <= 61 ? staticTable[index - 1] : this.#dynamic[index - 62];
    if (entry === undefined) throw new Error(`no entry ${index}`);
    return entry;
  }

  #add(field: readonly [string, string]): void {
    this.#dynamic.unshift(field);
    this.#size += field[0].length + field[1].length + 32;
    this.#evict();
  }

  #evict(): void {
    while (this.#size > this.#most) {
      const last = this.#dynamic.pop() as readonly [string, string];
      this.#size -= last[0].length + last[1].length + 32;
    }
  }

  #integer(bits: number): number {
    const most = (1 << bits) - 1;
    let value = (this.#bytes[this.#at++] as number) & most;
    if (value < most) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error("a header block that is cut off");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  #text(): string {
    const isCoded = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const length = this.#integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error("a header block that is cut off");
    this.#at += length;
    return isCoded ? huffman(bytes) : bytes.toString("latin1");
  }
}
