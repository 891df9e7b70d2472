// A WHATWG Request for an incoming mist request, made only as far as the handler looks.
//
// Most handlers read the method, the URL and perhaps a header. Those are answered from the parsed head. Whatever
// else is asked for goes to a real Request, made then; `instanceof Request` holds either way.

import { Buffer } from "node:buffer";
import type { Request as MistRequest } from "../http/request.ts";
import { type IncomingBody, readBody, stream } from "../server/request-body.ts";

const NativeRequest = globalThis.Request;

/** Where URLs of requests without a Host (HTTP/1.0) point to. */
const nobody = "localhost";

// What the WHATWG URL parser would change in a path that RFC 9112 lets through: dot segments and a few characters.
const needsUrlParser = /\/\.|%2e|[^\w\-.~!$&()*+,;=:@/%]/i;
const queryNeedsUrlParser = /[^\w\-.~!$&()*+,;=:@/%?]/;

/** Options for the requests a fetch handler gets. */
export interface FetchRequestOptions {
  /** Most bytes that `text()`, `json()`, `arrayBuffer()`, `bytes()` and `blob()` take; streams are not limited. */
  readonly maxBodyBytes: number;
}

/** The lazy Request. */
export class FetchRequest {
  readonly #request: MistRequest<IncomingBody>;
  readonly #options: FetchRequestOptions;
  #native: Request | undefined = undefined;
  #url: string | undefined = undefined;
  #headers: Headers | undefined = undefined;
  #read = false;

  constructor(request: MistRequest<IncomingBody>, options: FetchRequestOptions) {
    this.#request = request;
    this.#options = options;
  }

  /** The mist request behind a Request that a fetch handler was given; undefined for any other. */
  static origin(request: unknown): MistRequest<IncomingBody> | undefined {
    return typeof request === "object" && request !== null && #request in request
      ? (request as FetchRequest).#request
      : undefined;
  }

  get method(): string {
    return this.#request.method;
  }

  get url(): string {
    this.#url ??= absoluteUrl(this.#request);
    return this.#url;
  }

  get headers(): Headers {
    this.#headers ??= this.#native === undefined ? toHeaders(this.#request) : this.#native.headers;
    return this.#headers;
  }

  get signal(): AbortSignal {
    return this.#native === undefined ? this.#request.signal : this.#native.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#real().body as ReadableStream<Uint8Array> | null;
  }

  get bodyUsed(): boolean {
    return this.#read || (this.#native?.bodyUsed ?? false);
  }

  get cache(): Request["cache"] {
    return this.#real().cache;
  }

  get credentials(): Request["credentials"] {
    return this.#real().credentials;
  }

  get destination(): Request["destination"] {
    return this.#real().destination;
  }

  get duplex(): "half" {
    return "half";
  }

  get integrity(): string {
    return "";
  }

  get keepalive(): boolean {
    return false;
  }

  get mode(): Request["mode"] {
    return this.#real().mode;
  }

  get redirect(): Request["redirect"] {
    return this.#real().redirect;
  }

  get referrer(): string {
    return this.#real().referrer;
  }

  get referrerPolicy(): Request["referrerPolicy"] {
    return this.#real().referrerPolicy;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const content = await this.#content();
    return content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength) as ArrayBuffer;
  }

  async blob(): Promise<Blob> {
    return new Blob([(await this.#content()) as Uint8Array<ArrayBuffer>], {
      type: this.headers.get("content-type") ?? "",
    });
  }

  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.arrayBuffer());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async text(): Promise<string> {
    const content = await this.#content();
    const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8");
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text; // "UTF-8 decode" takes a byte order mark away
  }

  formData(): Promise<FormData> {
    return this.#real().formData();
  }

  clone(): Request {
    return this.#real().clone();
  }

  async #content(): Promise<Uint8Array> {
    if (this.#native !== undefined) return new Uint8Array(await this.#native.arrayBuffer());
    if (this.#read) throw new TypeError("Body is unusable: Body has already been read");
    this.#read = true;
    return readBody(this.#request, { maxBodyLimit: this.#options.maxBodyBytes });
  }

  #real(): Request {
    if (this.#native !== undefined) return this.#native;
    if (this.#read) throw new TypeError("Body is unusable: Body has already been read");
    const request = this.#request;
    const init: RequestInit & { duplex?: "half" } = {
      method: request.method,
      headers: this.#headers ?? toHeaders(request),
      signal: request.signal,
    };
    // A Request has no content for these methods (Fetch §5.4), whatever HTTP says.
    if (request.body.length !== 0 && request.method !== "GET" && request.method !== "HEAD") {
      init.body = stream(request).toReadableStream();
      init.duplex = "half";
    }
    this.#native = new NativeRequest(this.url, init);
    return this.#native;
  }
}

Object.setPrototypeOf(FetchRequest.prototype, NativeRequest.prototype);

/** The lazy Request under the type that fetch handlers expect. */
export function toFetchRequest(request: MistRequest<IncomingBody>, options: FetchRequestOptions): Request {
  return new FetchRequest(request, options) as unknown as Request;
}

function absoluteUrl(request: MistRequest<IncomingBody>): string {
  const { scheme, host, port, path, query } = request;
  const authority = host === "" ? nobody : host;
  const standard = port === undefined || port === (scheme === "https" ? 443 : 80);
  const origin = standard ? `${scheme}://${authority}` : `${scheme}://${authority}:${port}`;
  const rest = path === "*" ? "/*" : path;
  const url = query === undefined ? origin + rest : `${origin}${rest}?${query}`;
  if (needsUrlParser.test(rest) || (query !== undefined && queryNeedsUrlParser.test(query)))
    return new URL(url).href;
  return url;
}

function toHeaders(request: MistRequest<IncomingBody>): Headers {
  const headers = new Headers();
  for (const [name, value] of request.headers) headers.append(name, value);
  return headers;
}
