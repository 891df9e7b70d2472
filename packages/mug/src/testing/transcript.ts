/**
 * What went over one connection and when, readable. Bounded: a long chunk is shown by its beginning, a long
 * conversation by its end.
 */

import type { Tap } from "../tap.ts";

/** `send` and `receive` are bytes; `event` is what happened to the connection; `note` is the script's own. */
export type EntryKind = "send" | "receive" | "event" | "note";

/** One line of a transcript. */
export interface TranscriptEntry {
  /** Milliseconds since the connection came about. */
  readonly atMs: number;
  /** Bytes of one direction, an event, or a note. */
  readonly kind: EntryKind;
  /** The first bytes of a chunk, or the text of an event. */
  readonly text: string;
}

const arrows: Readonly<Record<EntryKind, string>> = { send: "→", receive: "←", event: "·", note: "#" };

const sentences: Readonly<Record<string, string>> = {
  end: "the peer sent FIN",
  "half-close": "we send FIN",
  shutdown: "we shut down",
  close: "we close",
  reset: "we reset",
  secure: "TLS is up",
  closed: "the connection is gone",
  error: "failed",
};

/** Bytes shown of one chunk. */
const MAX_SHOWN = 512;
/** Entries kept; the oldest go first. */
const MAX_ENTRIES = 1000;

/** What went over one connection: the last 1000 entries, 512 bytes of each chunk. */
export class Transcript {
  readonly #name: string;
  readonly #entries: TranscriptEntry[] = [];
  readonly #startedAt: number = performance.now();
  #dropped = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** The entries that are kept, oldest first. */
  get entries(): readonly TranscriptEntry[] {
    return this.#entries;
  }

  /** To be given to the socket. */
  get tap(): Tap {
    return {
      received: (bytes) => this.#add("receive", escapeBytes(bytes, MAX_SHOWN)),
      sent: (bytes) => this.#add("send", escapeBytes(bytes, MAX_SHOWN)),
      event: (event, detail) => {
        const sentence = sentences[event] ?? event;
        this.#add("event", detail === undefined ? sentence : `${sentence}: ${detail}`);
      },
    };
  }

  /** Writes down what happened to the connection. */
  event(text: string): void {
    this.#add("event", text);
  }

  /** Writes down a remark of the script's. */
  note(text: string): void {
    this.#add("note", text);
  }

  /** One line per entry: time in ms, direction, escaped bytes. */
  toString(): string {
    const head = `transcript of ${this.#name} (ms, → sent, ← received):`;
    const dropped = this.#dropped > 0 ? [`  … ${this.#dropped} earlier entries`] : [];
    const lines = this.#entries.map(
      ({ atMs, kind, text }) => `${atMs.toFixed(1).padStart(9)}  ${arrows[kind]}  ${text}`,
    );
    return [head, ...dropped, ...lines].join("\n");
  }

  #add(kind: EntryKind, text: string): void {
    if (this.#entries.length === MAX_ENTRIES) {
      this.#entries.shift();
      this.#dropped++;
    }
    this.#entries.push({ atMs: performance.now() - this.#startedAt, kind, text });
  }
}

const escapes: Readonly<Record<number, string>> = {
  9: "\\t",
  10: "\\n",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** Bytes in quotes, printable ASCII as it is, all else as `\n`, `\r`, `\t`, `\"`, `\\` or `\xNN`. Strings are UTF-8. */
export function escapeBytes(bytes: string | Uint8Array, maxShown: number = Number.POSITIVE_INFINITY): string {
  const all = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  let text = '"';
  const shown = Math.min(all.length, maxShown);
  for (let index = 0; index < shown; index++) {
    const byte = all[index]!;
    const plain =
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
    text += escapes[byte] ?? plain;
  }
  return all.length > shown ? `${text}" … ${all.length - shown} more bytes` : `${text}"`;
}
