// Request bodies out of bytes: one decoder per framing (RFC 9112 §6, §7.1).
//
// `decode` gives a piece of the body, the end, or `undefined` for "more bytes, please". Data are
// views of the received bytes; only tiny chunks are moved together, in place, so that a body sent
// as one-byte chunks costs its bytes and not its chunks.

import { LimitError, ProtocolError } from "../errors.ts";
import { type Fields, NO_FIELDS } from "../http/fields.ts";
import type { ReceiveBuffer } from "../http/receive-buffer.ts";
import { isTrailerField } from "../http/trailer-fields.ts";
import { ChunkLine } from "./chunked-coding.ts";
import type { BodyData, BodyEnd } from "./events.ts";
import { FieldSection, INCOMPLETE, SectionScan } from "./field-section.ts";
import { CR, LF } from "./grammar.ts";
import type { Http1Limits } from "./limits.ts";

export interface BodyDecoder {
  decode(buffer: ReceiveBuffer): BodyData | BodyEnd | undefined;
}

const bareEnd: BodyEnd = Object.freeze({ type: "end", trailers: NO_FIELDS });

/** A body of a known length. */
export class LengthDecoder implements BodyDecoder {
  #remaining: number;

  constructor(length: number) {
    this.#remaining = length;
  }

  decode(buffer: ReceiveBuffer): BodyData | BodyEnd | undefined {
    if (this.#remaining === 0) return bareEnd;
    const count = Math.min(buffer.length, this.#remaining);
    if (count === 0) return undefined;
    this.#remaining -= count;
    return { type: "data", data: buffer.take(count) };
  }
}

type ChunkedState = "line" | "data" | "data-cr" | "data-lf" | "trailer" | "done";

/** Chunks up to this size are moved together; larger ones are handed out where they lie. */
const smallChunk = 1024;

/** A chunked body (RFC 9112 §7.1). */
export class ChunkedDecoder implements BodyDecoder {
  #state: ChunkedState = "line";
  readonly #line: ChunkLine;
  /** Bytes of the current chunk still to come. */
  #left = 0;
  readonly #trailers: TrailerReader;
  /** A fault found behind data of the same packet: the data go out first. */
  #fault: unknown = undefined;

  constructor(limits: Http1Limits) {
    this.#line = new ChunkLine(limits.maxChunkExtension);
    this.#trailers = new TrailerReader(limits);
  }

  decode(buffer: ReceiveBuffer): BodyData | BodyEnd | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    const event = this.#toData(buffer) ? this.#decodeData(buffer) : this.#decodeTrailer(buffer);
    if (buffer.start === buffer.end) buffer.clear();
    return event;
  }

  /** The rest of this chunk, and the small chunks behind it that are here already. */
  #decodeData(buffer: ReceiveBuffer): BodyData {
    const { bytes, start } = buffer;
    let end = start;
    do {
      const count = Math.min(this.#left, buffer.length);
      if (end !== buffer.start) bytes.copyWithin(end, buffer.start, buffer.start + count);
      end += count;
      buffer.start += count;
      this.#left -= count;
      if (this.#left > 0) break;
      this.#state = "data-cr";
    } while (this.#anotherSmallChunk(buffer));
    return { type: "data", data: bytes.subarray(start, end) };
  }

  #anotherSmallChunk(buffer: ReceiveBuffer): boolean {
    try {
      return this.#toData(buffer) && this.#left <= smallChunk;
    } catch (error) {
      this.#fault = error;
      return false;
    }
  }

  /**
   * Consume coding up to the next byte of data. False: the bytes ended first, or the last chunk
   * came. Moves `buffer.start` only, so that the caller's view of the bytes stays.
   */
  #toData(buffer: ReceiveBuffer): boolean {
    for (;;) {
      if (this.#state === "trailer") return false;
      if (buffer.start === buffer.end) return false;
      switch (this.#state) {
        case "data":
          return true;
        case "data-cr":
          this.#expect(buffer, CR, "data-lf");
          break;
        case "data-lf":
          this.#expect(buffer, LF, "line");
          this.#line.next();
          break;
        default:
          if (!this.#chunkLine(buffer)) return false;
      }
    }
  }

  #expect(buffer: ReceiveBuffer, byte: number, next: ChunkedState): void {
    if (buffer.bytes[buffer.start] !== byte) {
      throw new ProtocolError("chunk data are not followed by CRLF", {
        status: 400,
        section: "RFC 9112 §7.1",
      });
    }
    buffer.start++;
    this.#state = next;
  }

  #chunkLine(buffer: ReceiveBuffer): boolean {
    const end = this.#line.scan(buffer.bytes, buffer.start, buffer.end);
    buffer.start = end === -1 ? buffer.end : end;
    if (end === -1) return false;
    this.#left = this.#line.size;
    this.#state = this.#left === 0 ? "trailer" : "data";
    return true;
  }

  #decodeTrailer(buffer: ReceiveBuffer): BodyEnd | undefined {
    if (this.#state !== "trailer") return undefined;
    const trailers = this.#trailers.read(buffer);
    if (trailers === undefined) return undefined;
    this.#state = "done";
    return trailers === NO_FIELDS ? bareEnd : { type: "end", trailers };
  }
}

/** Reads the trailer section: the grammar of a head's fields, its own limits. */
class TrailerReader {
  readonly #limits: Http1Limits;
  readonly #scan = new SectionScan();

  constructor(limits: Http1Limits) {
    this.#limits = limits;
  }

  read(buffer: ReceiveBuffer): Fields | undefined {
    const { maxTrailer, maxTrailerFields } = this.#limits;
    const stop = Math.min(buffer.end, buffer.start + maxTrailer);
    const end = this.#scan.scan(buffer.bytes, buffer.start, stop, maxTrailerFields);
    if (end === INCOMPLETE) {
      if (stop - buffer.start === maxTrailer) throw trailerTooLong(maxTrailer);
      return undefined;
    }
    if (this.#scan.count === 0) {
      buffer.consumeTo(end);
      return NO_FIELDS;
    }
    const section = new FieldSection(buffer.bytes.toString("latin1", buffer.start, end));
    buffer.consumeTo(end);
    const kept = section.fields.filter(([name]) => isTrailerField(name));
    return kept.length === 0 ? NO_FIELDS : kept;
  }
}

function trailerTooLong(max: number): LimitError {
  return new LimitError(`the trailer section is longer than ${max} bytes`, {
    status: 431,
    section: "RFC 9112 §7.1.2",
    limit: "maxTrailer",
    max,
  });
}
