// A WHATWG Response that stays a plain record while its body is text or bytes, which is nearly always.
//
// Node's own Response makes a stream for every body, and to read it back costs more than the rest of an exchange.
// This one keeps body and init as they were given; anything that only a real Response can do makes one, then. It is
// put in the place of `globalThis.Response` by `fromFetch`, and is a subclass of what stood there.

import { type Field, type Fields, isFieldValue, isToken } from "../http/fields.ts";

const NativeResponse = globalThis.Response;

type BodyInit = NonNullable<ConstructorParameters<typeof Response>[0]>;
type HeadersInit = NonNullable<ResponseInit["headers"]>;

type PlainBody = string | Uint8Array | null;

/** What a response that never became a real one is made of. */
export interface PlainResponse {
  readonly status: number;
  readonly body: PlainBody;
  /** Checked, names lower-cased. */
  readonly headers: Fields;
}

const nullBodyStatus = new Set([204, 205, 304]);

/** The light Response. */
export class LightResponse {
  #plain: PlainResponse | undefined = undefined;
  #native: Response | undefined = undefined;
  /** Whether the real response's body is still the plain one, unread. */
  #untouched = true;

  constructor(body: BodyInit | null = null, init: ResponseInit | undefined = undefined) {
    const plain = plainResponse(body, init);
    if (plain === undefined) this.#native = new NativeResponse(body, init);
    else this.#plain = plain;
  }

  static json(data: unknown, init: ResponseInit = {}): Response {
    return NativeResponse.json(data, init);
  }

  static redirect(url: string | URL, status: 301 | 302 | 303 | 307 | 308 = 302): Response {
    return NativeResponse.redirect(url, status);
  }

  static error(): Response {
    return NativeResponse.error();
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof NativeResponse;
  }

  /** The parts, as long as nobody needed more; undefined once a real Response has to be read. */
  static plain(response: Response): PlainResponse | undefined {
    return #plain in response ? (response as unknown as LightResponse).#parts() : undefined;
  }

  /** Node's Response behind this one. */
  static native(response: Response): Response {
    return #plain in response ? (response as unknown as LightResponse).#real() : response;
  }

  get status(): number {
    return this.#native?.status ?? (this.#plain as PlainResponse).status;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  get statusText(): string {
    return this.#native?.statusText ?? "";
  }

  get type(): Response["type"] {
    return this.#native?.type ?? "default";
  }

  get url(): string {
    return this.#native?.url ?? "";
  }

  get redirected(): boolean {
    return this.#native?.redirected ?? false;
  }

  get headers(): Headers {
    return this.#real().headers;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#plain?.body === null && this.#native === undefined) return null;
    return this.#touch().body as ReadableStream<Uint8Array> | null;
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? false;
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#touch().arrayBuffer();
  }

  blob(): Promise<Blob> {
    return this.#touch().blob();
  }

  bytes(): Promise<Uint8Array> {
    const native = this.#touch() as Response & { bytes?: () => Promise<Uint8Array> };
    // Node 20 has no Response.bytes.
    return native.bytes?.() ?? native.arrayBuffer().then((buffer) => new Uint8Array(buffer));
  }

  formData(): Promise<FormData> {
    return this.#touch().formData();
  }

  json(): Promise<unknown> {
    return this.#touch().json();
  }

  text(): Promise<string> {
    return this.#touch().text();
  }

  clone(): Response {
    return this.#touch().clone();
  }

  #parts(): PlainResponse | undefined {
    const plain = this.#plain;
    const native = this.#native;
    if (plain === undefined || !this.#untouched) return undefined;
    // The real one was made for its headers, which may have been changed; the body is still ours.
    return native === undefined
      ? plain
      : { status: native.status, body: plain.body, headers: [...native.headers] };
  }

  #touch(): Response {
    this.#untouched = false;
    return this.#real();
  }

  #real(): Response {
    if (this.#native === undefined) {
      const { body, status, headers } = this.#plain as PlainResponse;
      this.#native = new NativeResponse(body as BodyInit | null, {
        status,
        headers: headers as [string, string][],
      });
    }
    return this.#native;
  }
}

Object.setPrototypeOf(LightResponse, NativeResponse);
Object.setPrototypeOf(LightResponse.prototype, NativeResponse.prototype);

/** Puts the light Response in the place of the global one, once. */
export function installLightResponse(): void {
  if (globalThis.Response !== NativeResponse) return;
  Object.defineProperty(globalThis, "Response", { value: LightResponse, writable: true, configurable: true });
}

// Undefined for anything out of the ordinary: the real constructor knows every rule and throws what it should.
function plainResponse(body: unknown, init: ResponseInit | undefined): PlainResponse | undefined {
  if (typeof body !== "string" && body !== null && !(body instanceof Uint8Array)) return undefined;
  const content = body instanceof Uint8Array ? body.slice() : body;
  const type = typeof body === "string" ? textType : noFields;
  if (init === undefined) return { status: 200, body: content, headers: type };
  if (typeof init !== "object" || init === null || init.statusText) return undefined;
  const { status = 200 } = init;
  if (!Number.isInteger(status) || status < 200 || status > 599) return undefined;
  if (body !== null && nullBodyStatus.has(status)) return undefined;
  if (init.headers === undefined) return { status, body: content, headers: type };
  const headers = plainHeaders(init.headers);
  if (headers === undefined) return undefined;
  const typed = headers.some(([name]) => name === "content-type");
  return { status, body: content, headers: typed ? headers : [...headers, ...type] };
}

// What Response gives a text body that names no type (Fetch §6.2).
const textType: Fields = [["content-type", "text/plain;charset=UTF-8"]];
const noFields: Fields = [];

// A copy: the caller may go on with its record.
function plainHeaders(headers: HeadersInit): Fields | undefined {
  if (headers instanceof Headers) return [...headers];
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
