// The three kinds of connection that can be a member, behind one shape.

import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { ChunkedStream } from "../streams/chunked-response.ts";
import { EventStream } from "../streams/event-stream.ts";
import type { WebSocket } from "../websocket/handler.ts";
import type { Message } from "./message.ts";

/** Whose end can be watched. */
interface Watched {
  readonly subject: { monitor?(receiver: () => void): () => void };
}

/** A member of a topic: a WebSocket, an event stream or a chunked stream, whatever its own messages are. */
export type TopicMember =
  | (Pick<WebSocket<never>, "sendPrepared" | "blocked" | "open" | "close"> & Watched)
  | (Pick<EventStream<never>, "sendEvent" | "blocked" | "open" | "lastEventId"> & Watched)
  | (Pick<ChunkedStream<never>, "sendChunk" | "blocked" | "open"> & Watched);

/** How a member is sent to. */
export interface Outlet {
  /** The client takes less than it is sent. */
  readonly blocked: boolean;
  /** Resolves when there is room for more. */
  send(message: Message): Promise<void>;
  /** The client is too slow: ends its connection. */
  end(): void;
}

/** Try again later: IANA's registry of close codes. */
const tryAgainLater = 1013;

export function outletOf(member: TopicMember): Outlet {
  if (member instanceof EventStream) {
    return {
      get blocked() {
        return member.blocked;
      },
      send: ({ event }) => member.sendEncoded(event),
      // The client comes back by itself, and names what it had last.
      end: () => member.breakOff(),
    };
  }
  if (member instanceof ChunkedStream) {
    return {
      get blocked() {
        return member.blocked;
      },
      send: ({ chunk }) => member.sendChunk(chunk),
      end: () => member.breakOff(),
    };
  }
  if (!isWebSocket(member)) {
    throw new UsageError(
      `a member of a topic must be a WebSocket, an event stream or a chunked stream, got ${shown(member)}`,
    );
  }
  return {
    get blocked() {
      return member.blocked;
    },
    send: ({ frame }) => member.sendPrepared(frame),
    end: () => member.close(tryAgainLater, "too slow"),
  };
}

function isWebSocket(member: TopicMember): member is Extract<TopicMember, { sendPrepared: unknown }> {
  return typeof (member as { readonly sendPrepared?: unknown } | undefined)?.sendPrepared === "function";
}
