// What went over one connection and when, readable. Bounded: of a long chunk the beginning is kept, of a long
// conversation the end.

import { clock } from "../clock.ts";
import type { Tap } from "../socket/tap.ts";

/** `send` and `receive` are bytes; `event` is what happened to the connection; `note` is the script's own. */
export type EntryKind = "send" | "receive" | "event" | "note";

/** One line of a transcript. */
export interface TranscriptEntry {
  /** Milliseconds since the transcript began. */
  readonly atMs: number;
  /** Bytes of one direction, an event, or a note. */
  readonly kind: EntryKind;
  /** The first bytes of a chunk, or the text of an event. */
  readonly text: string;
}

const arrows: Readonly<Record<EntryKind, string>> = { send: "→", receive: "←", event: "·", note: "#" };

const sentences: Readonly<Record<string, string>> = {
  end: "the peer sent FIN",
  "half-close": "FIN sent",
  shutdown: "shutdown",
  close: "close",
  reset: "RST sent",
  secure: "TLS established",
  closed: "connection closed",
  error: "connection failed",
};

/** Bytes shown of one chunk. */
const maxShownBytes = 512;
/** Entries kept; the oldest go first. */
const maxEntries = 1000;

/** What went over one connection: the last 1000 entries, 512 bytes of each chunk. */
export class Transcript {
  readonly #name: string;
  readonly #entries: TranscriptEntry[] = [];
  readonly #startedAt: number = clock.now();
  #dropped = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** The entries that are kept, oldest first. */
  get entries(): readonly TranscriptEntry[] {
    return this.#entries;
  }

  /** The tap to give to the socket. */
  get tap(): Tap {
    return {
      received: (bytes) => this.#add("receive", escapeBytes(bytes, maxShownBytes)),
      sent: (bytes) => this.#add("send", escapeBytes(bytes, maxShownBytes)),
      event: (event, detail) => {
        const sentence = sentences[event] ?? event;
        this.#add("event", detail === undefined ? sentence : `${sentence}: ${detail}`);
      },
    };
  }

  /** Records what happened to the connection. */
  event(text: string): void {
    this.#add("event", text);
  }

  /** Records a remark of the script. */
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
    if (this.#entries.length === maxEntries) {
      this.#entries.shift();
      this.#dropped++;
    }
    this.#entries.push({ atMs: clock.now() - this.#startedAt, kind, text });
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
