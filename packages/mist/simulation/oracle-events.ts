// An event stream, as a browser reads it (WHATWG HTML §9.2.6).

import { Buffer } from "node:buffer";

export interface StreamedEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** Reads events out of the content of a response. */
export class EventReader {
  readonly #dispatch: (event: StreamedEvent) => void;
  #held: Buffer = Buffer.alloc(0);
  #data: string[] = [];
  #type = "";
  #id: string | undefined = undefined;
  comments = 0;
  retryMs = -1;

  constructor(dispatch: (event: StreamedEvent) => void) {
    this.#dispatch = dispatch;
  }

  receive(bytes: Uint8Array): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    for (let at = this.#held.indexOf(10); at >= 0; at = this.#held.indexOf(10)) {
      const line = this.#held.subarray(0, at).toString("utf8");
      this.#held = this.#held.subarray(at + 1);
      this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
  }

  #line(line: string): void {
    if (line === "") {
      if (this.#data.length > 0)
        this.#dispatch({ type: this.#type || "message", data: this.#data.join("\n"), id: this.#id });
      this.#data = [];
      this.#type = "";
      return;
    }
    if (line.startsWith(":")) {
      this.comments += 1;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id") this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
  }
}
