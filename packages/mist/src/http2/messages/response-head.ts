// Response heads as header blocks: status, date, fields, content-length (RFC 9113 §8.2.2, §8.3.2).
//
// Framing is the core's business, as in HTTP/1: the application's content-length must agree with the body, and what
// speaks about the connection is left out, so that one handler serves both versions.
//
// A server says the same to many. A block that changed nothing in the table is kept, and while the table is the same a
// response with the same status, date and fields gets the same bytes.

import { Buffer } from "node:buffer";
import { UsageError } from "../../errors.ts";
import { agreedLength, parseContentLength } from "../../http/content-length.ts";
import { type Field, type Fields, fieldName, fieldValue } from "../../http/fields.ts";
import { isInformational, isStatus } from "../../http/status.ts";
import { isTrailerField } from "../../http/trailer-fields.ts";
import type { ByteSink } from "../frames/byte-sink.ts";
import { HpackEncoder } from "../hpack/encoder.ts";
import { writeInteger } from "../hpack/integer.ts";
import { staticNameIndex } from "../hpack/static-table.ts";
import { isConnectionSpecific } from "./field-kind.ts";

/** How the body behind a head is framed; `"none"`: no byte of it may be sent. */
export type BodyMode = "none" | "length" | "stream";

/** What to answer with. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  /** Bytes of the body; `undefined`: not known, it is streamed. */
  readonly length: number | undefined;
}

interface KeptBlock {
  readonly status: number;
  readonly date: string;
  /** Names and values in turn, as they were given. */
  readonly texts: readonly string[];
  readonly generation: number;
  readonly bytes: Buffer;
  readonly declared: number | undefined;
}

const MAX_KEPT = 4;
const MAX_KEPT_BYTES = 256;
const CONTENT_LENGTH_INDEX: number = staticNameIndex("content-length");

