// Response bodies into bytes, in the mode that the head settled: the encoder beside the decoder.
//
// Counts what was promised: a body longer than its Content-Length is refused before a byte of the
// excess leaves, a shorter one is refused at its end, when only breaking the connection can tell.

import { UsageError } from "../errors.ts";
import { type Fields, fieldName, fieldValue } from "../http/fields.ts";
import { isTrailerField } from "../http/trailer-fields.ts";
import { chunkPrefix, chunkSuffix, lastChunk } from "./chunked-coding.ts";
import type { Pieces } from "./events.ts";
import type { BodyMode } from "./response-head.ts";

const nothing: Pieces = [];

/** One instance per connection; `begin` starts a body. */
export class BodyEncoder {
  mode: BodyMode = "none";
  /** Declared bytes not sent yet. */
  #remaining = 0;

  begin(mode: BodyMode, length: number): void {
    this.mode = mode;
    this.#remaining = length;
  }

  /** What to write for `data`: nothing for empty data, which would be the last chunk. Throws `UsageError`. */
  data(data: Uint8Array): Pieces {
    const { mode } = this;
    if (mode === "length") this.#count(data.length);
    if (mode === "none" || data.length === 0) return nothing;
    return mode === "chunked" ? [chunkPrefix(data.length), data, chunkSuffix] : [data];
  }

  /** What ends the body. Only the chunked coding has a place for trailers. Throws `UsageError`. */
  end(trailers: Fields): Pieces {
    if (this.mode === "chunked") return [`${lastChunk}${trailerLines(trailers)}\r\n`];
    if (this.mode !== "length") return nothing;
    if (this.#remaining > 0) {
      throw new UsageError(`the body is ${this.#remaining} bytes shorter than its content-length`);
    }
    return nothing;
  }

  #count(size: number): void {
    if (size > this.#remaining) {
      throw new UsageError(
        `the body is longer than its content-length by ${size - this.#remaining} bytes or more`,
      );
    }
    this.#remaining -= size;
  }
}

function trailerLines(trailers: Fields): string {
  let text = "";
  for (const [given, value] of trailers) {
    const name = fieldName(given);
    if (!isTrailerField(name))
      throw new UsageError(`${name} is not allowed in a trailer section (RFC 9110 §6.5.1)`);
    text += `${name}: ${fieldValue(name, value)}\r\n`;
  }
  return text;
}
