// From the arguments of `server.fetch` to a request that can be sent.

import { Buffer } from "node:buffer";
import type { ConnectOptions } from "@x/glisten";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import type { Field } from "../http/fields.ts";

/**
 * Options of `server.fetch`: those of `fetch`, and how to reach the server. Redirects are not followed; `cache`,
 * `credentials`, `integrity`, `keepalive`, `mode` and `referrer` mean nothing here.
 */
export interface FetchInit extends RequestInit {
  /** 1: HTTP/1.1; 2: HTTP/2. Default: 1. */
  readonly httpVersion?: 1 | 2 | undefined;
  /** The connection that the request is sent on: the client's address, the size of the buffers. */
  readonly connection?: ConnectOptions | undefined;
}

/** A request, ready to be sent. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  /** Without `host` and framing. */
  readonly headers: readonly Field[];
  /** Bytes all at once, or as they come. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
  readonly httpVersion: 1 | 2;
  readonly connection: ConnectOptions | undefined;
  /** As `fetch`: `"error"` refuses redirects. */
  readonly redirect: string;
}

/** Where relative addresses begin; a unix socket has no origin of its own. */
export function originOf(url: string): string {
  const { protocol, host } = new URL(url);
  return protocol === "http:" || protocol === "https:"
    ? `${protocol}//${host}`
    : `${protocol.split("+", 1)[0]}://localhost`;
}

/** An address as a test writes it: `"/path"`, or a whole one, whose host is what the server is told. */
export function urlOf(input: string | URL, origin: string): URL {
  // Not `new URL(input, origin)`, for which "//name" is a host.
  const url = new URL(typeof input === "string" && input.startsWith("/") ? origin + input : input, origin);
  if (url.protocol === "http:" || url.protocol === "https:") return url;
  throw new TypeError(`a URL must begin with http: or https:, got ${shown(url.href)}`);
}

/** @throws TypeError for what `fetch` refuses; UsageError for a wrong option. */
export async function outgoing(
  input: string | URL | Request,
  init: FetchInit,
  origin: string,
): Promise<Outgoing> {
  const { httpVersion = 1, connection, ...rest } = init;
  if (httpVersion !== 1 && httpVersion !== 2) {
    throw new UsageError(`httpVersion must be 1 or 2, got ${shown(httpVersion)}`);
  }
  const isStream = isStreamed(rest.body);
  const target = input instanceof Request ? input : urlOf(input, origin);
  // The types of browsers do not know `duplex`.
  const sent: RequestInit & { duplex?: "half" } = isStream ? { ...rest, duplex: "half" } : rest;
  const request = new Request(target, sent);
  const url = new URL(request.url);
  const hasWholeBody = rest.body !== undefined && rest.body !== null && !isStream;
  return {
    method: request.method,
    url,
    headers: headersOf(request),
    body: hasWholeBody ? Buffer.from(await request.arrayBuffer()) : (request.body ?? undefined),
    signal: request.signal,
    httpVersion,
    connection,
    redirect: request.redirect,
  };
}

/** Text, bytes, Blobs and forms have a length. */
function isStreamed(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  return body instanceof ReadableStream || Symbol.asyncIterator in body;
}

function headersOf(request: Request): Field[] {
  const headers = new Headers(request.headers);
  // The defaults of `fetch` that a server may look at.
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "gzip, deflate, br");
  headers.delete("transfer-encoding");
  headers.delete("content-length");
  return [...headers];
}
