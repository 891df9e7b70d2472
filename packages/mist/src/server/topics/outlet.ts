// The three kinds of connection that can be a member, behind one shape.

import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { ChunkedStream } from "../streams/chunked-response.ts";
import { EventStream } from "../streams/event-stream.ts";
import type { WebSocket } from "../websocket/handler.ts";
import type { Message } from "./message.ts";

/** A member of a topic: a WebSocket, an event stream or a chunked stream, whatever its own messages are. */
export type TopicMember = (
  | Pick<WebSocket<never>, "sendPrepared" | "blocked" | "open" | "close">
  | Pick<EventStream<never>, "sendEvent" | "blocked" | "open" | "lastEventId">
  | Pick<ChunkedStream<never>, "sendChunk" | "blocked" | "open">
) & { readonly subject: { monitor?(receiver: () => void): () => void } };

type SocketMember = Extract<TopicMember, { sendPrepared: unknown }>;

/** How a member is sent to. */
export interface Outlet {
  /** The client takes less than it is sent. */
  readonly blocked: boolean;
  /** Resolves when there is room for more. */
  send(message: Message): Promise<void>;
  /** The client is too slow: ends its connection. */
  end(): void;
}

// Classes, and no closures: with a thousand members the calls are most of what a message costs.

class WebSocketOutlet implements Outlet {
  readonly #socket: SocketMember;

  constructor(socket: SocketMember) {
    this.#socket = socket;
  }

  get blocked(): boolean {
    return this.#socket.blocked;
  }

  send(message: Message): Promise<void> {
    return this.#socket.sendPrepared(message.frame);
  }

  end(): void {
    this.#socket.close(tryAgainLater, "too slow");
  }
}

/** Try again later: IANA's registry of close codes. */
const tryAgainLater = 1013;

class EventOutlet implements Outlet {
  readonly #stream: EventStream<unknown>;

  constructor(stream: EventStream<unknown>) {
    this.#stream = stream;
  }

  get blocked(): boolean {
    return this.#stream.blocked;
  }

  send(message: Message): Promise<void> {
    return this.#stream.sendEncoded(message.event);
  }

  /** The client comes back by itself, and names what it had last. */
  end(): void {
    this.#stream.breakOff();
  }
}

class ChunkOutlet implements Outlet {
  readonly #stream: ChunkedStream<unknown>;

  constructor(stream: ChunkedStream<unknown>) {
    this.#stream = stream;
  }

  get blocked(): boolean {
    return this.#stream.blocked;
  }

  send(message: Message): Promise<void> {
    return this.#stream.sendChunk(message.chunk);
  }

  end(): void {
    this.#stream.breakOff();
  }
}

export function outletOf(member: TopicMember): Outlet {
  if (member instanceof EventStream) return new EventOutlet(member);
  if (member instanceof ChunkedStream) return new ChunkOutlet(member);
  if (typeof (member as Partial<SocketMember> | undefined)?.sendPrepared === "function")
    return new WebSocketOutlet(member as SocketMember);
  throw new UsageError(
    `a member of a topic must be a WebSocket, an event stream or a chunked stream, got ${shown(member)}`,
  );
}
