// What a handler can ask of the exchange behind its request.

import type { ConnectionInfo } from "@x/glisten";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { type FieldsOption, fieldLines } from "../../http/fields.ts";
import type { Request } from "../../http/request.ts";
import { Exchange } from "./exchange.ts";
import type { RequestEndEvent } from "./telemetry.ts";

/**
 * Sends an informational response, such as 103 Early Hints (RFC 8297), ahead of the final one. An HTTP/1.0 client
 * gets none.
 *
 * @param status 100 to 199, but not 101.
 * @throws UsageError for another status, a malformed field, and once the final response is under way.
 */
export function sendInformational(request: Request<unknown>, status: number, fields: FieldsOption): void {
  exchangeOf(request).inform(status, fieldLines(fields));
}

/**
 * Has `stop` wait for `work`, within its deadline: for what a handler begins and does not want to keep the client
 * waiting for. A rejection is told to `onError`.
 *
 * @throws UsageError unless `work` is a promise.
 */
export function waitUntil(request: Request<unknown>, work: Promise<unknown>): void {
  if (typeof work?.then !== "function") throw new UsageError(`waitUntil takes a promise, got ${shown(work)}`);
  exchangeOf(request).waitUntil(work);
}

/**
 * The client's address and port: the real client's, where the PROXY protocol is on, or a trusted proxy tells it with
 * `withForwarded`. Most proxies do not tell the client's port: it is 0 then. `local` is the end of the connection here.
 *
 * @throws TransportError (`enotconn`) for a unix socket, unless a proxy behind it tells the client, and for a peer that was
 *   gone before it was first asked about. The `local` of a unix socket is 0.0.0.0, port 0.
 */
export function getConnectionInfo(request: Request<unknown>): ConnectionInfo {
  return exchangeOf(request).connectionInfo();
}

/**
 * Tells `onOver` how the request ends. What comes of it runs in the asynchronous context in which the function that is
 * returned is called.
 */
export function observe(request: Request<unknown>, onOver: (event: RequestEndEvent) => void): () => void {
  return exchangeOf(request).observe(onOver);
}

function exchangeOf(request: Request<unknown>): Exchange {
  if (request?.exchange instanceof Exchange) return request.exchange;
  throw new UsageError(`the request must be one that a handler was called with, got ${shown(request)}`);
}
