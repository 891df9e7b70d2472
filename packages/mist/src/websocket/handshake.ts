// The opening handshake (RFC 6455 §4.2): a pure function of a request head.
//
// Over HTTP/2 it is an extended CONNECT, shown in the form it has in HTTP/1.1, but without a key and its answer (RFC 8441
// §5). No other request over HTTP/2 can have an Upgrade field.
//
// Refuses what is no WebSocket handshake with 400, another version with 426 and the version we speak (§4.4), an
// origin that is not welcome with 403 (§4.2.2). The HTTP core has already checked the head itself: Host, field
// syntax.

import { createHash } from "node:crypto";
import type { Field, Fields } from "../http/fields.ts";
import { isToken } from "../http/token.ts";
import {
  type DeflateAgreement,
  type DeflateParameters,
  negotiateDeflate,
  parseExtensionOffers,
} from "./extension.ts";

/** The parts of a request the handshake looks at. A mist request is one. */
export interface HandshakeRequest {
  readonly method: string;
  readonly version: string;
  /** All values of a field, in order. */
  getHeaders(name: string): readonly string[];
}

export interface HandshakeOptions {
  /** Chooses among the subprotocols the client offered; undefined for none. */
  readonly chooseSubprotocol?: ((offered: readonly string[]) => string | undefined) | undefined;
  /** Is this origin welcome? Undefined: the client sent none. */
  readonly checkOrigin?: ((origin: string | undefined) => boolean) | undefined;
  /** The wishes for permessage-deflate; undefined: never negotiated. */
  readonly compression?: DeflateParameters | undefined;
  /** Further fields of the answer. */
  readonly headers?: Fields | undefined;
}

export interface HandshakeAccepted {
  readonly type: "accept";
  readonly fields: Fields;
  readonly subprotocol: string | undefined;
  readonly compression: DeflateParameters | undefined;
}

export interface HandshakeRejected {
  readonly type: "reject";
  readonly status: 400 | 403 | 426;
  readonly reason: string;
  readonly fields: Fields;
}

export type Handshake = HandshakeAccepted | HandshakeRejected;

/** RFC 6455 §1.3 */
const acceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The `Sec-WebSocket-Accept` that answers a key (RFC 6455 §4.2.2). */
export function acceptKey(key: string): string {
  return createHash("sha1")
    .update(key + acceptGuid)
    .digest("base64");
}

/** Judges an opening handshake. */
export function judgeHandshake(request: HandshakeRequest, options: HandshakeOptions): Handshake {
  const refusal = refuseRequest(request) ?? refuseVersion(request) ?? refuseOrigin(request, options);
  if (refusal !== undefined) return refusal;
  const proof = switching(request);
  if (proof === undefined) return malformed("Sec-WebSocket-Key is not 16 octets in base64");
  const offered = offeredSubprotocols(request);
  if (offered === undefined) return malformed("Sec-WebSocket-Protocol is malformed");
  const extension = negotiate(request, options.compression);
  if (extension === null) return malformed("Sec-WebSocket-Extensions is malformed");
  const subprotocol = offered.length === 0 ? undefined : options.chooseSubprotocol?.(offered);
  return accept(proof, subprotocol, extension, options.headers ?? []);
}

/** The fields that prove to the client that it is understood; undefined: its key is malformed. */
function switching(request: HandshakeRequest): Fields | undefined {
  if (request.version === "2") return []; // RFC 8441 §5: the status does
  const key = onlyValue(request, "sec-websocket-key");
  // §4.1: a nonce of 16 octets in base64: 22 characters and their padding.
  if (key === undefined || !/^[A-Za-z0-9+/]{22}==$/.test(key)) return undefined;
  return [
    ["upgrade", "websocket"],
    ["connection", "Upgrade"],
    ["sec-websocket-accept", acceptKey(key)],
  ];
}

