// A WHATWG Response that stays a plain record while its body is text or bytes, which is nearly always.
//
// Node's own Response makes a stream for every body, and to read it back costs more than the rest of an exchange.
// This one keeps body and init as they were given; anything that only a real Response can do makes one, then. It is
// put in the place of `globalThis.Response` by `globals.ts`, and is a subclass of what stood there.

import { type Field, NO_FIELDS } from "../http/fields.ts";
import type { ServerResponse } from "../server/body/response-body.ts";
import { type BodyInit, type PlainResponse, plainResponse } from "./plain-response.ts";
import { standInFor } from "./stand-in.ts";

const NativeResponse = globalThis.Response;

interface LightResponses {
  is(value: unknown): boolean;
  /** The parts, as long as nobody wanted the body as a stream or read it; undefined otherwise. */
  plain(response: Response): PlainResponse | undefined;
  /** Bytes of the body, where that is known without reading it. */
  length(response: Response): number | undefined;
  /** The mist response that this one stands for. */
  upgrade(response: Response): ServerResponse | undefined;
  /** The real Response behind it, for what only that can do. */
  native(response: LightResponse): Response;
  /**
   * A Response for the answer to a handshake. For an upgrade, which fetch has no words for, it stands without being
   * one: it goes through middleware like any other, and fields set on it, or on a `new Response(body, it)`, join those
   * of the upgrade.
   */
  carry(answer: ServerResponse): Response;
}

let inside: LightResponses;
const upgradeStatus = 101;

/** The light Response. */
export class LightResponse {
  /** What was given, if it was plain. */
  #plain: PlainResponse | undefined = undefined;
  /** The real one: from the start if not plain, else once somebody wants its body. */
  #native: Response | undefined = undefined;
  /** Of a plain response, once somebody wants them. */
  #headers: Headers | undefined = undefined;
  /** Bytes of the real one's body, where the constructor was told. */
  #length: number | undefined = undefined;
  /** What it stands for, if it is more than fetch has words for. */
  #upgrade: ServerResponse | undefined = undefined;

  constructor(body: BodyInit | null = null, init: ResponseInit | undefined = undefined) {
    this.#plain = plainResponse(body, init) ?? upgradeCopy(body, init);
    if (this.#plain === undefined) {
      this.#native = new NativeResponse(body, init);
      if (body instanceof Blob) this.#length = body.size;
    } else if (this.#plain.status === upgradeStatus) {
      this.#upgrade = inside.upgrade(init as unknown as Response);
    }
  }

  static json(data: unknown, init: ResponseInit | undefined = undefined): Response {
    const text: string | undefined = JSON.stringify(data);
    if (text === undefined || init?.headers !== undefined) return NativeResponse.json(data, init);
    const headers = { "content-type": "application/json" };
    return new LightResponse(text, { ...init, headers }) as unknown as Response;
  }

  static redirect(url: string | URL, status: 301 | 302 | 303 | 307 | 308 = 302): Response {
    return NativeResponse.redirect(url, status);
  }

  static error(): Response {
    return NativeResponse.error();
  }

  static {
    inside = {
      is: (value) => typeof value === "object" && value !== null && #plain in value,
      plain: (response) => (isLight(response) ? response.#parts() : undefined),
      length: (response) => (isLight(response) ? response.#length : undefined),
      upgrade: (response) => (isLight(response) ? response.#upgrade : undefined),
      native: (response) => response.#real(),
      carry(answer) {
        const carrier = new LightResponse(null);
        const { status, headers, body } = answer;
        if (body.kind === "upgrade") {
          carrier.#plain = { status: upgradeStatus, body: null, headers: NO_FIELDS };
          carrier.#upgrade = answer;
        } else {
          carrier.#plain = { status, headers, body: body.kind === "bytes" ? body.data : null };
        }
        return carrier as unknown as Response;
      },
    };
  }

  get status(): number {
    return this.#plain?.status ?? (this.#native as Response).status;
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
    if (this.#plain === undefined) return (this.#native as Response).headers;
    this.#headers ??= new Headers(this.#plain.headers as [string, string][]);
    return this.#headers;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#plain?.body === null) return null;
    return this.#real().body as ReadableStream<Uint8Array> | null;
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? false;
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#real().arrayBuffer();
  }

  blob(): Promise<Blob> {
    return this.#real().blob();
  }

  bytes(): Promise<Uint8Array> {
    return this.#real()
      .arrayBuffer()
      .then((buffer) => new Uint8Array(buffer));
  }

  formData(): Promise<FormData> {
    return this.#real().formData();
  }

  json(): Promise<unknown> {
    return this.#real().json();
  }

  text(): Promise<string> {
    return this.#real().text();
  }

  clone(): Response {
    const copy = new LightResponse(null);
    copy.#native = this.#native?.clone();
    copy.#plain = this.#plain;
    copy.#headers = this.#headers === undefined ? undefined : new Headers(this.#headers);
    copy.#length = this.#length;
    copy.#upgrade = this.#upgrade;
    return copy as unknown as Response;
  }

  #parts(): PlainResponse | undefined {
    if (this.#plain === undefined || this.#native !== undefined) return undefined;
    if (this.#headers === undefined) return this.#plain;
    return { ...this.#plain, headers: [...this.#headers] as Field[] };
  }

  #real(): Response {
    if (this.#native !== undefined) return this.#native;
    const { body, status } = this.#plain as PlainResponse;
    this.#native = new NativeResponse(body as BodyInit | null, {
      status: status === upgradeStatus ? 200 : status, // no Response has that status
      headers: this.headers,
    });
    return this.#native;
  }
}

/** What is to be known of light Responses, and is not for everybody. */
export const light: LightResponses = inside;

function isLight(value: unknown): value is LightResponse {
  return inside.is(value);
}

// `new Response(response.body, response)` is how middleware changes one: what stands for an upgrade goes on to.
function upgradeCopy(body: unknown, init: unknown): PlainResponse | undefined {
  if (body !== null || !isLight(init) || init.status !== upgradeStatus) return undefined;
  return { status: upgradeStatus, body: null, headers: [...init.headers] as Field[] };
}

Object.setPrototypeOf(LightResponse, NativeResponse);
Object.setPrototypeOf(LightResponse.prototype, NativeResponse.prototype);
standInFor(NativeResponse, LightResponse);
// Methods of a newer Node that this file does not know, such as `textStream` in Node 26.
for (const name of Object.getOwnPropertyNames(NativeResponse.prototype)) {
  const method: unknown = Object.getOwnPropertyDescriptor(NativeResponse.prototype, name)?.value;
  if (Object.hasOwn(LightResponse.prototype, name) || typeof method !== "function") continue;
  Object.defineProperty(LightResponse.prototype, name, {
    value(this: LightResponse, ...given: unknown[]): unknown {
      return Reflect.apply(method, inside.native(this), given);
    },
    writable: true,
    configurable: true,
  });
}
for (const name of Object.getOwnPropertyNames(LightResponse.prototype)) {
  // As the attributes of an interface are: some log and copy what `for … in` finds.
  if (name !== "constructor") Object.defineProperty(LightResponse.prototype, name, { enumerable: true });
}
