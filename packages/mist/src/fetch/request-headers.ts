// The Headers of an incoming request, made only if somebody asks for more than a value by its name.
//
// To make a real one costs as much as the rest of a small answer, and most handlers want two or three values.

import { inspect } from "node:util";
import { getField, isToken } from "../http/fields.ts";
import type { Request } from "../http/request.ts";

const NativeHeaders = globalThis.Headers;

/** The lazy Headers. */
export class RequestHeaders {
  readonly #request: Request;
  #native: Headers | undefined = undefined;

  constructor(request: Request) {
    this.#request = request;
  }

  /** The real Headers behind it. */
  static native(headers: RequestHeaders): Headers {
    headers.#native ??= toHeaders(headers.#request);
    return headers.#native;
  }

  get(name: string): string | null {
    // What is no name is for the real one to refuse.
    if (this.#native !== undefined || typeof name !== "string" || !isToken(name))
      return RequestHeaders.native(this).get(name);
    return getField(this.#request.headers, name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    if (this.#native !== undefined || typeof name !== "string" || !isToken(name))
      return RequestHeaders.native(this).has(name);
    return this.#request.getHeader(name) !== undefined;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return RequestHeaders.native(this).entries();
  }
}

// Everything else a Headers has, on whatever version of Node.
for (const name of Object.getOwnPropertyNames(NativeHeaders.prototype)) {
  if (Object.hasOwn(RequestHeaders.prototype, name)) continue;
  const method: unknown = Object.getOwnPropertyDescriptor(NativeHeaders.prototype, name)?.value;
  if (typeof method !== "function") continue;
  Object.defineProperty(RequestHeaders.prototype, name, {
    value(this: RequestHeaders, ...given: unknown[]): unknown {
      return Reflect.apply(method, RequestHeaders.native(this), given);
    },
    enumerable: true,
    writable: true,
    configurable: true,
  });
}
Object.defineProperty(RequestHeaders.prototype, inspect.custom, {
  value(this: RequestHeaders, _depth: number, options: object): string {
    return inspect(RequestHeaders.native(this), options);
  },
});
Object.setPrototypeOf(RequestHeaders.prototype, NativeHeaders.prototype);
Object.defineProperty(RequestHeaders.prototype, "constructor", { value: NativeHeaders });

/** The fields of a request as a real Headers. */
export function toHeaders(request: Request): Headers {
  const headers = new NativeHeaders();
  for (const [name, value] of request.headers) headers.append(name, value);
  return headers;
}

/** The fields of a request as a lazy Headers, under the type that handlers expect. */
export function toLazyHeaders(request: Request): Headers {
  return new RequestHeaders(request) as unknown as Headers;
}
