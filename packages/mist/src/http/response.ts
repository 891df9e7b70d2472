// A response as a value: status, fields, body. Immutable; every setter gives a new response.
//
// Names and values are checked here, once, when they are set: a CR, LF or NUL never gets as far as
// the wire (RFC 9110 §5.5), and the serializer need not look a second time.

import { UsageError } from "../errors.ts";
import { type Field, type Fields, field } from "./fields.ts";

/** A body of no bytes. */
export interface EmptyBody {
  readonly kind: "empty";
}

const emptyBody: EmptyBody = Object.freeze({ kind: "empty" });
const noFields: Fields = Object.freeze([]);

/**
 * An immutable HTTP response (RFC 9110 §3.4). Made by {@link response}.
 *
 * Framing belongs to the server: `content-length`, `transfer-encoding` and `date` need not be set, and a
 * `content-length` that is set must match the body.
 */
export class Response<Body = unknown> {
  /** Status code, 200 to 599. */
  readonly status: number;
  /** Fields in order; names lower-cased, duplicates kept. */
  readonly headers: Fields;
  /** What follows the head. */
  readonly body: Body;

  /** @internal Use {@link response}: fields given here are taken as checked. */
  constructor(status: number, headers: Fields, body: Body) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  /**
   * This response with `name: value` in the place of any fields of that name.
   *
   * @throws UsageError if the name is no token or the value has CR, LF, NUL or a character above U+00FF.
   */
  setHeader(name: string, value: string): Response<Body> {
    const added = field(name, value);
    const headers: Field[] = [];
    for (const existing of this.headers) if (existing[0] !== added[0]) headers.push(existing);
    headers.push(added);
    return new Response(this.status, headers, this.body);
  }

  /**
   * This response with one more `name: value` in front, beside any others of that name (as `set-cookie` needs).
   *
   * @throws UsageError as {@link Response.setHeader} does.
   */
  prependHeader(name: string, value: string): Response<Body> {
    return new Response(this.status, [field(name, value), ...this.headers], this.body);
  }

  /** This response with one more `name: value` at the end. @throws UsageError as {@link Response.setHeader} does. */
  appendHeader(name: string, value: string): Response<Body> {
    return new Response(this.status, [...this.headers, field(name, value)], this.body);
  }

  /** This response without any field of that name. */
  removeHeader(name: string): Response<Body> {
    const lower = name.toLowerCase();
    const headers = this.headers.filter(([existing]) => existing !== lower);
    return new Response(this.status, headers, this.body);
  }

  /** The first value of that name, or undefined. The name's case does not matter. */
  getHeader(name: string): string | undefined {
    const lower = name.toLowerCase();
    for (const [existing, value] of this.headers) if (existing === lower) return value;
    return undefined;
  }

  /** This response with another body. */
  setBody<NewBody>(body: NewBody): Response<NewBody> {
    return new Response(this.status, this.headers, body);
  }

  /** This response with another status. @throws UsageError unless it is an integer from 200 to 599. */
  setStatus(status: number): Response<Body> {
    return new Response(checkedStatus(status), this.headers, this.body);
  }
}

/**
 * A response with that status, no fields and no body.
 *
 * @param status integer from 200 to 599 (informational responses have `sendInformational`).
 * @throws UsageError for any other status.
 */
export function response(status: number): Response<EmptyBody> {
  return new Response(checkedStatus(status), noFields, emptyBody);
}

function checkedStatus(status: number): number {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new UsageError(`a response status is an integer from 200 to 599, not ${status}`);
}
