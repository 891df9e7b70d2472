// What HTTP has beside a response and fetch has no words for: early hints ahead of it, trailers behind it.
//
// Both are told by the request and not by the Response: middleware copies Responses, and copies know only what fetch does.

import { checkFunction, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import type { FieldsOption } from "../http/fields.ts";
import { Request as MistRequest } from "../http/request.ts";
import type { Trailers } from "../http/response.ts";
import { sendInformational } from "../server/exchange/request-services.ts";
import { mistRequest } from "./request.ts";

// By the exchange, which all copies of a request share.
const trailers = new WeakMap<MistRequest["exchange"], Trailers>();

/**
 * Sends `103 Early Hints` (RFC 8297) ahead of the response. May be called several times. An HTTP/1.0 client gets none.
 *
 * @param request the Request that the handler was given, or the mist request of its environment.
 * @throws UsageError for another request, a malformed field, and once the response is under way.
 *
 * @example
 * ```ts
 * app.get("/", async (c) => {
 *   sendEarlyHints(c.env.mist, { link: "</style.css>; rel=preload; as=style" });
 *   return c.html(await render());
 * });
 * ```
 */
export function sendEarlyHints(request: Request | MistRequest, fields: FieldsOption): void {
  sendInformational(originOf(request), 103, fields);
}

/**
 * Has a trailer section follow the Response to this request (RFC 9110 §6.5), as `withTrailers` of a mist response does.
 * The last call counts. A handler that fails sends none.
 *
 * @param request the Request that the handler was given, or the mist request of its environment.
 * @param make called once, when the body is complete. If it fails, the response is broken off.
 * @throws UsageError for another request, or if `make` is no function.
 *
 * @example
 * ```ts
 * app.get("/export", (c) => {
 *   const hash = createHash("sha256");
 *   setTrailers(c.env.mist, () => ({ digest: `sha-256=${hash.digest("base64")}` }));
 *   return c.body(hashed(rows(), hash));
 * });
 * ```
 */
export function setTrailers(request: Request | MistRequest, make: Trailers): void {
  checkFunction("trailers", make);
  trailers.set(originOf(request).exchange, make);
}

/** What `setTrailers` was given for this request. */
export function trailersOf(request: MistRequest): Trailers | undefined {
  return trailers.get(request.exchange);
}

function originOf(request: Request | MistRequest): MistRequest {
  if (request instanceof MistRequest) return request;
  const origin = mistRequest(request);
  if (origin === undefined) {
    throw new UsageError(
      `the request must be one that a fetch handler was given, or its mist request, got ${shown(request)}`,
    );
  }
  return origin;
}
