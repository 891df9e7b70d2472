// One request and its response over HTTP/2, the client's side: `node:http2` on a connection in memory.

import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from "node:http2";
import { isBodyless } from "../http/status.ts";
import type { Answer } from "./answer.ts";
import type { Line } from "./dial.ts";
import { fetchFailure } from "./http1-exchange.ts";
import { Intake } from "./intake.ts";
import type { Outgoing } from "./outgoing.ts";
import { Upload, writeTo } from "./upload.ts";

/** Sends the request, and resolves with the head of the final response. `done` is called when the exchange is over. */
export async function exchangeHttp2(line: Line, request: Outgoing, done: () => void): Promise<Answer> {
  // Few tests need it.
  const { connect, constants } = await import("node:http2");
  const session = connect(request.url.origin, { createConnection: () => line.stream });
  const { body } = request;
  const upload = body === undefined ? undefined : new Upload(body);
  /** How the connection broke: Node may end its streams as if nothing had happened. */
  let broken: unknown;
  for (const end of [session, line.stream]) {
    end.on("error", (error: unknown) => {
      broken ??= error;
    });
  }
  const failure = (error: unknown): unknown =>
    request.signal.aborted ? request.signal.reason : fetchFailure(upload?.failure?.error ?? broken ?? error);
  const end = (): void => {
    upload?.cancel();
    session.close();
    done();
  };
  try {
    const stream = session.request(headersFor(request), { endStream: body === undefined });
    // Node ends a stream in order whose connection is lost.
    const content = new Content(stream, () => {
      const isWhole = broken === undefined && (stream.rstCode ?? 0) === 0;
      return isWhole ? undefined : failure(new Error("the server broke the response off"));
    });
    const start = startOf(stream, session);
    // A server that has answered does not want the rest.
    stream.once("end", () => {
      if (upload?.isOver === false) stream.destroy();
    });
    stream.once("close", end);
    void send(stream, upload);
    const headers = await start;
    const status = Number(headers[":status"]);
    const isEmpty = request.method === "HEAD" || isBodyless(status);
    if (isEmpty) stream.resume();
    return {
      status,
      reason: "",
      headers: toHeaders(headers),
      body: isEmpty ? undefined : content,
      trailers: content.trailers,
      cancel: () => stream.close(constants.NGHTTP2_CANCEL),
    };
  } catch (error) {
    const told = failure(error);
    session.destroy();
    line.reset();
    done();
    throw told;
  }
}

function headersFor({ method, url, headers, body }: Outgoing): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {
    ":method": method,
    ":scheme": url.protocol.slice(0, -1),
    ":authority": headers.find(([name]) => name === "host")?.[1] ?? url.host,
    ":path": url.pathname + url.search,
  };
  for (const [name, value] of headers) if (name !== "host") fields[name] = value;
  if (body instanceof Uint8Array) fields["content-length"] = body.length;
  return fields;
}

function startOf(stream: ClientHttp2Stream, session: ClientHttp2Session): Promise<IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    stream.once("response", resolve);
    stream.once("error", reject);
    session.once("error", reject);
    stream.once("close", () => reject(new Error("the server closed the stream before its response")));
  });
}

/** The content of a stream and what comes behind it. `failure`: why it is not whole; undefined: it is. */
class Content {
  readonly trailers: Promise<Headers>;
  readonly #intake: Intake;

  constructor(stream: ClientHttp2Stream, failure: () => unknown) {
    let trailers = new Headers();
    stream.once("trailers", (fields) => {
      trailers = toHeaders(fields);
    });
    let settle!: (failed: unknown) => void;
    this.trailers = new Promise((resolve, reject) => {
      settle = (failed) => (failed === undefined ? resolve(trailers) : reject(failed));
    });
    this.trailers.catch(() => {});
    this.#intake = new Intake(stream, failure, settle);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let piece = await this.#intake.next(); piece !== undefined; piece = await this.#intake.next()) {
      yield piece;
    }
  }
}

async function send(stream: ClientHttp2Stream, upload: Upload | undefined): Promise<void> {
  try {
    await upload?.send((piece) => writeTo(stream, piece));
    stream.end();
  } catch (error) {
    if (upload?.failure !== undefined) stream.destroy(error as Error);
  }
}

function toHeaders(fields: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(fields)) {
    if (name.startsWith(":") || values === undefined) continue;
    for (const value of typeof values === "string" ? [values] : values) headers.append(name, value);
  }
  return headers;
}
