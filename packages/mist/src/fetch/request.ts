// A WHATWG Request for an incoming mist request, made only as far as the handler looks.
//
// Most handlers read the method, the URL and perhaps a header or the body as text. Those are answered from the
// parsed head and the incoming body. Whatever else is asked for goes to a real Request, made then, whose body is the
// incoming one as a stream. `instanceof Request` holds either way; `globals.ts` has `fetch` and `new Request` take it.

import { Buffer } from "node:buffer";
import { harmless } from "@x/glisten/kit";
import { BodyError, RequestTimeoutError } from "../errors.ts";
import type { Request as MistRequest } from "../http/request.ts";
import { requestUrl } from "../http/request-url.ts";
import { reasonPhrase } from "../http/status.ts";
import { readBody, stream } from "../server/exchange/request-body.ts";
import { waitUntil } from "../server/exchange/request-services.ts";
import { addressOfClient } from "./client-address.ts";
import { toHeaders, toLazyHeaders } from "./request-headers.ts";

const NativeRequest = globalThis.Request;
const NativeResponse = globalThis.Response;

type Incoming = MistRequest;
type StreamingInit = RequestInit & { duplex?: "half" };

/** The lazy Request. */
export class FetchRequest {
  readonly #request: Incoming;
  readonly #origin: string;
  readonly #maxBodyLimit: number;
  #native: Request | undefined = undefined;
  #url: string | undefined = undefined;
  #headers: Headers | undefined = undefined;
  /** The body was read, or is being read, without a real Request. */
  #read = false;

  constructor(request: Incoming, origin: string, maxBodyLimit: number) {
    this.#request = request;
    this.#origin = origin;
    this.#maxBodyLimit = maxBodyLimit;
  }

  /** The mist request behind a Request that a fetch handler was given, or a clone of it; undefined for any other. */
  static origin(request: unknown): Incoming | undefined {
    return isLazy(request) ? request.#request : undefined;
  }

