// From a response as a protocol's client reads it to the `Response` that a test gets.

import { pipeline } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { listTokens } from "../http/fields.ts";

/** A `Response`, and what came behind its body. */
export interface FetchedResponse extends globalThis.Response {
  /** The trailer section: empty if there is none. Rejects if the body breaks off. Lost by `clone`. */
  readonly trailers: Promise<Headers>;
}

/** A response whose body is still to be read. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
  /** Undefined: there can be none. */
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly trailers: Promise<Headers>;
  /** Nobody reads the body any more. */
  cancel(): void;
}

/** Read ahead, so that a short response that nobody reads does not keep its connection. */
const readAheadBytes = 65_536;

export function responseOf(answer: Answer, url: URL): FetchedResponse {
  const { status, reason, headers, body, trailers } = answer;
  const content =
    body === undefined
      ? null
      : streamOf(decoded(body, headers.get("content-encoding")), () => answer.cancel());
  const response = new Response(content, { status, statusText: reason, headers });
  const values = { url: url.href, trailers };
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(response, name, { value, enumerable: true, configurable: true });
  }
  return response as FetchedResponse;
}

/** Without content codings, as `fetch` gives it; one that Node does not know stays. */
function decoded(body: AsyncIterable<Uint8Array>, codings: string | null): AsyncIterable<Uint8Array> {
  let content = body;
  for (const coding of listTokens(codings ?? "").reverse()) {
    const decoder = decoderOf(coding);
    if (decoder === undefined) return content;
    // A failure is told by the decoder, which is destroyed with it.
    content = pipeline(content, decoder, () => {});
  }
  return content;
}

function decoderOf(coding: string): ReturnType<typeof createGunzip> | undefined {
  if (coding === "gzip" || coding === "x-gzip") return createGunzip();
  if (coding === "deflate") return createInflate();
  return coding === "br" ? createBrotliDecompress() : undefined;
}

function streamOf(chunks: AsyncIterable<Uint8Array>, cancel: () => void): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else
          controller.enqueue(new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength));
      },
      // Not the iterator's `return`, which waits for the piece that is under way.
      cancel,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: readAheadBytes }),
  );
}
