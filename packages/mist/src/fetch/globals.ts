// `Response`, `Request` and `fetch` of the global object, so that light ones go wherever real ones go.
//
// `Response` makes light ones. `Request` and `fetch` take a handler's request where they would take a real one
// (`fetch(request)` in a proxy, `new Request(request, { … })` in middleware) and do nothing else of their own.

import { hopByHopNames } from "./hop-by-hop.ts";
import { FetchRequest } from "./request.ts";
import { LightResponse } from "./response.ts";
import { standInFor } from "./stand-in.ts";

const NativeRequest = globalThis.Request;
let installed = false;

/** Puts the three in place, once. */
export function installGlobals(): void {
  if (installed) return;
  installed = true;
  replace("Response", LightResponse);
  replace("Request", unwrappingRequest(globalThis.Request));
  replace("fetch", unwrappingFetch(globalThis.fetch));
}

function replace(name: "Response" | "Request" | "fetch", value: unknown): void {
  const existing = Object.getOwnPropertyDescriptor(globalThis, name);
  const enumerable = existing?.enumerable ?? false;
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable });
}

function unwrappingRequest(Native: typeof Request): typeof Request {
  class Request extends Native {
    constructor(input: RequestInfo, init?: RequestInit) {
      super(FetchRequest.unwrap(input), init);
    }
  }
  standInFor(Native, Request);
  return Request;
}

type RequestInfo = ConstructorParameters<typeof Request>[0];

function unwrappingFetch(native: typeof fetch): typeof fetch {
  return function fetch(input, init) {
    return native(FetchRequest.isLazy(input) ? passedOn(FetchRequest.unwrap(input)) : input, init);
  };
}

// A request passed on leaves what was between the client and us (RFC 9110 §7.6.1) behind, as fields that only say so:
// Node's fetch would refuse to send them.
function passedOn(request: Request): Request {
  const headers = new Headers(request.headers);
  for (const name of hopByHopNames(headers.get("connection"))) headers.delete(name);
  headers.delete("expect"); // was answered here
  return new NativeRequest(request, { headers });
}
