// Entity tags for responses that are there as a whole, and the 304 they save (RFC 9110 §8.8.3, §13).

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { checkNames, clock, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { evaluatePreconditions } from "../../http/conditional.ts";
import { parseDate } from "../../http/date.ts";
import { type Field, getField } from "../../http/fields.ts";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { Handler } from "../exchange/service.ts";
import { wrapHandler } from "./wrap-handler.ts";

/** Options of {@link etag}. */
export interface EtagOptions {
  /** Longer bodies, in bytes, get no tag. Default 262 144 (256 KiB); to hash that much takes a fraction of a millisecond. */
  readonly maxLength?: number | undefined;
}

/**
 * Wraps a handler so that its responses to GET and HEAD have an entity tag made of their content, and clients that have the
 * same content already are answered 304 (412 where `if-match` asks for other content).
 *
 * It is for 200 with text or bytes; a tag that is there is kept. Left as they are: other statuses and bodies, longer ones,
 * trailers, and `cache-control: no-store`. The handler runs all the same: bytes are saved, not work.
 *
 * @throws UsageError for an unknown option, a `maxLength` that is not a number of at least 0, and unless `handler` is a
 *   function.
 *
 * @example `mist.new(mist.compress(mist.etag(handler)))`
 */
export function etag<Body = unknown>(handler: Handler<Body>, options: EtagOptions = {}): Handler<Body> {
  checkNames("etag", options, ["maxLength"]);
  const { maxLength = 256 * 1024 } = options;
  if (!(typeof maxLength === "number" && maxLength >= 0)) {
    throw new UsageError(`maxLength must be a number of bytes, at least 0, got ${shown(maxLength)}`);
  }
  return wrapHandler("etag", handler, (request, response) => tagged(request, response, maxLength));
}

function tagged(request: Request<unknown>, response: ServerResponse, maxLength: number): ServerResponse {
  const { method } = request;
  const { status, headers, body, trailers } = response;
  if (status !== 200 || (method !== "GET" && method !== "HEAD")) return response;
  if (body.kind !== "bytes" || trailers !== undefined || forbidsStoring(response)) return response;
  if (Buffer.byteLength(body.data) > maxLength) return response;
  const given = getField(headers, "etag");
  const tag = given ?? contentTag(body.data);
  const fields: readonly Field[] = given === undefined ? [...headers, ["etag", tag]] : headers;
  const now = clock.wallTime();
  const lastModified = getField(headers, "last-modified");
  const lastModifiedMs = lastModified === undefined ? undefined : parseDate(lastModified, now);
  switch (evaluatePreconditions(request, { etag: tag, lastModifiedMs }, now)) {
    case "not-modified":
      return new Response(304, fields.filter(isForUpdate), { kind: "empty" });
    case "precondition-failed":
      return new Response(412, fields.filter(isForUpdate), { kind: "empty" });
    default:
      return given === undefined ? new Response(status, fields, body) : response;
  }
}

function contentTag(data: string | Uint8Array): string {
  return `"${createHash("sha256").update(data).digest("base64url").slice(0, 27)}"`;
}

function forbidsStoring(response: ServerResponse): boolean {
  const cacheControl = getField(response.headers, "cache-control") ?? "";
  return cacheControl.split(",").some((directive) => directive.trim().toLowerCase() === "no-store");
}

// RFC 9110 §15.4.5: what describes the content is left out where there is none.
function isForUpdate([name]: Field): boolean {
  return (
    !name.startsWith("content-") || name === "content-location" || name.startsWith("content-security-policy")
  );
}
