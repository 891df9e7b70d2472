// The kinds of body a response can have, and the functions that make the plain ones.
//
// `writers.ts` has one branch for each. Files (`source`), event streams and chunked actors (`actor`)
// and WebSockets (`upgrade`) are made beside their features.

import { Buffer } from "node:buffer";
import type { Protocol } from "@x/glisten";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { BytesBody, EmptyBody, Response } from "../../http/response.ts";
import type { ServerEvents } from "../events.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import type { BodySource } from "./body-source.ts";
import { type Chunks, isChunks } from "./chunk-reader.ts";
import type { ResponseStream } from "./response-stream.ts";

/** A body whose length is not known beforehand: sent chunked, or until close to an HTTP/1.0 client. */
export interface IterableBody {
  readonly kind: "iterable";
  /** The pieces, pulled one at a time; text leaves as UTF-8. */
  readonly chunks: Chunks;
}

/** A body pulled from something that must be opened and closed, such as a file. */
export interface SourceBody {
  readonly kind: "source";
  /** Bytes; undefined if not known beforehand. */
  readonly length: number | undefined;
  /** Opens what is read; called once, when the content is about to be sent. */
  open(): BodySource | Promise<BodySource>;
  /** Called in place of `open` when the content is not to be sent after all: HEAD, 304, a client that is gone. */
  discard?(): void;
}

/** A body written by an actor for as long as it likes. */
export interface ActorBody {
  readonly kind: "actor";
  /**
   * Bytes that may wait for a client that takes less than it is sent; the next send breaks the response off.
   * Default 16 MiB.
   */
  readonly maxBufferedBytes?: number | undefined;
  /** Called once the head is written; never for an answer without content. */
  start(stream: ResponseStream): ActorBodyWriter;
}

/** What the server tells the writer of an {@link ActorBody}. */
export interface ActorBodyWriter {
  /** The server is stopping: finish soon. */
  shutdown(deadlineMs: number): void;
  /** The instant set with `stream.setDeadline` has passed. */
  deadline?(): void;
  /** The response is over, whoever ended it; `error` tells that the client has gone. Called exactly once. */
  closed(error?: unknown): void;
}

/** The connection, or the stream of an extended CONNECT, goes on in another protocol (RFC 9110 §7.8, RFC 8441 §5). */
export interface UpgradeBody {
  readonly kind: "upgrade";
  /**
   * Called when the head that accepts is on its way. Bytes that came behind the request head follow by `data`.
   */
  start(stream: ByteStream, host: UpgradeHost): Protocol;
}

/** The server behind an {@link UpgradeBody}. */
export interface UpgradeHost {
  /** Reports a failure of the user's code. */
  readonly onError: (error: unknown) => void;
  /** @internal */
  readonly events: ServerEvents;
}

export type { BytesBody };

/** Every body the server knows how to send. */
export type ResponseBody = EmptyBody | BytesBody | IterableBody | SourceBody | ActorBody | UpgradeBody;

/** A response the server can send. */
export type ServerResponse = Response<ResponseBody>;

/** What a handler is told that returned something else, which only untyped code can. */
export function noResponse(value: unknown): UsageError {
  if (value instanceof globalThis.Response)
    return new UsageError("the handler returned a fetch Response: wrap it with fromFetch of @x/mist/fetch");
  return new UsageError(
    `the handler must return a response, such as mist.response(200), got ${shown(value)}`,
  );
}

/** What a handler is told whose response has a body of another make. */
export function noBody(value: unknown): UsageError {
  return new UsageError(
    `a response body must be text, bytes or what mist.chunked and the like give, got ${shown(value)}`,
  );
}

/**
 * A body of these bytes. Text is sent as UTF-8; several pieces are sent one behind the other.
 *
 * @example `mist.response(200).setBody(mist.bytes("hello"))`
 */
export function bytes(data: string | Uint8Array | readonly (string | Uint8Array)[]): BytesBody {
  if (typeof data === "string" || data instanceof Uint8Array) return { kind: "bytes", data };
  if (!Array.isArray(data))
    throw new UsageError(`bytes takes text, bytes or a list of them, got ${shown(data)}`);
  return {
    kind: "bytes",
    data: Buffer.concat(data.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece))),
  };
}

/** A body that is all there, as one that is streamed: trailers come behind it. */
export function sourceOf(body: EmptyBody | BytesBody): SourceBody {
  const content = body.kind === "empty" ? "" : body.data;
  const data = typeof content === "string" ? Buffer.from(content) : content;
  let rest = data.length === 0 ? null : data;
  const read = () => {
    const piece = rest;
    rest = null;
    return piece;
  };
  return { kind: "source", length: data.length, open: () => ({ read, close() {} }) };
}

/** A body of these chunks, pulled one by one as the client takes them. */
export function iterableBody(chunks: Chunks): IterableBody {
  if (typeof chunks !== "object" || chunks === null || !isChunks(chunks)) {
    throw new UsageError(
      `chunked takes an iterable of text or bytes, or options with init and loop, got ${shown(chunks)}`,
    );
  }
  return { kind: "iterable", chunks };
}
