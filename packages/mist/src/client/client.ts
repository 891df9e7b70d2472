// The client behind `server.fetch` and `server.websocket`: loaded when one of them is called first, so that a server in
// production has none of it.

import { randomBytes } from "node:crypto";
import type { ConnectOptions } from "@x/glisten";
import { checkNames } from "@x/glisten/kit";
import { type FieldsOption, fieldLines } from "../http/fields.ts";
import { acceptKey } from "../websocket/handshake.ts";
import { type Answer, type FetchedResponse, responseOf } from "./answer.ts";
import { type Line, Lines, type Reachable } from "./dial.ts";
import { exchangeHttp1, fetchFailure, headersOf, headText } from "./http1-exchange.ts";
import { exchangeHttp2 } from "./http2-exchange.ts";
import { type FetchInit, type Outgoing, originOf, outgoing, urlOf } from "./outgoing.ts";
import { ResponseReader, type ResponseStart } from "./response-reader.ts";
import { WebSocketClient } from "./websocket-client.ts";

/** Options of `server.websocket`. */
export interface WebSocketClientOptions {
  /** Subprotocols to offer, the most wanted first. */
  readonly protocols?: readonly string[] | undefined;
  /** Further fields of the handshake, such as `cookie` or `origin`. */
  readonly headers?: FieldsOption | undefined;
  /** The connection that it runs on: the client's address, the size of the buffers. */
  readonly connection?: ConnectOptions | undefined;
}

/** The clients of one server. */
export class Client {
  readonly #server: Reachable;
  readonly #lines: Lines;

  constructor(server: Reachable) {
    this.#server = server;
    this.#lines = new Lines(server);
  }

  async fetch(input: string | URL | Request, init: FetchInit): Promise<FetchedResponse> {
    const request = await outgoing(input, init, originOf(this.#server.url));
    request.signal.throwIfAborted();
    const answer = await this.#exchange(request);
    if (
      request.redirect === "error" &&
      answer.status >= 300 &&
      answer.status < 400 &&
      answer.status !== 304
    ) {
      answer.cancel();
      throw fetchFailure(new Error(`the server redirects, with ${answer.status}`));
    }
    return responseOf(answer, request.url);
  }

  async #exchange(request: Outgoing): Promise<Answer> {
    const { signal, url, httpVersion, connection } = request;
    let line: Line;
    try {
      line = await this.#lines.dial(connection, url.hostname, httpVersion === 2 ? "h2" : "http/1.1");
    } catch (error) {
      throw signal.aborted ? signal.reason : fetchFailure(error);
    }
    const abort = (): void => line.reset();
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    const exchange = httpVersion === 2 ? exchangeHttp2 : exchangeHttp1;
    return await exchange(line, request, () => signal.removeEventListener("abort", abort));
  }

  async websocket(path: string | URL, options: WebSocketClientOptions): Promise<WebSocketClient> {
    checkNames("websocket", options, ["protocols", "headers", "connection"]);
    const url = urlOf(
      typeof path === "string" ? path.replace(/^ws/, "http") : path,
      originOf(this.#server.url),
    );
    const key = randomBytes(16).toString("base64");
    const { protocols = [], connection } = options;
    const handshake = [
      ["upgrade", "websocket"],
      ["connection", "Upgrade"],
      ["sec-websocket-key", key],
      ["sec-websocket-version", "13"],
      ...protocols.map((protocol) => ["sec-websocket-protocol", protocol] as const),
      ...fieldLines(options.headers ?? []),
    ] as const;
    const line = await this.#lines.dial(connection, url.hostname, "http/1.1");
    try {
      const reader = new ResponseReader("GET");
      await line.write(headText({ method: "GET", url, headers: handshake, body: undefined }));
      const start = await firstHead(line, reader);
      if (start.status !== 101) throw await refusal(start, line, reader, url);
      const headers = headersOf(start.fields);
      if (headers.get("sec-websocket-accept") !== acceptKey(key)) {
        throw new TypeError("the server's Sec-WebSocket-Accept does not answer our key");
      }
      return new WebSocketClient(line, headers, reader.takeRemaining());
    } catch (error) {
      line.reset();
      throw error instanceof TypeError ? error : fetchFailure(error);
    }
  }

  /** Breaks off every connection that is left. */
  close(): void {
    this.#lines.reset();
  }
}

async function firstHead(line: Line, reader: ResponseReader): Promise<ResponseStart> {
  for (;;) {
    const event = reader.next();
    if (event.type === "head" && (event.status >= 200 || event.status === 101)) return event;
    if (event.type === "need-data") await receive(line, reader);
  }
}

async function receive(line: Line, reader: ResponseReader): Promise<void> {
  const bytes = await line.read();
  if (bytes === undefined) reader.receiveEnd();
  else reader.receive(bytes);
}

/** A handshake that was refused: the response is the cause. */
async function refusal(
  { status, reason, fields }: ResponseStart,
  line: Line,
  reader: ResponseReader,
  url: URL,
): Promise<TypeError> {
  const pieces: Uint8Array[] = [];
  for (let event = reader.next(); event.type !== "end"; event = reader.next()) {
    if (event.type === "need-data") await receive(line, reader);
    else if (event.type === "data") pieces.push(event.data);
  }
  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* pieces;
  }
  const answer = {
    status,
    reason,
    headers: headersOf(fields),
    body: body(),
    trailers: Promise.resolve(new Headers()),
    cancel() {},
  };
  const hasBody = pieces.length > 0;
  const cause = responseOf(hasBody ? answer : { ...answer, body: undefined }, url);
  return new TypeError(`the server answered the WebSocket handshake with ${status}`, { cause });
}
