// `serverSentEvents({ request, init, loop })`: a response that is a stream of events (WHATWG HTML §9.2).
//
// The encoding is in `sse/event.ts`, the loop in `stream-actor.ts`. Here: the fields of the response, keep-alive
// comments, and the farewell when the server stops.

import type { AnyIfUnknown } from "@x/glisten/actor";
import { clock, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Request } from "../../http/request.ts";
import { Response, response } from "../../http/response.ts";
import { encodeComment, encodeEvent, encodeRetry, type ServerSentEvent } from "../../sse/event.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { ResponseStream } from "../body/response-stream.ts";
import { checkStreamOptions, StreamActor, type StreamHandler } from "./stream-actor.ts";

/** An open stream of events, as its loop holds it. */
export class EventStream<Message = never, State = unknown> extends StreamActor<State, Message> {
  /** The id of the last event the client has seen, if it comes back (WHATWG HTML §9.2.4). */
  readonly lastEventId: string | undefined;
  readonly #keepAliveMs: number;
  readonly #retryOnStopMs: number;
  #sentAt = 0;

  /** @internal Use {@link serverSentEvents}. */
  constructor(stream: ResponseStream, options: ServerSentEventsOptions<State, Message>) {
    super(stream, options);
    this.lastEventId = options.request.getHeader("last-event-id");
    this.#keepAliveMs = options.keepAliveMs ?? 15_000;
    this.#retryOnStopMs = options.retryOnStopMs ?? 1_000;
    this.#sentAt = clock.now();
    this.#keepAlive();
    this.run(options as unknown as StreamHandler<State, Message, this>);
  }

  /**
   * Sends an event. The promise is already resolved while the client keeps up, otherwise it resolves when it has
   * caught up; the loop gets no further message before that, whether it looks at the promise or not. Rejects with a
   * TransportError when the response is over.
   */
  sendEvent(event: ServerSentEvent): Promise<void> {
    return this.#send(encodeEvent(event));
  }

  /** Sends a comment, which the client ignores. Otherwise like {@link sendEvent}. */
  sendComment(comment: string): Promise<void> {
    return this.#send(encodeComment(comment));
  }

  /** Sends events that were encoded before, for others too. @internal */
  sendEncoded(events: Uint8Array): Promise<void> {
    return this.#send(events);
  }

  /** @internal */
  deadline(): void {
    if (!this.open) return;
    if (this.#silence() >= this.#keepAliveMs - 1) this.#send(encodeComment(""));
    this.#keepAlive();
  }

  protected finish(stopping: boolean): void {
    if (!this.open) return;
    // The client is to come back soon: to the next process, or to another machine.
    if (stopping) this.#send(encodeRetry(this.#retryOnStopMs));
    this.stream.end();
  }

  #send(data: string | Uint8Array): Promise<void> {
    this.#sentAt = clock.now();
    return this.put(data);
  }

  #silence(): number {
    return clock.now() - this.#sentAt;
  }

  #keepAlive(): void {
    if (this.#keepAliveMs > 0) this.stream.setDeadline(Math.max(1, this.#keepAliveMs - this.#silence()));
  }
}

/**
 * Options of {@link serverSentEvents}. `Self` is the message type of the stream that `init` gets; leave it to be
 * inferred.
 */
export interface ServerSentEventsOptions<State, Message = never, Self = Message>
  extends StreamHandler<State, Message, EventStream<Message>, EventStream<Self>> {
  /** The request that is answered; its `last-event-id` is read. */
  readonly request: Request<unknown>;
  /** Status and further fields of the response; its body is not looked at. Default 200. */
  readonly initialResponse?: Response | undefined;
  /** Silence after which a comment is sent, so that nobody on the way takes the connection for dead; 0: never. Default 15 000. */
  readonly keepAliveMs?: number | undefined;
  /** Bytes sent and not taken by the client, above which the next send cuts it off. Default 16 MiB. */
  readonly maxBufferedBytes?: number | undefined;
  /** What the client is told, when the server stops, to wait before it comes back; milliseconds. Default 1000. */
  readonly retryOnStopMs?: number | undefined;
}

/**
 * Answers with a stream of events, which `init` and `loop` send. It ends when the loop says `stop()`, is broken off by
 * `stopAbnormal(reason)` and failures, and when the server stops it ends with a `retry`. A client that leaves ends the
 * loop at once.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * mist.serverSentEvents({
 *   request,
 *   init: () => [0, selector<number>().select(ticks)],
 *   loop(count, tick, stream) {
 *     stream.sendEvent(mist.event(`${tick}`).eventId(`${count}`));
 *     return mist.continue(count + 1);
 *   },
 * });
 * ```
 */
export function serverSentEvents<State, Message = never, Self = AnyIfUnknown<Message>>(
  options: ServerSentEventsOptions<State, Message, Self>,
): ServerResponse {
  checkStreamOptions("serverSentEvents", options, ["initialResponse", "keepAliveMs", "retryOnStopMs"]);
  for (const name of ["keepAliveMs", "retryOnStopMs"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new UsageError(`${name} must be an integer from 0, got ${shown(value)}`);
    }
  }
  const { initialResponse } = options;
  if (initialResponse !== undefined && !(initialResponse instanceof Response)) {
    throw new UsageError(`initialResponse must be a response, got ${shown(initialResponse)}`);
  }
  let head: Response = initialResponse ?? response(200);
  if (head.getHeader("cache-control") === undefined) head = head.setHeader("cache-control", "no-cache");
  return head.setHeader("content-type", "text/event-stream").setBody({
    kind: "actor",
    maxBufferedBytes: options.maxBufferedBytes,
    start: (stream) => new EventStream(stream, options as unknown as ServerSentEventsOptions<State, Message>),
  });
}
