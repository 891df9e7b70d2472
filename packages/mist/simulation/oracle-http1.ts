// What a client makes of the bytes of HTTP/1 responses. Written apart from mist's own core, and strict: whatever is not
// exactly as RFC 9112 has it is an error.

import { Buffer } from "node:buffer";

export interface ResponseHead {
  readonly version: string;
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** What the parser tells. */
export interface ResponseEvents {
  /** The method of the request that the next response answers; undefined: none is outstanding. */
  method(head: ResponseHead): string | undefined;
  informational(head: ResponseHead): void;
  head(head: ResponseHead, framing: "none" | "length" | "chunked" | "close", length: number): void;
  data(bytes: Buffer): void;
  end(trailers: ResponseHead["fields"]): void;
  /** Everything behind it belongs to another protocol. */
  upgraded(head: ResponseHead): void;
  broken(why: string): void;
}

type State =
  | "head"
  | "length"
  | "chunk-size"
  | "chunk"
  | "chunk-end"
  | "trailers"
  | "close"
  | "upgraded"
  | "broken";

const none: Buffer = Buffer.alloc(0);
const tokenForm = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const mostHead = 64 * 1024;

/** Reads responses, one after the other. */
export class ResponseReader {
  readonly #events: ResponseEvents;
  #held: Buffer = none;
  #state: State = "head";
  #left = 0;

  constructor(events: ResponseEvents) {
    this.#events = events;
  }

  /** In the middle of a response, or of a head. */
  get busy(): boolean {
    return this.#state !== "head" || this.#held.length > 0;
  }

  get state(): State {
    return this.#state;
  }

  receive(bytes: Buffer): Buffer {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (this.#step());
    if (this.#state !== "upgraded") return none;
    const rest = this.#held;
    this.#held = none;
    return rest;
  }

  /** The server's FIN. True: the response was whole, or none was under way. */
  receiveEnd(): boolean {
    if (this.#state === "close") {
      this.#state = "head";
      this.#events.end([]);
      return true;
    }
    return !this.busy;
  }

  #break(why: string): false {
    this.#state = "broken";
    this.#events.broken(why);
    return false;
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  #line(): string | undefined {
    const at = this.#held.indexOf("\r\n");
    if (at < 0) return undefined;
    return this.#take(at + 2)
      .subarray(0, at)
      .toString("latin1");
  }

  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#head();
      case "length":
      case "chunk": {
        if (this.#left > 0) {
          if (this.#held.length === 0) return false;
          const piece = this.#take(Math.min(this.#left, this.#held.length));
          this.#left -= piece.length;
          this.#events.data(piece);
        }
        if (this.#left > 0) return false;
        if (this.#state === "chunk") this.#state = "chunk-end";
        else this.#end([]);
        return true;
      }
      case "chunk-size": {
        const line = this.#line();
        if (line === undefined) return this.#held.length > 100 ? this.#break("an endless chunk size") : false;
        if (!/^[0-9a-fA-F]{1,8}$/.test(line)) return this.#break(`a chunk size of ${JSON.stringify(line)}`);
        this.#left = Number.parseInt(line, 16);
        this.#state = this.#left === 0 ? "trailers" : "chunk";
        return true;
      }
      case "chunk-end":
        if (this.#held.length < 2) return false;
        if (this.#take(2).toString("latin1") !== "\r\n") return this.#break("no CRLF behind a chunk");
        this.#state = "chunk-size";
        return true;
      case "trailers": {
        if (this.#held.subarray(0, 2).toString("latin1") === "\r\n") {
          this.#take(2);
          this.#end([]);
          return true;
        }
        const at = this.#held.indexOf("\r\n\r\n");
        if (at < 0) return false;
        const fields = this.#fields(
          this.#take(at + 4)
            .subarray(0, at)
            .toString("latin1")
            .split("\r\n"),
        );
        if (fields === undefined) return false;
        this.#end(fields);
        return true;
      }
      case "close":
        if (this.#held.length > 0) this.#events.data(this.#take(this.#held.length));
        return false;
      default:
        return false;
    }
  }

  #end(trailers: ResponseHead["fields"]): void {
    this.#state = "head";
    this.#events.end(trailers);
  }

  #fields(lines: readonly string[]): [string, string][] | undefined {
    const fields: [string, string][] = [];
    for (const line of lines) {
      const colon = line.indexOf(":");
      const name = line.slice(0, Math.max(0, colon));
      const value = line.slice(colon + 1);
      if (!tokenForm.test(name) || /[\r\n\0]/.test(value)) {
        this.#break(`a field line of ${JSON.stringify(line)}`);
        return undefined;
      }
      fields.push([name.toLowerCase(), value.trim()]);
    }
    return fields;
  }

  #head(): boolean {
    const at = this.#held.indexOf("\r\n\r\n");
    if (at < 0) {
      if (this.#held.length > mostHead) return this.#break("an endless head");
      const start = this.#held.subarray(0, 7).toString("latin1");
      return "HTTP/1.".startsWith(start) || start === "HTTP/1."
        ? false
        : this.#break(`a head of ${JSON.stringify(start)}`);
    }
    const [first = "", ...lines] = this.#held.subarray(0, at).toString("latin1").split("\r\n");
    const line = /^HTTP\/(1\.[01]) ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*$/.exec(first);
    if (line === null) return this.#break(`a status line of ${JSON.stringify(first)}`);
    const fields = this.#fields(lines);
    if (fields === undefined) return false;
    this.#take(at + 4);
    const head: ResponseHead = { version: line[1] as string, status: Number(line[2]), fields };
    if (head.status === 101) {
      this.#state = "upgraded";
      this.#events.upgraded(head);
      return false;
    }
    if (head.status < 200) {
      this.#events.informational(head);
      return true;
    }
    return this.#final(head);
  }

  /** RFC 9112 §6.3. */
  #final(head: ResponseHead): boolean {
    const method = this.#events.method(head);
    const all = (name: string): string[] =>
      head.fields.filter(([one]) => one === name).map(([, value]) => value);
    const codings = all("transfer-encoding");
    const lengths = all("content-length");
    if (codings.length > 0 && lengths.length > 0) return this.#break("both a transfer coding and a length");
    if (codings.length > 1 || lengths.length > 1) return this.#break("two fields of framing");
    if (lengths.length === 1 && !/^(0|[1-9][0-9]*)$/.test(lengths[0] as string))
      return this.#break(`a length of ${lengths[0]}`);
    if (codings.length === 1 && codings[0] !== "chunked") return this.#break(`a coding of ${codings[0]}`);
    const bodyless = method === "HEAD" || head.status === 204 || head.status === 304;
    if (head.status === 204 && (codings.length > 0 || lengths.length > 0))
      return this.#break("framing in a 204");
    const length = lengths.length === 1 ? Number(lengths[0]) : -1;
    if (bodyless) {
      this.#events.head(head, "none", length);
      this.#end([]);
    } else if (codings.length === 1) {
      this.#state = "chunk-size";
      this.#events.head(head, "chunked", -1);
    } else if (length >= 0) {
      this.#left = length;
      this.#state = "length";
      this.#events.head(head, "length", length);
    } else {
      this.#state = "close";
      this.#events.head(head, "close", -1);
    }
    return true;
  }
}
