// One message to many WebSockets: encoded once, and no client waits for another.
//
// A client that keeps up is sent to at once. For one that does not, messages wait in a queue of its own, which holds
// references to the one encoded frame; when the queue is full the slow-client policy decides. Clients leave by
// themselves when their connection ends.

import { checkNames, ignore, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { WebSocket } from "./handler.ts";
import { PreparedFrame, prepareFrame } from "./prepared-frame.ts";

/**
 * What happens when a client's queue is full: the oldest message is forgotten, the new one is, or the client is closed
 * (1013, try again later).
 */
export type SlowClientPolicy = "drop-oldest" | "drop-newest" | "close";

/** Options of {@link broadcast}. */
export interface BroadcastOptions {
  /** Messages that may wait for one client. Default 64. */
  readonly maxQueue?: number | undefined;
  /** Default `"drop-oldest"`. */
  readonly slowClient?: SlowClientPolicy | undefined;
}

/** A client of a broadcast: any WebSocket, whatever its own messages are. */
export type Listener = Pick<WebSocket<never>, "sendPrepared" | "blocked" | "close"> & {
  readonly subject: { monitor?(receiver: () => void): () => void };
};

/** Try again later: IANA's registry of close codes. */
const tryAgainLater = 1013;

const wholeTopic = "";

/** Sends messages to everybody who has joined a topic. */
export class Broadcast {
  readonly #topics = new Map<string, Map<Listener, Member>>();
  readonly #maxQueue: number;
  readonly #slowClient: SlowClientPolicy;
  #dropped = 0;

  /** @internal Use {@link broadcast}. */
  constructor(options: BroadcastOptions) {
    checkNames("broadcast", options, ["maxQueue", "slowClient"]);
    const { maxQueue = 64, slowClient = "drop-oldest" } = options;
    if (!Number.isInteger(maxQueue) || maxQueue < 1) {
      throw new UsageError(`maxQueue must be an integer, at least 1, got ${shown(maxQueue)}`);
    }
    if (!["drop-oldest", "drop-newest", "close"].includes(slowClient)) {
      throw new UsageError(
        `slowClient must be "drop-oldest", "drop-newest" or "close", got ${shown(slowClient)}`,
      );
    }
    this.#maxQueue = maxQueue;
    this.#slowClient = slowClient;
  }

  /** Messages forgotten so far because a client was too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many clients have joined the topic. */
  size(topic: string = wholeTopic): number {
    return this.#topics.get(topic)?.size ?? 0;
  }

  /**
   * Has this client hear the topic until it leaves or its connection ends. Returns what makes it leave.
   *
   * @throws UsageError unless `client` is a WebSocket.
   */
  join(client: Listener, topic: string = wholeTopic): () => void {
    if (typeof client?.sendPrepared !== "function") {
      throw new UsageError(`a broadcast takes WebSockets, got ${shown(client)}`);
    }
    const leave = (): void => this.leave(client, topic);
    let members = this.#topics.get(topic);
    if (members === undefined) {
      members = new Map();
      this.#topics.set(topic, members);
    }
    if (members.has(client)) return leave;
    const member = new Member(client);
    members.set(client, member);
    member.unwatch = client.subject.monitor?.(leave);
    return leave;
  }

  /** Takes the client out of the topic; what waits for it is forgotten. */
  leave(client: Listener, topic: string = wholeTopic): void {
    const members = this.#topics.get(topic);
    const member = members?.get(client);
    if (members === undefined || member === undefined) return;
    members.delete(client);
    if (members.size === 0) this.#topics.delete(topic);
    member.unwatch?.();
    member.queue = [];
  }

  /** Sends to everybody in the topic. Never waits. Returns to how many. */
  publish(message: string | Uint8Array | PreparedFrame, topic: string = wholeTopic): number {
    const frame = message instanceof PreparedFrame ? message : prepareFrame(message);
    const members = this.#topics.get(topic);
    if (members === undefined) return 0;
    const { size } = members;
    for (const member of members.values()) this.#hand(member, frame, topic);
    return size;
  }

  #hand(member: Member, frame: PreparedFrame, topic: string): void {
    if (!member.waiting) {
      member.send(frame);
    } else if (member.queue.length < this.#maxQueue) {
      member.queue.push(frame);
    } else {
      this.#dropped++;
      this.#tooSlow(member, frame, topic);
    }
  }

  #tooSlow(member: Member, frame: PreparedFrame, topic: string): void {
    if (this.#slowClient === "drop-oldest") {
      member.queue.shift();
      member.queue.push(frame);
    } else if (this.#slowClient === "close") {
      this.leave(member.client, topic);
      member.client.close(tryAgainLater, "too slow");
    }
  }
}

class Member {
  readonly client: Listener;
  queue: PreparedFrame[] = [];
  /** The client is still taking what it was sent. */
  waiting = false;
  unwatch: (() => void) | undefined;

  constructor(client: Listener) {
    this.client = client;
  }

  send(frame: PreparedFrame): void {
    const sent = this.client.sendPrepared(frame);
    if (!this.client.blocked) return;
    this.waiting = true;
    sent.then(() => this.#goOn(), ignore);
  }

  #goOn(): void {
    this.waiting = false;
    while (!this.waiting && this.queue.length > 0) this.send(this.queue.shift()!);
  }
}

/** A client that is gone leaves by itself. */
/**
 * A broadcast to WebSockets.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * const room = mist.broadcast({ maxQueue: 100, slowClient: "close" });
 * mist.websocket({
 *   request,
 *   onInit: (websocket) => void room.join(websocket),
 *   handler: (_state, message) => void (message.type === "text" && room.publish(message.data)),
 * });
 * ```
 */
export function broadcast(options: BroadcastOptions = {}): Broadcast {
  return new Broadcast(options);
}
