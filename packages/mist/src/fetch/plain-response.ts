// What `new Response(body, init)` says, as a plain record, where that is all there is to it.
//
// Undefined for anything out of the ordinary: the real constructor knows every rule and throws what it should.

import { type Field, type Fields, isFieldValue, isToken, NO_FIELDS } from "../http/fields.ts";

export type BodyInit = NonNullable<ConstructorParameters<typeof Response>[0]>;
type HeadersInit = NonNullable<ResponseInit["headers"]>;

/** What a response that never became a real one is made of. */
export interface PlainResponse {
  readonly status: number;
  /** Not shared with the caller. */
  readonly body: string | Uint8Array | null;
  /** Checked, names lower-cased. */
  readonly headers: Fields;
}

// What a body that names no type is given (Fetch §6.2).
const textType: Fields = [["content-type", "text/plain;charset=UTF-8"]];
const formType: Fields = [["content-type", "application/x-www-form-urlencoded;charset=UTF-8"]];
const emptyText: PlainResponse = { status: 200, body: "", headers: textType };
const nothing: PlainResponse = { status: 200, body: null, headers: NO_FIELDS };
const nullBodyStatus = new Set([204, 205, 304]);

/** The parts of a Response whose body is text, bytes or nothing; undefined if only a real one will do. */
export function plainResponse(
  body: unknown,
  init: ResponseInit | null | undefined,
): PlainResponse | undefined {
  const plain = plainBody(body);
  if (plain === undefined || init === undefined || init === null) return plain;
  if (typeof init !== "object" || init.statusText) return undefined;
  const { status = 200, headers } = init;
  if (!Number.isInteger(status) || status < 200 || status > 599) return undefined;
  if (body !== null && nullBodyStatus.has(status)) return undefined;
  if (headers === undefined) return { status, body: plain.body, headers: plain.headers };
  const fields = plainHeaders(headers);
  if (fields === undefined) return undefined;
  const typed = plain.headers === NO_FIELDS || fields.some(([name]) => name === "content-type");
  return { status, body: plain.body, headers: typed ? fields : [...fields, ...plain.headers] };
}

// Bytes are copied: they are the caller's, who may use the memory for the next answer while this one leaves.
function plainBody(body: unknown): PlainResponse | undefined {
  if (typeof body === "string") return body === "" ? emptyText : { status: 200, body, headers: textType };
  if (body === null) return nothing;
  if (body instanceof Uint8Array) return { status: 200, body: new Uint8Array(body), headers: NO_FIELDS };
  if (body instanceof ArrayBuffer)
    return { status: 200, body: new Uint8Array(body.slice(0)), headers: NO_FIELDS };
  if (body instanceof URLSearchParams) return { status: 200, body: body.toString(), headers: formType };
  return undefined;
}

// A copy: the caller may go on with its own.
function plainHeaders(headers: HeadersInit): Fields | undefined {
  if (headers instanceof Headers) {
    const fields: Field[] = [...headers];
    return fields.every(([, value]) => isFieldValue(value)) ? fields : undefined;
  }
  if (typeof headers !== "object" || headers === null || Symbol.iterator in headers) return undefined;
  const fields: Field[] = [];
  for (const name of Object.keys(headers)) {
    const value: unknown = (headers as Record<string, unknown>)[name];
    if (typeof value !== "string" || !isToken(name) || !isFieldValue(value) || value.trim() !== value)
      return undefined;
    const lower = name.toLowerCase();
    if (fields.some(([existing]) => existing === lower)) return undefined;
    fields.push([lower, value]);
  }
  return fields;
}
