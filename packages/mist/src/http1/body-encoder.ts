/**
 * Response bodies into bytes, by the mode the head settled: the encoder beside the decoder.
 *
 * Counts what was promised: a body longer than its Content-Length is refused before a byte of the
 * excess leaves, a shorter one is refused at its end, when only breaking the connection can tell.
 */

import { UsageError } from "../errors.ts";
import { type Fields, fieldName, fieldValue } from "../http/fields.ts";
import { isTrailerField } from "../http/trailer-fields.ts";
import { CHUNK_SUFFIX, chunkPrefix, LAST_CHUNK } from "./chunked-coding.ts";
import type { BodyMode } from "./response-head.ts";

/** One instance per connection; `begin` starts a body. */
export class BodyEncoder {
  mode: BodyMode = "none";
  /** Declared bytes not sent yet. */
  private remaining = 0;

  begin(mode: BodyMode, length: number): void {
    this.mode = mode;
    this.remaining = length;
  }

  /** What goes behind each piece of data. */
  get suffix(): "" | "\r\n" {
    return this.mode === "chunked" ? CHUNK_SUFFIX : "";
  }

  /**
   * Account for `size` bytes of data and return what goes before them. Nothing must be written for
   * size 0: in chunked coding that would be the last chunk.
   */
  prefix(size: number): string {
    if (this.mode === "chunked") return size === 0 ? "" : chunkPrefix(size);
    if (this.mode === "length") {
      if (size > this.remaining) {
        throw new UsageError(
          `the body is longer than its content-length by ${size - this.remaining} bytes or more`,
        );
      }
      this.remaining -= size;
    }
    return "";
  }

  /** What ends the body. Trailers need the chunked coding; where there is no body they are left out. */
  end(trailers: Fields): string {
    if (this.mode === "chunked") return `${LAST_CHUNK}${trailerLines(trailers)}\r\n`;
    if (this.mode !== "length") return "";
    if (this.remaining > 0) {
      throw new UsageError(`the body is ${this.remaining} bytes shorter than its content-length`);
    }
    if (trailers.length > 0) throw new UsageError("trailers need a body of unknown length (RFC 9110 §6.5)");
    return "";
  }
}

function trailerLines(trailers: Fields): string {
  let text = "";
  for (const [given, value] of trailers) {
    const name = fieldName(given);
    if (!isTrailerField(name))
      throw new UsageError(`${name} may not stand in a trailer section (RFC 9110 §6.5.1)`);
    text += `${name}: ${fieldValue(name, value)}\r\n`;
  }
  return text;
}
