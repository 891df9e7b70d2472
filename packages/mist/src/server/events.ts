// What one server tells: on node:diagnostics_channel, as all servers do, and to the listeners of `server.on`.
//
// While nobody listens to either, an event is not even made.

import type { Channel } from "node:diagnostics_channel";
import { callUser, checkFunction, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import {
  type RequestEndEvent,
  type RequestErrorEvent,
  type RequestRefusedEvent,
  type RequestStartEvent,
  requestEnd,
  requestError,
  requestRefused,
  requestStart,
} from "./exchange/telemetry.ts";
import {
  type WebSocketCloseEvent,
  type WebSocketErrorEvent,
  type WebSocketOpenEvent,
  websocketClose,
  websocketError,
  websocketOpen,
} from "./websocket/telemetry.ts";

/** The events of `server.on`, each by the name of its diagnostics channel without `mist:`. */
export interface ServerEventMap {
  /** A head has been parsed. */
  "request:start": RequestStartEvent;
  /** A response is complete or broken off. */
  "request:end": RequestEndEvent;
  /** A handler or a body producer has failed. */
  "request:error": RequestErrorEvent;
  /** What a client sent never became a request. */
  "request:refused": RequestRefusedEvent;
  /** A WebSocket has opened. */
  "websocket:open": WebSocketOpenEvent;
  /** A WebSocket is gone. */
  "websocket:close": WebSocketCloseEvent;
  /** A client has broken the WebSocket protocol, or a handler has failed. */
  "websocket:error": WebSocketErrorEvent;
}

/** One kind of event of one server. */
export class ServerEvent<Event> {
  readonly #channel: Channel;
  readonly #onFault: (error: unknown) => unknown;
  /** Undefined without listeners. Replaced, not changed: a listener may unsubscribe while it is called. */
  #listeners: readonly ((event: Event) => unknown)[] | undefined = undefined;

  constructor(channel: Channel, onFault: (error: unknown) => unknown) {
    this.#channel = channel;
    this.#onFault = onFault;
  }

  /** Whether anybody listens. */
  get wanted(): boolean {
    return this.#listeners !== undefined || this.#channel.hasSubscribers;
  }

  publish(event: Event): void {
    if (this.#channel.hasSubscribers) this.#channel.publish(event);
    for (const listener of this.#listeners ?? []) void callUser(listener, event, this.#onFault);
  }

  /** Returns what takes the listener off again. */
  listen(listener: (event: Event) => unknown): () => void {
    // A function of its own: the same listener may be there twice.
    const entry = (event: Event): unknown => listener(event);
    this.#listeners = [...(this.#listeners ?? []), entry];
    return () => {
      const rest = this.#listeners?.filter((other) => other !== entry);
      this.#listeners = rest?.length === 0 ? undefined : rest;
    };
  }
}

/** All events of one server. */
export type ServerEvents = {
  readonly [Name in keyof ServerEventMap]: ServerEvent<ServerEventMap[Name]>;
};

/** The events of a server; failures of listeners go to `onFault`. */
export function serverEvents(onFault: (error: unknown) => unknown): ServerEvents {
  return {
    "request:start": new ServerEvent(requestStart, onFault),
    "request:end": new ServerEvent(requestEnd, onFault),
    "request:error": new ServerEvent(requestError, onFault),
    "request:refused": new ServerEvent(requestRefused, onFault),
    "websocket:open": new ServerEvent(websocketOpen, onFault),
    "websocket:close": new ServerEvent(websocketClose, onFault),
    "websocket:error": new ServerEvent(websocketError, onFault),
  };
}

/** Adds a listener. @throws UsageError for an unknown event, and unless `listener` is a function. */
export function listen<Name extends keyof ServerEventMap>(
  events: ServerEvents,
  name: Name,
  listener: (event: ServerEventMap[Name]) => unknown,
): () => void {
  if (!Object.hasOwn(events, name)) {
    const known = Object.keys(events).map((known) => JSON.stringify(known));
    throw new UsageError(`the event must be one of ${known.join(", ")}, got ${shown(name)}`);
  }
  checkFunction("listener", listener);
  return events[name].listen(listener);
}