  /** The real Request behind a lazy one; anything else as it is. */
  static unwrap(value: FetchRequest): Request;
  static unwrap<Value>(value: Value): Value | Request;
  static unwrap<Value>(value: Value): Value | Request {
    if (!isLazy(value)) return value;
    const native = value.#real();
    if (value.#headers !== undefined && value.#headers !== native.headers) {
      copyHeaders(value.#headers, native.headers); // the handler may have changed its own since
    }
    return native;
  }

  static isLazy(value: unknown): value is FetchRequest {
    return typeof value === "object" && value !== null && #request in value;
  }

  get method(): string {
    return this.#request.method;
  }

  get url(): string {
    this.#url ??= requestUrl(this.#origin, this.#request);
    return this.#url;
  }

  get headers(): Headers {
    this.#headers ??= this.#native === undefined ? toLazyHeaders(this.#request) : this.#native.headers;
    return this.#headers;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#hasBody() ? (this.#real().body as ReadableStream<Uint8Array> | null) : null;
  }

  get bodyUsed(): boolean {
    return this.#read || (this.#native?.bodyUsed ?? false);
  }

  get duplex(): "half" {
    return "half";
  }

  /** The client's IP address, as srvx and what is built on it look for it; undefined on a unix socket. */
  get ip(): string | undefined {
    return addressOfClient(this.#request)?.address;
  }

  /** Has `stop` wait for `work`, as srvx and what is built on it look for it. */
  waitUntil(work: Promise<unknown>): void {
    waitUntil(this.#request, work);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return harmless(this.#arrayBuffer());
  }

  blob(): Promise<Blob> {
    return harmless(this.#blob());
  }

  bytes(): Promise<Uint8Array> {
    return harmless(this.#bytes());
  }

  formData(): Promise<FormData> {
    return harmless(this.#formData());
  }

  json(): Promise<unknown> {
    return harmless(this.#json());
  }

  text(): Promise<string> {
    return harmless(this.#text());
  }

  /** A Request with the same limits; both branches of the body can be read. */
  clone(): Request {
    const copy = new FetchRequest(this.#request, this.#origin, this.#maxBodyLimit);
    if (this.#hasBody()) copy.#native = (FetchRequest.unwrap(this) as unknown as Request).clone();
    else if (this.#headers !== undefined) copy.#headers = new Headers(this.#headers);
    return copy as unknown as Request;
  }

  /** A property that only a real Request knows. */
  static ask(request: FetchRequest, name: keyof Request): unknown {
    const native = request.#real();
    const value: unknown = native[name];
    return typeof value === "function" ? value.bind(native) : value;
  }

  // A Request has no content for these methods (Fetch §5.4), whatever HTTP says.
  #hasBody(): boolean {
    const { body, method } = this.#request;
    return body.length !== 0 && method !== "GET" && method !== "HEAD";
  }

  async #arrayBuffer(): Promise<ArrayBuffer> {
    // A copy of its own: the bytes may lie in a packet with others around them.
    return new Uint8Array(await this.#content()).buffer;
  }

  async #blob(): Promise<Blob> {
    return (await this.#asResponse()).blob();
  }

  async #bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.#content());
  }

  async #formData(): Promise<FormData> {
    return (await this.#asResponse()).formData();
  }

  async #json(): Promise<unknown> {
    return JSON.parse(await this.#text());
  }

  async #text(): Promise<string> {
    const content = await this.#content();
    const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8");
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text; // "UTF-8 decode" takes a byte order mark away
  }

  async #content(): Promise<Uint8Array> {
    if (!this.#hasBody()) return nothing;
    if (this.bodyUsed) throw new TypeError("Body is unusable: Body has already been read");
    const limit = this.#maxBodyLimit;
    try {
      if (this.#native !== undefined) return await collect(this.#native.body, limit);
      this.#read = true;
      return await readBody(this.#request, { maxBodyLimit: limit });
    } catch (error) {
      throw withAnswer(error);
    }
  }

  // A Response has the same way with types and forms as a Request, and can be made from bytes.
  async #asResponse(): Promise<Response> {
    const type = this.headers.get("content-type");
    const init = type === null ? {} : { headers: { "content-type": type } };
    return new NativeResponse((await this.#content()) as Uint8Array<ArrayBuffer>, init);
  }

  #real(): Request {
    if (this.#native !== undefined) return this.#native;
    const request = this.#request;
    const init: StreamingInit = {
      method: request.method,
      headers: this.#headers ?? toHeaders(request),
      signal: request.signal,
    };
    if (this.#hasBody()) {
      init.body = this.#read ? usedStream() : stream(request).toReadableStream();
      init.duplex = "half";
    }
    this.#native = new NativeRequest(this.url, init);
    if (this.#read) void this.#native.body?.cancel(); // read is read, whoever did it
    return this.#native;
  }
}

const { isLazy } = FetchRequest;
const nothing = new Uint8Array(0);

// Everything else a Request has, on whatever version of Node: the real one knows.
for (const name of Object.getOwnPropertyNames(NativeRequest.prototype) as (keyof Request)[]) {
  if (Object.hasOwn(FetchRequest.prototype, name)) continue;
  Object.defineProperty(FetchRequest.prototype, name, {
    get(this: FetchRequest) {
      return FetchRequest.ask(this, name);
    },
    enumerable: true,
    configurable: true,
  });
}
Object.setPrototypeOf(FetchRequest.prototype, NativeRequest.prototype);
Object.defineProperty(FetchRequest.prototype, "constructor", { get: () => globalThis.Request });

const origins = new WeakMap<Request, Incoming>();

/** The lazy Request, under the type that fetch handlers expect. */
export function toLazyRequest(request: Incoming, origin: string, maxBodyLimit: number): Request {
  return new FetchRequest(request, origin, maxBodyLimit) as unknown as Request;
}

/** A Request that is Node's own from the start. The limit counts for every way of reading it. */
export function toNativeRequest(request: Incoming, origin: string, maxBodyLimit: number): Request {
  const init: StreamingInit = {
    method: request.method,
    headers: toHeaders(request),
    signal: request.signal,
  };
  if (request.body.length !== 0 && request.method !== "GET" && request.method !== "HEAD") {
    init.body = limited(stream(request).toReadableStream(), maxBodyLimit);
    init.duplex = "half";
  }
  const native = new NativeRequest(requestUrl(origin, request), init);
  origins.set(native, request);
  return native;
}

/** The mist request behind a Request that a fetch handler was given; undefined for any other Request. */
export function mistRequest(request: Request): MistRequest | undefined {
  return FetchRequest.origin(request) ?? origins.get(request);
}

function copyHeaders(from: Headers, to: Headers): void {
  for (const name of [...to.keys()]) to.delete(name);
  for (const [name, value] of from) to.append(name, value);
}

function usedStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

// Hono asks an error for its answer, and makes a 500 of one that has none: the client is to hear what it did.
function withAnswer(error: unknown): unknown {
  if (!(error instanceof BodyError || error instanceof RequestTimeoutError)) return error;
  const { status } = error;
  const getResponse = () => new Response(`${status} ${reasonPhrase(status)}\n`, { status });
  return Object.defineProperty(error, "getResponse", { value: getResponse, configurable: true });
}

async function collect(body: ReadableStream<Uint8Array> | null, limit: number): Promise<Uint8Array> {
  if (body === null) return nothing;
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > limit) throw tooLong(limit);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
}

function limited(body: ReadableStream<Uint8Array>, limit: number): ReadableStream<Uint8Array> {
  let length = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>(
    {
      transform(piece, controller) {
        length += piece.length;
        if (length > limit) throw tooLong(limit);
        controller.enqueue(piece);
      },
    },
    { highWaterMark: 1 },
    { highWaterMark: 0 },
  );
  return body.pipeThrough(counter);
}

function tooLong(limit: number): BodyError {
  return new BodyError("excess-body", `the request body is longer than ${limit} bytes`);
}
