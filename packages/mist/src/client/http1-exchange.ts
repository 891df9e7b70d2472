// One request and its response over HTTP/1.1, the client's side.
//
// Both directions run at once: a server may answer while the request's body is still being sent. An upload that nobody
// needs any more is cancelled.

import type { Field, Fields } from "../http/fields.ts";
import { isBodyless, isInformational } from "../http/status.ts";
import { chunkPrefix, chunkSuffix, lastChunk } from "../http1/chunked-coding.ts";
import type { Answer } from "./answer.ts";
import type { Line } from "./dial.ts";
import type { Outgoing } from "./outgoing.ts";
import { ResponseReader, type ResponseStart } from "./response-reader.ts";
import { Upload } from "./upload.ts";

/** Sends the request, and resolves with the head of the final response. `done` is called when the exchange is over. */
export async function exchangeHttp1(line: Line, request: Outgoing, done: () => void): Promise<Answer> {
  const exchange = new Http1Exchange(line, request, done);
  try {
    return await exchange.answer();
  } catch (error) {
    exchange.abandon();
    throw exchange.failure(error);
  }
}

class Http1Exchange {
  readonly #line: Line;
  readonly #request: Outgoing;
  readonly #reader: ResponseReader;
  readonly #done: () => void;
  readonly #upload: Upload | undefined;
  #isSent = false;

  constructor(line: Line, request: Outgoing, done: () => void) {
    this.#line = line;
    this.#request = request;
    this.#reader = new ResponseReader(request.method);
    this.#upload = request.body === undefined ? undefined : new Upload(request.body);
    this.#done = done;
  }

  async answer(): Promise<Answer> {
    void this.#send();
    for (;;) {
      const start = await this.#nextHead();
      if (start.status === 101) throw new Error("the server has switched protocols, which was not asked for");
      if (!isInformational(start.status)) return this.#answerTo(start);
    }
  }

  #answerTo({ status, reason, fields }: ResponseStart): Answer {
    let resolve!: (trailers: Headers) => void;
    let reject!: (error: unknown) => void;
    const trailers = new Promise<Headers>((...settle) => {
      [resolve, reject] = settle;
    });
    trailers.catch(() => {});
    const answer = { status, reason, headers: headersOf(fields), trailers, cancel: () => this.abandon() };
    if (this.#request.method !== "HEAD" && !isBodyless(status)) {
      return { ...answer, body: this.#chunks(resolve, reject) };
    }
    this.#complete();
    resolve(new Headers());
    return { ...answer, body: undefined };
  }

  async *#chunks(
    resolve: (trailers: Headers) => void,
    reject: (error: unknown) => void,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let isWhole = false;
    try {
      for (;;) {
        const event = this.#reader.next();
        if (event.type === "need-data") await this.#receive();
        else if (event.type === "data") yield event.data;
        else if (event.type === "end") {
          isWhole = true;
          resolve(headersOf(event.trailers));
          this.#complete();
          return;
        }
      }
    } catch (error) {
      throw this.failure(error);
    } finally {
      if (!isWhole) {
        reject(this.failure(new Error("the body was not read to its end")));
        this.abandon();
      }
    }
  }

  async #nextHead(): Promise<ResponseStart> {
    for (;;) {
      const event = this.#reader.next();
      if (event.type === "head") return event;
      await this.#receive();
    }
  }

  async #receive(): Promise<void> {
    const bytes = await this.#line.read();
    if (bytes === undefined) this.#reader.receiveEnd();
    else this.#reader.receive(bytes);
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  async #send(): Promise<void> {
    const isChunked = !(this.#request.body instanceof Uint8Array);
    try {
      await this.#line.write(headText(this.#request));
      await this.#upload?.send((piece) => this.#line.write(isChunked ? chunk(piece) : piece));
      if (this.#upload !== undefined && isChunked) await this.#line.write(lastChunk + chunkSuffix);
      this.#isSent = true;
    } catch {
      // A server that answers without the rest may close the connection, and its answer is still to be read.
      if (this.#upload?.failure !== undefined) this.#line.reset();
    }
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** The response is there as a whole. */
  #complete(): void {
    if (this.#isSent) this.#line.end();
    else this.abandon();
    this.#done();
  }

  /** Nobody waits for the response any more. */
  abandon(): void {
    this.#line.reset();
    this.#upload?.cancel();
    this.#done();
  }

  /** What a failure is told as: the reason of the signal, else a TypeError as `fetch` has it. */
  failure(error: unknown): unknown {
    const { signal } = this.#request;
    if (signal.aborted) return signal.reason;
    return fetchFailure(this.#upload?.failure?.error ?? error);
  }
}

/** The failure of a `fetch`, with what it came from. */
export function fetchFailure(cause: unknown): TypeError {
  return new TypeError("fetch failed", { cause });
}

/** A request head (RFC 9112 §3), the framing of its body included. */
export function headText({
  method,
  url,
  headers,
  body,
}: Pick<Outgoing, "method" | "url" | "headers" | "body">): string {
  const given = headers.some(([name]) => name === "host") ? [] : [["host", url.host] as Field];
  const fields: Fields = [...given, ...headers, ...framingOf(method, body)];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function framingOf(method: string, body: Outgoing["body"]): Fields {
  // RFC 9110 §8.6: a method that anticipates content says that there is none.
  if (body === undefined) return method === "POST" || method === "PUT" ? [["content-length", "0"]] : [];
  return body instanceof Uint8Array
    ? [["content-length", String(body.length)]]
    : [["transfer-encoding", "chunked"]];
}

export function headersOf(fields: Fields): Headers {
  const headers = new Headers();
  for (const [name, value] of fields) headers.append(name, value);
  return headers;
}

function chunk(data: Uint8Array): Buffer {
  const [before, behind] = [chunkPrefix(data.length), chunkSuffix].map((line) => Buffer.from(line, "latin1"));
  return Buffer.concat([before!, data, behind!]);
}
