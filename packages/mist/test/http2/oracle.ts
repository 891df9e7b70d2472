// Node's own HTTP/2 client, which is nghttp2, at the other end of our core: bytes go from one to the other in memory.

import { once } from "node:events";
import http2 from "node:http2";
import { Duplex } from "node:stream";
import { Http2Connection, type Http2Options } from "../../src/http2/connection.ts";
import type { Http2Event } from "../../src/http2/events.ts";
import type { Stream } from "../../src/http2/streams/stream.ts";

type Handler = (stream: Stream, core: Http2Connection) => void;

/** A client and the core that serves it. */
export class Oracle {
  readonly core: Http2Connection;
  readonly client: http2.ClientHttp2Session;
  readonly events: Http2Event[] = [];
  readonly #duplex: Duplex;
  readonly #handler: (event: Http2Event, core: Http2Connection) => void;
  #scheduled = false;

  constructor(
    handler: (event: Http2Event, core: Http2Connection) => void,
    options: Http2Options = {},
    clientOptions: http2.ClientSessionOptions = {},
  ) {
    this.#handler = handler;
    this.core = new Http2Connection(0, options);
    this.#duplex = new Duplex({
      read: () => this.flushSoon(),
      write: (chunk: Buffer, _encoding, done) => {
        this.core.receive(Buffer.from(chunk), 0);
        this.pump();
        this.flushSoon();
        done();
      },
      final: (done) => {
        this.core.receiveEnd();
        this.#duplex.push(null);
        done();
      },
    });
    this.client = http2.connect("http://host.example", {
      ...clientOptions,
      createConnection: () => this.#duplex,
    });
  }

  /** Takes every event there is. */
  pump(): void {
    for (;;) {
      const event = this.core.next();
      if (event.type === "need-data" || event.type === "closed") return;
      this.events.push(event);
      this.#handler(event, this.core);
    }
  }

  /** Hands the client what the core has to write. */
  flush(): void {
    for (;;) {
      const { pieces, onSent } = this.core.output(1 << 20, 0);
      if (pieces.length === 0 && onSent.length === 0) break;
      for (const piece of pieces) this.#duplex.push(Buffer.from(piece));
      for (const sent of onSent) sent();
      this.pump();
    }
  }

  flushSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  async close(): Promise<void> {
    this.client.destroy();
    if (!this.client.closed) await once(this.client, "close");
  }
}

/** Answers requests when they are complete. */
export function answering(handler: Handler): (event: Http2Event, core: Http2Connection) => void {
  return (event, core) => {
    if (event.type === "request" && !event.head.hasBody) handler(event.stream, core);
    else if (event.type === "end") handler(event.stream, core);
  };
}

/** A response as the client has got it. */
export interface Got {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders | undefined;
  readonly informational: readonly http2.IncomingHttpHeaders[];
}

/** Sends a request and waits for its response. */
export function exchange(
  client: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: string | Buffer,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const stream = client.request(headers, { endStream: body === undefined });
    const chunks: Buffer[] = [];
    const informational: http2.IncomingHttpHeaders[] = [];
    let head: (http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader) | undefined;
    let trailers: http2.IncomingHttpHeaders | undefined;
    stream.on("headers", (fields) => informational.push(fields));
    stream.on("response", (fields) => {
      head = fields;
    });
    stream.on("trailers", (fields) => {
      trailers = fields;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      if (head === undefined) reject(new Error(`closed with ${stream.rstCode}`));
      else
        resolve({
          status: head[":status"] as number,
          headers: head,
          body: Buffer.concat(chunks),
          trailers,
          informational,
        });
    });
    if (body !== undefined) stream.end(body);
  });
}
