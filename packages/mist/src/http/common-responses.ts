// Responses that most applications make: JSON, text, HTML, redirects.

import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import type { FieldsOption } from "./fields.ts";
import { type BytesBody, type EmptyBody, type Response, response } from "./response.ts";

/** Options of {@link json}, {@link text} and {@link html}. */
export interface ContentOptions {
  /** Status code, 200 to 599. Default 200. */
  readonly status?: number | undefined;
  /** Header fields; a `content-type` among them replaces the default. */
  readonly headers?: FieldsOption | undefined;
}

/**
 * A response with `value` as JSON (RFC 8259) and `content-type: application/json`.
 *
 * @throws UsageError if JSON cannot represent the value (undefined, a function, a circular structure, a bigint), for an
 *   unknown option, status or field that cannot be sent.
 *
 * @example `return mist.json({ error: "no such item" }, { status: 404 });`
 */
export function json(value: unknown, options: ContentOptions = {}): Response<BytesBody> {
  return content("json", "application/json", stringify(value), options);
}

/**
 * A response with this text, as UTF-8, and `content-type: text/plain; charset=utf-8`.
 *
 * @throws UsageError if `body` is not a string, and as {@link json} for the options.
 */
export function text(body: string, options: ContentOptions = {}): Response<BytesBody> {
  return content("text", "text/plain; charset=utf-8", checkedText("text", body), options);
}

/**
 * A response with this HTML, as UTF-8, and `content-type: text/html; charset=utf-8`. Nothing is escaped: that is the
 * template's work.
 *
 * @throws UsageError if `body` is not a string, and as {@link json} for the options.
 */
export function html(body: string, options: ContentOptions = {}): Response<BytesBody> {
  return content("html", "text/html; charset=utf-8", checkedText("html", body), options);
}

const redirectStatuses = [301, 302, 303, 307, 308];

// RFC 3986: unreserved, reserved and "%" of a percent-encoded octet. No backslash, which browsers take for a slash.
const uriReference = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;

/**
 * A response that sends the client elsewhere (RFC 9110 §15.4).
 *
 * A location that comes from the request may lead anywhere, also as `//host/path`: check it first.
 *
 * @param location a URL or a reference relative to the request's (RFC 3986), percent-encoded.
 * @param status 301, 302 (default), 303, 307 or 308. 303 is for the answer to a form; 307 and 308 keep the method.
 * @throws UsageError for another status, or a location that is not a URI reference.
 *
 * @example `return mist.redirect("/items/7", 303);`
 */
export function redirect(location: string | URL, status = 302): Response<EmptyBody> {
  if (!redirectStatuses.includes(status)) {
    throw new UsageError(`a redirect's status must be 301, 302, 303, 307 or 308, got ${shown(status)}`);
  }
  const target = location instanceof URL ? location.href : location;
  if (typeof target !== "string" || !uriReference.test(target)) {
    throw new UsageError(
      `a redirect's location must be a URI reference (RFC 3986), percent-encoded, got ${shown(target)}`,
    );
  }
  return response(status, { headers: [["location", target]] });
}

function content(
  where: string,
  contentType: string,
  body: string,
  options: ContentOptions,
): Response<BytesBody> {
  checkNames(where, options, ["status", "headers"]);
  const { status = 200, headers } = options;
  const made = response(status, { headers, body });
  if (made.getHeader("content-type") !== undefined) return made;
  return made.prependHeader("content-type", contentType);
}

function checkedText(where: string, body: string): string {
  if (typeof body === "string") return body;
  throw new UsageError(`${where} takes a string, got ${shown(body)}`);
}

function stringify(value: unknown): string {
  let serialized: string | undefined;
  try {
    serialized = JSON.stringify(value);
  } catch (error) {
    // A failing toJSON is the application's error, not a misuse of this function.
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`JSON cannot represent this value: ${error.message.split("\n", 1)[0]}`, {
      cause: error,
    });
  }
  if (serialized !== undefined) return serialized;
  throw new UsageError(`JSON cannot represent ${shown(value)}`);
}
