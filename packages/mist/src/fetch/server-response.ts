// From a WHATWG Response to what the server sends.
//
// Plain ones go over as they are. Others are streamed, pulled as the client takes them and let go of as soon as
// nobody wants more. What `fetch` has decoded is not passed on under the name of its coding.

import { isUint8Array } from "node:util/types";
import { type Field, field } from "../http/fields.ts";
import { Response as MistResponse } from "../http/response.ts";
import type { BodySource } from "../server/body/body-source.ts";
import { ChunkReader } from "../server/body/chunk-reader.ts";
import type { ResponseBody, ServerResponse } from "../server/body/response-body.ts";
import { hopByHopNames } from "./hop-by-hop.ts";
import type { PlainResponse } from "./plain-response.ts";
import { light } from "./response.ts";

/**
 * The mist response for what a fetch handler has returned. Any class of Response will do, undici's own for one.
 *
 * @throws TypeError if it is no Response, a network error, or one whose body has been read or is being read.
 */
export function toServerResponse(response: Response, method: string): ServerResponse {
  if (typeof response !== "object" || response === null) throw new TypeError(noResponse);
  const upgrade = light.upgrade(response);
  if (upgrade !== undefined) return withFields(upgrade, response.headers);
  const plain = light.plain(response);
  return plain === undefined ? fromReal(response, method) : fromPlain(plain, method);
}

const noResponse = "the fetch handler returned no Response";

function fromPlain({ status, headers, body }: PlainResponse, method: string): ServerResponse {
  return new MistResponse<ResponseBody>(
    status,
    headers,
    body === null ? emptyBody(method) : { kind: "bytes", data: body },
  );
}

function fromReal(response: Response, method: string): ServerResponse {
  const { status, body } = response;
  if (typeof status !== "number" || typeof response.headers?.[Symbol.iterator] !== "function") {
    throw new TypeError(noResponse);
  }
  if (status === 0) throw new TypeError("a network error (Response.error()) is no answer");
  if (response.bodyUsed || body?.locked) throw new TypeError("the Response's body has already been read");
  const fields = response.url ? proxiedFields(response) : fieldsOf(response.headers);
  if (body === null || body === undefined) return new MistResponse(status, fields, emptyBody(method));
  const length = light.length(response);
  if (length !== undefined && !fields.some(([name]) => name === "content-length")) {
    fields.push(["content-length", String(length)]);
  }
  return new MistResponse<ResponseBody>(status, fields, streamBody(body));
}

// One `set-cookie` for each cookie: Headers gives them one by one.
function fieldsOf(headers: Iterable<[string, string]>): Field[] {
  return Array.from(headers, ([name, value]) => field(name, value));
}

// The answer to HEAD is that to GET without its content: how long that would be, nobody has said.
const unknownBody: ResponseBody = { kind: "source", length: undefined, open: () => new Nothing() };
const noBody: ResponseBody = { kind: "empty" };

function emptyBody(method: string): ResponseBody {
  return method === "HEAD" ? unknownBody : noBody;
}

class Nothing implements BodySource {
  read(): null {
    return null;
  }

  close(): void {}
}

// ── passed on from elsewhere ──────────────────────────────────────────────────────────────────────────────────

/** Codings that `fetch` takes off and leaves named in the head: those of undici, of which Node's is one version. */
const decoded = new Set(["gzip", "x-gzip", "deflate", "br"]);
const [major = 0, minor = 0] = (process.versions.undici ?? "").split(".").map(Number);
if (major > 7 || (major === 7 && minor >= 11)) decoded.add("zstd");

function proxiedFields(response: Response): Field[] {
  const { headers } = response;
  const dropped = hopByHopNames(headers.get("connection"));
  if (response.body !== null && isDecoded(headers.get("content-encoding"))) {
    dropped.add("content-encoding").add("content-length");
  }
  return fieldsOf(headers).filter(([name]) => !dropped.has(name));
}

function isDecoded(codings: string | null): boolean {
  if (codings === null) return false;
  return codings.split(",").every((coding) => decoded.has(coding.trim().toLowerCase()));
}

// ── upgrades ──────────────────────────────────────────────────────────────────────────────────────────────────

const handshakeFields = /^(?:content-.*|transfer-encoding|upgrade|connection|sec-websocket-.*)$/;

function withFields(upgrade: ServerResponse, headers: Headers): ServerResponse {
  const added = fieldsOf(headers).filter(([name]) => !handshakeFields.test(name));
  return added.length === 0
    ? upgrade
    : new MistResponse(upgrade.status, [...upgrade.headers, ...added], upgrade.body);
}

// ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────

function streamBody(stream: ReadableStream<Uint8Array>): ResponseBody {
  if (typeof stream.getReader !== "function") throw new TypeError("a Response's body is a ReadableStream");
  return {
    kind: "iterable",
    chunks: new ByteChunks(stream),
  };
}

// A Response's stream holds bytes and nothing else (Fetch §5.2), where a body of mist's own may hold text.
class ByteChunks implements AsyncIterableIterator<Uint8Array> {
  readonly #reader: ChunkReader;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = new ChunkReader(stream as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    const { done, value } = await this.#reader.next();
    if (done) return { done: true, value: undefined };
    if (isUint8Array(value)) return { done: false, value };
    await this.#reader.release();
    throw new TypeError(`the stream of a Response must hold Uint8Arrays, got ${typeof value}`);
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    await this.#reader.release();
    return { done: true, value: undefined };
  }
}