/** Makes header blocks for one connection. Its properties tell what the last head settled. */
export class ResponseHeadEncoder {
  mode: BodyMode = "none";
  /** Declared bytes; 0 unless `mode` is `"length"`. */
  length = 0;
  readonly #hpack: HpackEncoder = new HpackEncoder();
  readonly #kept: KeptBlock[] = [];
  #oldest = 0;
  /** The application's content-length in the fields encoded last. */
  #declared: number | undefined = undefined;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setMaxTableSize(size: number): void {
    this.#hpack.setMaxTableSize(size);
  }

  /**
   * Settles mode and length, and throws a `UsageError` before anything is encoded when the response cannot be sent:
   * what is in the encoder's table must have been sent.
   */
  #settle(response: ResponseHead, isHead: boolean, isTunnel: boolean, declared: number | undefined): void {
    const { status } = response;
    const length = agreedLength(response.length, declared, isHead || status === 304);
    this.length = 0;
    this.mode = "none";
    if (isTunnel && status < 300) {
      this.mode = "stream";
    } else if (!isHead && status !== 204 && status !== 205 && status !== 304) {
      this.mode = length === undefined ? "stream" : "length";
      this.length = length ?? 0;
    }
  }

  /** Encodes a final head. `isTunnel`: a 2xx opens a stream of bytes (RFC 8441 §5). Throws a `UsageError`. */
  encode(sink: ByteSink, response: ResponseHead, date: string, isHead: boolean, isTunnel: boolean): void {
    const { status, fields } = response;
    const kept = this.#find(status, date, fields);
    if (kept !== undefined) {
      this.#settle(response, isHead, isTunnel, kept.declared);
      sink.append(kept.bytes);
    } else {
      if (!isStatus(status) || status < 200) throw new UsageError(`${status} is no final status`);
      const own = this.#check(fields);
      this.#settle(response, isHead, isTunnel, this.#declared);
      this.#encodeAndKeep(sink, status, date, fields, own);
    }
    this.#contentLength(sink, response, kept === undefined ? this.#declared : kept.declared, isHead);
  }

  #find(status: number, date: string, fields: Fields): KeptBlock | undefined {
    if (this.#hpack.resizing) return undefined;
    const { generation } = this.#hpack.table;
    for (let i = 0; i < this.#kept.length; i++) {
      const kept = this.#kept[i] as KeptBlock;
      if (kept.status !== status || kept.generation !== generation || kept.date !== date) continue;
      if (saysTheSame(kept.texts, fields)) return kept;
    }
    return undefined;
  }

  /** The fields to be sent, checked: most were when they were set, but a list can be changed behind our back. */
  #check(fields: Fields): Field[] {
    this.#declared = undefined;
    const own: Field[] = [];
    for (const [given, value] of fields) {
      const name = fieldName(given);
      fieldValue(name, value);
      if (name === "content-length") this.#declare(value);
      else if (!isConnectionSpecific(name)) own.push([name, value]);
    }
    return own;
  }

  #declare(value: string): void {
    const length = parseContentLength(value);
    if (length === undefined || (this.#declared !== undefined && this.#declared !== length)) {
      throw new UsageError(`content-length ${JSON.stringify(value)} is no length (RFC 9110 §8.6)`);
    }
    this.#declared = length;
  }

  #encodeAndKeep(sink: ByteSink, status: number, date: string, fields: Fields, own: readonly Field[]): void {
    const hpack = this.#hpack;
    const start = sink.length;
    const resized = hpack.resizing;
    hpack.begin(sink);
    const { generation } = hpack.table;
    hpack.field(sink, ":status", String(status));
    if (date !== "" && !own.some(([name]) => name === "date")) hpack.field(sink, "date", date);
    for (const [name, value] of own) hpack.field(sink, name, value);
    if (resized || generation !== hpack.table.generation || sink.length - start > MAX_KEPT_BYTES) return;
    const bytes = Buffer.from(sink.bytes.subarray(start, sink.length));
    // A copy: the application may change its own list.
    const block = { status, date, texts: fields.flat(), generation, bytes, declared: this.#declared };
    if (this.#kept.length < MAX_KEPT) this.#kept.push(block);
    else {
      this.#kept[this.#oldest] = block;
      this.#oldest = (this.#oldest + 1) % MAX_KEPT;
    }
  }

  /** RFC 9110 §8.6: the length, also of a body that a HEAD request or a 304 leaves out. */
  #contentLength(
    sink: ByteSink,
    response: ResponseHead,
    declared: number | undefined,
    isHead: boolean,
  ): void {
    const { status } = response;
    if (this.mode === "length") writeLength(sink, this.length);
    else if (this.mode === "stream" || status === 204) return;
    else if (status === 205) writeLength(sink, 0);
    else if (status === 304) {
      if (declared !== undefined) writeLength(sink, declared);
    } else if (isHead) {
      const length = response.length ?? declared;
      if (length !== undefined) writeLength(sink, declared ?? length);
    }
  }

  /** Encodes an interim head: 1xx but not 101, which HTTP/2 does not have (RFC 9113 §8.6). Throws a `UsageError`. */
  encodeInformational(sink: ByteSink, status: number, fields: Fields): void {
    if (!isInformational(status) || status === 101) throw new UsageError(`${status} is no interim status`);
    const own = this.#check(fields);
    if (this.#declared !== undefined) throw new UsageError("content-length may not stand in a 1xx response");
    this.#hpack.begin(sink);
    this.#hpack.field(sink, ":status", String(status));
    for (const [name, value] of own) this.#hpack.field(sink, name, value);
  }

  /** The fields as trailers; a copy, because they may wait and the list be changed. Throws a `UsageError`. */
  checkTrailers(trailers: Fields): Field[] {
    return trailers.map(([given, value]) => {
      const name = fieldName(given);
      if (!isTrailerField(name)) {
        throw new UsageError(`${name} may not stand in a trailer section (RFC 9110 §6.5.1)`);
      }
      return [name, fieldValue(name, value)];
    });
  }

  /** Encodes trailers, checked. */
  encodeTrailers(sink: ByteSink, trailers: Fields): void {
    this.#hpack.begin(sink);
    for (const [name, value] of trailers) this.#hpack.field(sink, name, value);
  }
}

/** The same strings, mostly: then they are quickly compared. */
function saysTheSame(texts: readonly string[], fields: Fields): boolean {
  if (texts.length !== fields.length * 2) return false;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as Field;
    if (texts[i * 2] !== field[0] || texts[i * 2 + 1] !== field[1]) return false;
  }
  return true;
}

/** content-length, without indexing: most bodies have another one. */
function writeLength(sink: ByteSink, length: number): void {
  writeInteger(sink, CONTENT_LENGTH_INDEX, 0x0f, 0x00);
  let digits = 1;
  for (let rest = length; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  sink.octet(digits);
  sink.reserve(digits);
  const end = sink.length + digits;
  for (let at = end - 1, rest = length; at >= sink.length; at--, rest = Math.floor(rest / 10)) {
    sink.bytes[at] = 0x30 + (rest % 10);
  }
  sink.length = end;
}
