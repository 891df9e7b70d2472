// Fetch handlers as mist handlers: `mist.new(fromFetch(app.fetch))`.

import { type Field, NO_FIELDS } from "../http/fields.ts";
import type { Request as MistRequest } from "../http/request.ts";
import { Response as MistResponse, response as mistResponse } from "../http/response.ts";
import { waitUntil } from "../mist.ts";
import type { BodySource } from "../server/body-source.ts";
import type { IncomingBody } from "../server/request-body.ts";
import type { ResponseBody, ServerResponse, SourceBody } from "../server/response-body.ts";
import { FetchRequest, type FetchRequestOptions, toFetchRequest } from "./request.ts";
import { installLightResponse, LightResponse, type PlainResponse } from "./response.ts";

/** What a fetch handler is given besides the request: the execution context of service workers and edge runtimes. */
export interface FetchContext {
  /** Has the server's `stop` wait for `work`; a rejection is told to `onError`. */
  waitUntil(work: Promise<unknown>): void;
  /** There is nothing to pass through to; does nothing, as the platforms without an origin do. */
  passThroughOnException(): void;
  readonly props: Record<string, unknown>;
}

/** The second argument of a fetch handler: frameworks show it as their `env`. */
export interface FetchEnvironment {
  /** The mist request behind the fetch request. */
  readonly mist: MistRequest<IncomingBody>;
}

/** A WHATWG-style handler, such as `app.fetch` of Hono, H3 and others. */
export type FetchHandler = (
  request: Request,
  environment: FetchEnvironment,
  context: FetchContext,
) => Response | Promise<Response>;

/** Options of {@link fromFetch}. */
export interface FromFetchOptions {
  /** Most bytes that `text()`, `json()` and the like take; 413 above if uncaught. Streams are not limited. Default 16 MiB. */
  readonly maxBodyBytes?: number;
  /**
   * Whether to put a light Response in the place of `globalThis.Response`: a subclass that makes no stream for text
   * and bytes, which more than halves the cost of an answer. Default true.
   */
  readonly lightResponse?: boolean;
}

/**
 * A handler for `mist.new` out of a fetch handler, unmodified.
 *
 * The Request's URL is absolute, from the transport and the validated Host; its `signal` aborts when the client leaves
 * before the response is complete; its body streams. The Response's body is pulled as the client takes it, and
 * cancelled when the client leaves. A handler that throws is answered 500.
 *
 * @example `mist.new(fromFetch(app.fetch)).start()`
 */
export function fromFetch(
  fetch: FetchHandler,
  options: FromFetchOptions = {},
): (request: MistRequest<IncomingBody>) => ServerResponse | Promise<ServerResponse> {
  const requestOptions: FetchRequestOptions = { maxBodyBytes: options.maxBodyBytes ?? 16 * 1024 * 1024 };
  if (options.lightResponse !== false) installLightResponse();
  return (request) => {
    // Fetch has no words for these (Fetch §2.2.1): a Request of theirs cannot be made.
    if (request.method === "TRACE" || request.method === "TRACK") return mistResponse(501);
    const result = fetch(toFetchRequest(request, requestOptions), { mist: request }, new Context(request));
    return isPromise(result) ? result.then(fromResponse) : fromResponse(result);
  };
}

/** The mist request behind a Request that a fetch handler was given; undefined for any other Request. */
export function mistRequest(request: Request): MistRequest<IncomingBody> | undefined {
  return FetchRequest.origin(request);
}

class Context implements FetchContext {
  readonly #request: MistRequest<IncomingBody>;
  readonly props: Record<string, unknown> = {};

  constructor(request: MistRequest<IncomingBody>) {
    this.#request = request;
  }

  waitUntil(work: Promise<unknown>): void {
    waitUntil(this.#request, work);
  }

  passThroughOnException(): void {}
}

const upgrades = new WeakMap<Response, ServerResponse>();

/** A Response that stands for a mist response which fetch has no words for: an upgrade. */
export function carry(response: ServerResponse): Response {
  const carrier = new LightResponse(null) as unknown as Response;
  upgrades.set(carrier, response);
  return carrier;
}

function isPromise(value: unknown): value is Promise<Response> {
  return typeof (value as Promise<Response> | undefined)?.then === "function";
}

function fromResponse(response: Response): ServerResponse {
  if (typeof response !== "object" || response === null) {
    throw new TypeError("the fetch handler returned no Response");
  }
  const plain = LightResponse.plain(response);
  const upgrade = upgrades.get(response);
  if (upgrade !== undefined) return upgrade;
  return plain === undefined ? fromNative(LightResponse.native(response)) : fromPlain(plain);
}

function fromPlain({ status, headers, body }: PlainResponse): ServerResponse {
  const content: ResponseBody = body === null ? { kind: "empty" } : { kind: "bytes", data: body };
  return new MistResponse(status, headers.length === 0 ? NO_FIELDS : headers, content);
}

function fromNative(response: Response): ServerResponse {
  if (response.bodyUsed) throw new TypeError("the Response's body has already been read");
  const headers: Field[] = [...response.headers]; // one `set-cookie` each, as getSetCookie has them
  if (response.status === 0) throw new TypeError("a network error is no answer");
  if (response.body === null)
    return new MistResponse<ResponseBody>(response.status, headers, { kind: "empty" });
  return new MistResponse<ResponseBody>(
    response.status,
    headers,
    streamBody(response.body, lengthOf(response)),
  );
}

function lengthOf(response: Response): number | undefined {
  const length = response.headers.get("content-length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}

function streamBody(stream: ReadableStream<Uint8Array>, length: number | undefined): SourceBody {
  return {
    kind: "source",
    length,
    open: () => new StreamSource(stream),
    discard: () => void stream.cancel().catch(() => {}),
  };
}

// Pulls a web stream as the peer takes it; lets go of it as soon as nobody wants more.
class StreamSource implements BodySource {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #done = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) {
        this.#done = true;
        return null;
      }
      if (!(value instanceof Uint8Array)) throw new TypeError("a Response's stream gives Uint8Arrays");
      if (value.length > 0) return value;
    }
  }

  close(): void {
    if (!this.#done) this.#reader.cancel().catch(() => {}); // its failure has no hearer left
  }
}
