// Fetch handlers as mist handlers: `mist.new(fromFetch(app.fetch))`.

import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import type { Request as MistRequest } from "../http/request.ts";
import type { RequestContext } from "../http/request-context.ts";
import { requestOrigin } from "../http/request-url.ts";
import { response as mistResponse } from "../http/response.ts";
import type { ServerResponse } from "../server/body/response-body.ts";
import { checkedLimit } from "../server/exchange/request-body.ts";
import { waitUntil } from "../server/exchange/request-services.ts";
import { installGlobals } from "./globals.ts";
import { toLazyRequest, toNativeRequest } from "./request.ts";
import { toServerResponse } from "./server-response.ts";

/** What a fetch handler is given besides the request: the execution context of service workers and edge runtimes. */
export interface FetchContext {
  /** Has the server's `stop` wait for `work`; a rejection is told to `onError`. */
  waitUntil(work: Promise<unknown>): void;
  /** Aborted when the server begins to stop; one signal for all requests. */
  readonly stopping: AbortSignal;
  /** There is nothing to pass through to; does nothing, as the platforms without an origin do. */
  passThroughOnException(): void;
  /** `context` of the mist request: empty at first, and this request's own. */
  readonly props: RequestContext & Record<string, unknown>;
  /** `id` of the mist request. */
  readonly requestId: string;
}

/** The second argument of a fetch handler: frameworks show it as their `env`. */
export interface FetchEnvironment {
  /** The mist request behind the fetch request. */
  readonly mist: MistRequest;
}

/** A WHATWG-style handler, such as `app.fetch` of Hono, H3 and others. */
export type FetchHandler = (
  request: Request,
  environment: FetchEnvironment,
  context: FetchContext,
) => Response | Promise<Response>;

/** Options of {@link fromFetch}. */
export interface FromFetchOptions {
  /**
   * Most bytes that `text()`, `json()`, `formData()` and the like take of a request or its clone, 413 above if
   * uncaught. Its `body`, a stream, is not limited. Default 16 MiB.
   */
  readonly maxBodyLimit?: number | undefined;
  /**
   * Whether to put other classes in the place of `globalThis.Response` and `Request`, and to have `fetch` know them:
   * subclasses that make no stream where nobody looks at one. Without them a small response of Hono costs the server
   * more than twice the CPU time.
   * A class that was derived from `Request` before the first call of `fromFetch` cannot be made from such a request.
   * With false nothing global is touched: requests are Node's own from the start, and `maxBodyLimit` limits their
   * streams as well. Default true.
   */
  readonly overrideGlobals?: boolean | undefined;
}

const defaultMaxBodyLimit = 16 * 1024 * 1024;

/** The methods a Request has as they come. */
const ordinary = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]);
// A Request cannot be made of these (Fetch §2.2.1), or would be another method's: it writes `get` as `GET`, which
// HTTP tells apart (RFC 9110 §9.1).
const unspeakable = new Set(["CONNECT", "TRACE", "TRACK", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]);

/**
 * A handler for `mist.new` out of a fetch handler, unmodified.
 *
 * The Request's URL is absolute, from the transport and the validated Host, or what a trusted proxy tells; its `signal` aborts when the client leaves
 * before the response is complete; its body streams. The Response's body is pulled as the client takes it, and
 * cancelled when the client leaves. A handler that throws is answered 500. Requests that no Request can stand for are
 * answered without the handler: 501 for TRACE, TRACK and ordinary methods in lower case, 400 for a Host that no URL
 * may have.
 *
 * @throws UsageError if `fetch` is no function or an option is not what it should be.
 *
 * @example
 * ```ts
 * const app = new Hono();
 * app.get("/", (c) => c.text("Hello!"));
 * await mist.new(fromFetch(app.fetch)).start();
 * ```
 */
export function fromFetch(
  fetch: FetchHandler,
  options: FromFetchOptions = {},
): (request: MistRequest) => ServerResponse | Promise<ServerResponse> {
  if (typeof fetch !== "function") {
    throw new UsageError(`fromFetch takes a function, such as app.fetch, got ${shown(fetch)}`);
  }
  checkNames("fromFetch", options, ["maxBodyLimit", "overrideGlobals"]);
  const { overrideGlobals = true } = options;
  const maxBodyLimit = checkedLimit(options.maxBodyLimit ?? defaultMaxBodyLimit, "maxBodyLimit");
  if (typeof overrideGlobals !== "boolean") {
    throw new UsageError(`overrideGlobals must be true or false, got ${shown(overrideGlobals)}`);
  }
  if (overrideGlobals) installGlobals();
  const toRequest = overrideGlobals ? toLazyRequest : toNativeRequest;
  return (request) => {
    const { method } = request;
    if (!ordinary.has(method) && unspeakable.has(method.toUpperCase())) return mistResponse(501);
    const origin = requestOrigin(request);
    if (origin === undefined) return mistResponse(400);
    const result = fetch(
      toRequest(request, origin, maxBodyLimit),
      { mist: request },
      new ExecutionContext(request),
    );
    return isPromise(result)
      ? result.then((response) => toServerResponse(response, request))
      : toServerResponse(result, request);
  };
}

class ExecutionContext implements FetchContext {
  readonly #request: MistRequest;

  constructor(request: MistRequest) {
    this.#request = request;
  }

  get props(): FetchContext["props"] {
    return this.#request.context as FetchContext["props"];
  }

  get requestId(): string {
    return this.#request.id;
  }

  get stopping(): AbortSignal {
    return this.#request.stopping;
  }

  waitUntil(work: Promise<unknown>): void {
    waitUntil(this.#request, work);
  }

  passThroughOnException(): void {}
}

function isPromise(value: unknown): value is Promise<Response> {
  return typeof (value as Promise<Response> | undefined)?.then === "function";
}
