// `chunked(…)`: a response whose length is not known beforehand, from an iterable or written by a loop.

import type { AnyIfUnknown } from "@x/glisten/actor";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import { type IterableBody, iterableBody, type ServerResponse } from "../body/response-body.ts";
import type { ResponseStream } from "../body/response-stream.ts";
import { checkStreamOptions, StreamActor, type StreamHandler } from "./stream-actor.ts";

/** A response being written in chunks, as its loop holds it. */
export class ChunkedStream<Message = never, State = unknown> extends StreamActor<State, Message> {
  /** @internal Use {@link chunked}. */
  constructor(stream: ResponseStream, options: ChunkedOptions<State, Message>) {
    super(stream, options);
    this.run(options as unknown as StreamHandler<State, Message, this>);
  }

  /**
   * Sends a chunk; text as UTF-8, nothing for an empty one. The promise is already resolved while the client keeps
   * up, otherwise it resolves when it has caught up; the loop gets no further message before that, whether it looks
   * at the promise or not. Rejects with a TransportError when the response is over.
   */
  sendChunk(data: string | Uint8Array): Promise<void> {
    return this.put(data);
  }

  protected finish(stopping: boolean): void {
    // A server that stops lets a download finish, up to its deadline; only the loop can end it.
    if (this.open && !(stopping && this.running)) this.stream.end();
  }
}

/**
 * Options of a chunked response written by a loop. `Self` is the message type of the stream that `init` gets; leave it
 * to be inferred.
 */
export interface ChunkedOptions<State, Message = never, Self = Message>
  extends StreamHandler<State, Message, ChunkedStream<Message>, ChunkedStream<Self>> {
  /** The request that is answered. */
  readonly request: Request<unknown>;
  /** Status, fields and trailers; its body is not looked at. */
  readonly response: Response;
  /** Bytes sent and not taken by the client, above which the next send cuts it off. Default 16 MiB. */
  readonly maxBufferedBytes?: number | undefined;
}

// The options come first: the other order would have TypeScript take `init: () => [state, selector]` for an array.

/**
 * Answers with a response that `init` and `loop` send in chunks. `stop()` ends it in order; `stopAbnormal(reason)` and
 * failures break it off, so that the client sees that it is not whole. A client that leaves ends the loop at once.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * mist.chunked({
 *   request,
 *   response: mist.response(200),
 *   init: () => [0, selector<string>().select(lines)],
 *   loop(count, line, chunks) {
 *     chunks.sendChunk(`${line}\n`);
 *     return count < 9 ? mist.continue(count + 1) : mist.stop();
 *   },
 * });
 * ```
 */
export function chunked<State, Message = never, Self = AnyIfUnknown<Message>>(
  options: ChunkedOptions<State, Message, Self>,
): ServerResponse;
/**
 * A body of these chunks, pulled one by one as the client takes them.
 *
 * @example `mist.response(200).setBody(mist.chunked(lines()))`
 */
export function chunked(
  chunks: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
): IterableBody;
export function chunked<State, Message>(
  source: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array> | ChunkedOptions<State, Message>,
): IterableBody | ServerResponse {
  if (!isOptions(source)) return iterableBody(source);
  checkStreamOptions("chunked", source, ["response"]);
  if (!(source.response instanceof Response)) {
    throw new UsageError(`response must be a response, got ${shown(source.response)}`);
  }
  const start = (stream: ResponseStream) => new ChunkedStream(stream, source);
  return source.response.setBody({ kind: "actor", start, maxBufferedBytes: source.maxBufferedBytes });
}

function isOptions<State, Message>(
  source: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array> | ChunkedOptions<State, Message>,
): source is ChunkedOptions<State, Message> {
  if (typeof source !== "object" || source === null) return false;
  return !(Symbol.iterator in source || Symbol.asyncIterator in source);
}
