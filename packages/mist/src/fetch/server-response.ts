// From a WHATWG Response to what the server sends.
//
// Plain ones go over as they are, and so does a stream that ends within its first turn. Others are pulled as the client
// takes them and let go of as soon as nobody wants more. What `fetch` has decoded is not passed on under the name of its coding.

import { type Field, field } from "../http/fields.ts";
import type { Request as MistRequest } from "../http/request.ts";
import { Response as MistResponse, type Trailers } from "../http/response.ts";
import type { BodySource } from "../server/body/body-source.ts";
import type { ResponseBody, ServerResponse } from "../server/body/response-body.ts";
import { Exchange } from "../server/exchange/exchange.ts";
import { trailersOf } from "./beside-response.ts";
import { hopByHopNames } from "./hop-by-hop.ts";
import type { PlainResponse } from "./plain-response.ts";
import { light } from "./response.ts";
import { ResponseChunks } from "./response-chunks.ts";

/**
 * The mist response for what a fetch handler has returned. Any class of Response will do, undici's own for one.
 *
 * @throws TypeError if it is no Response, a network error, or one whose body has been read or is being read. Rejects
 *   with what its stream fails with in its first turn.
 */
export function toServerResponse(
  response: Response,
  request: MistRequest,
): ServerResponse | Promise<ServerResponse> {
  if (typeof response !== "object" || response === null) throw new TypeError(noResponse);
  const upgrade = light.upgrade(response);
  if (upgrade !== undefined) return withFields(upgrade, response.headers);
  const plain = light.plain(response);
  const trailers = trailersOf(request);
  return plain === undefined
    ? fromReal(response, request, trailers)
    : fromPlain(plain, request.method, trailers);
}

const noResponse = "the fetch handler returned no Response";

function fromPlain(
  { status, headers, body }: PlainResponse,
  method: string,
  trailers: Trailers | undefined,
): ServerResponse {
  return new MistResponse<ResponseBody>(
    status,
    headers,
    body === null ? emptyBody(method) : { kind: "bytes", data: body },
    trailers,
  );
}

function fromReal(
  response: Response,
  request: MistRequest,
  trailers: Trailers | undefined,
): ServerResponse | Promise<ServerResponse> {
  const { status, body } = response;
  if (typeof status !== "number" || typeof response.headers?.[Symbol.iterator] !== "function") {
    throw new TypeError(noResponse);
  }
  if (status === 0) throw new TypeError("a network error (Response.error()) is no answer");
  if (response.bodyUsed || body?.locked) throw new TypeError("the Response's body has already been read");
  const fields = response.url ? proxiedFields(response) : fieldsOf(response.headers);
  if (body === null || body === undefined)
    return new MistResponse(status, fields, emptyBody(request.method), trailers);
  // Trailers need the chunked coding.
  const length = trailers === undefined ? light.length(response) : undefined;
  if (length !== undefined && !fields.some(([name]) => name === "content-length")) {
    fields.push(["content-length", String(length)]);
  }
  if (typeof body.getReader !== "function") throw new TypeError("a Response's body is a ReadableStream");
  const chunks = new ResponseChunks(body);
  const streamed = new MistResponse<ResponseBody>(status, fields, { kind: "iterable", chunks }, trailers);
  // Nobody is left to take the content, or it would only be counted and the length is known.
  if (request.exchange instanceof Exchange && request.exchange.over) return streamed;
  if (request.method === "HEAD" && streamed.getHeader("content-length") !== undefined) return streamed;
  if (asksToStream(streamed)) return streamed;
  return chunks
    .gather(streamed.getHeader("content-encoding") !== undefined)
    .then((data) => (data === undefined ? streamed : streamed.setBody(data)));
}

// Who names the chunked coding wants it, and "no" tells proxies not to wait for content: neither do we.
function asksToStream(response: ServerResponse): boolean {
  return (
    response.getHeader("transfer-encoding") !== undefined || response.getHeader("x-accel-buffering") === "no"
  );
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