function accept(
  proof: Fields,
  subprotocol: string | undefined,
  extension: DeflateAgreement | undefined,
  headers: Fields,
): HandshakeAccepted {
  const fields: Field[] = [...proof];
  if (subprotocol !== undefined) fields.push(["sec-websocket-protocol", subprotocol]);
  if (extension !== undefined) fields.push(["sec-websocket-extensions", extension.response]);
  fields.push(...headers);
  return { type: "accept", fields, subprotocol, compression: extension?.parameters };
}

function refuseRequest(request: HandshakeRequest): HandshakeRejected | undefined {
  // §4.1: GET, and HTTP/1.1 at least; an HTTP/1.0 recipient must ignore Upgrade (RFC 9110 §7.8).
  if (request.method !== "GET") return malformed("a WebSocket handshake is a GET");
  if (request.version !== "1.1" && request.version !== "2")
    return malformed("a WebSocket handshake needs HTTP/1.1");
  if (request.getHeaders("host").length === 0) return malformed("a WebSocket handshake needs Host");
  if (!hasToken(request, "upgrade", "websocket")) return malformed("Upgrade does not name websocket");
  if (!hasToken(request, "connection", "upgrade")) return malformed("Connection does not name Upgrade");
  if (hasBody(request)) return malformed("a WebSocket handshake has no body");
  return undefined;
}

function refuseVersion(request: HandshakeRequest): HandshakeRejected | undefined {
  const version = onlyValue(request, "sec-websocket-version");
  if (version === "13") return undefined;
  if (version === undefined) return malformed("Sec-WebSocket-Version stands not exactly once");
  // §4.4, and RFC 9110 §15.5.22: a 426 says what to upgrade to.
  const fields: Fields = [
    ["upgrade", "websocket"],
    ["connection", "Upgrade"],
    ["sec-websocket-version", "13"],
  ];
  return { type: "reject", status: 426, reason: "this server speaks version 13", fields };
}

function refuseOrigin(request: HandshakeRequest, options: HandshakeOptions): HandshakeRejected | undefined {
  if (options.checkOrigin === undefined || options.checkOrigin(request.getHeaders("origin")[0]))
    return undefined;
  return { type: "reject", status: 403, reason: "this origin is not welcome", fields: [] };
}

function malformed(reason: string): HandshakeRejected {
  return { type: "reject", status: 400, reason, fields: [] };
}

function hasBody(request: HandshakeRequest): boolean {
  if (request.getHeaders("transfer-encoding").length > 0) return true;
  const lengths = request.getHeaders("content-length");
  return lengths.some((length) => !/^0+$/.test(length));
}

function onlyValue(request: HandshakeRequest, name: string): string | undefined {
  const values = request.getHeaders(name);
  return values.length === 1 ? values[0] : undefined;
}

/** Is the token in the field's list? Both fields are case-insensitive (RFC 6455 §4.2.1, RFC 9110 §7.6.1). */
function hasToken(request: HandshakeRequest, name: string, token: string): boolean {
  return listElements(request.getHeaders(name)).some((element) => element.toLowerCase() === token);
}

function listElements(values: readonly string[]): string[] {
  return values
    .flatMap((value) => value.split(",").map((element) => element.trim()))
    .filter((element) => element !== "");
}

/** The subprotocols offered, most wanted first; undefined if one is no token or stands twice (§4.1). */
function offeredSubprotocols(request: HandshakeRequest): readonly string[] | undefined {
  const values = request.getHeaders("sec-websocket-protocol");
  if (values.length === 0) return [];
  const offered = listElements(values);
  if (offered.length === 0 || new Set(offered).size !== offered.length) return undefined;
  return offered.every(isToken) ? offered : undefined;
}

/** null: malformed; undefined: no agreement. */
function negotiate(
  request: HandshakeRequest,
  wanted: DeflateParameters | undefined,
): DeflateAgreement | undefined | null {
  const values = request.getHeaders("sec-websocket-extensions");
  if (values.length === 0) return undefined;
  const offers = parseExtensionOffers(values.join(","));
  if (offers === undefined) return null;
  return wanted === undefined ? undefined : negotiateDeflate(offers, wanted);
}
