// A peer as crossws shows it: one WebSocket, its topics, and the others in its namespace.
//
// crossws keeps its own class to itself; this one has the same members, which a test compares.

import { randomUUID } from "node:crypto";
import type { Peer, PeerContext, SyncDriver, WaitForDrainOptions } from "crossws";
import type { Request as MistRequest } from "../../http/request.ts";
import { Exchange } from "../../server/exchange/exchange.ts";
import { prepareFrame } from "../../server/websocket/prepared-frame.ts";
import type { WebSocket as MistSocket } from "../../server/websocket/websocket.ts";
import { addressOfClient } from "../client-address.ts";
import { sendData } from "../socket-events.ts";

type Shape = { readonly [Name in keyof Peer as Name extends symbol ? never : Name]: unknown };

/** What a peer is made of. */
export interface PeerParts {
  readonly socket: MistSocket;
  readonly request: Request;
  readonly origin: MistRequest;
  readonly namespace: string;
  readonly context: PeerContext;
  readonly peers: Set<CrosswsPeer>;
  readonly sync: SyncDriver | undefined;
  /** Tells the hooks. */
  drained(peer: CrosswsPeer): void;
  failed(peer: CrosswsPeer, error: unknown): void;
}

export class CrosswsPeer implements Shape {
  readonly topics: Set<string> = new Set();
  /** The members of a WebSocket that make sense on the server; `binaryType` says in what form messages come. */
  readonly websocket: Partial<WebSocket>;
  readonly #parts: PeerParts;
  #id: string | undefined = undefined;
  #filling: Promise<void> | undefined = undefined;
  closed = false;

  constructor(parts: PeerParts) {
    this.#parts = parts;
    this.websocket = this.#websocket();
  }

  get context(): PeerContext {
    return this.#parts.context;
  }

  get namespace(): string {
    return this.#parts.namespace;
  }

  get id(): string {
    this.#id ??= randomUUID();
    return this.#id;
  }

  get remoteAddress(): string | undefined {
    return addressOfClient(this.#parts.origin)?.address;
  }

  get request(): Request {
    return this.#parts.request;
  }

  get peers(): Set<Peer> {
    return this.#parts.peers as unknown as Set<Peer>;
  }

  get bufferedAmount(): number {
    return this.#parts.socket.bufferedAmount;
  }

  /** Resolves at once while the client keeps up, else when it has caught up or is gone. */
  async waitForDrain(options: WaitForDrainOptions = {}): Promise<void> {
    const { threshold = 0, signal } = options;
    signal?.throwIfAborted();
    while (this.#filling !== undefined && this.bufferedAmount > threshold) {
      await (signal === undefined ? this.#filling : Promise.race([this.#filling, aborted(signal)]));
    }
  }

  /** Text, bytes, or anything else as JSON. Fire and forget: look at `bufferedAmount`, or wait for the drain. */
  send(data: unknown): void {
    this.#watch(sendData(this.#parts.socket, toSendable(data)));
  }

  subscribe(topic: string): void {
    this.topics.add(topic);
  }

  unsubscribe(topic: string): void {
    this.topics.delete(topic);
  }

  /** To all other subscribers of the topic in this namespace, here and behind the sync driver. */
  publish(topic: string, data: unknown): void {
    this._publish(topic, data);
    this.#parts.sync?.publish({ namespace: this.namespace, topic, data: toRelayed(data) });
  }

  /** To all other subscribers of the topic in this namespace, encoded once. */
  _publish(topic: string, data: unknown): void {
    const frame = prepareFrame(toFramed(data));
    for (const peer of this.#parts.peers) {
      if (peer !== this && peer.topics.has(topic)) peer.#watch(peer.#parts.socket.sendPrepared(frame));
    }
  }

  /** @throws UsageError for a code or reason that may not be sent */
  close(code?: number, reason?: string): void {
    this.#parts.socket.close(code, reason);
  }

  /** Ends the connection now, without a closing handshake. */
  terminate(): void {
    const { exchange } = this.#parts.origin;
    if (exchange instanceof Exchange) exchange.channel.connection.destroy();
  }

  /** Pings; an invalid payload is told to the `error` hook. */
  ping(data?: unknown): void {
    try {
      const payload = data === undefined ? undefined : toFramed(data);
      this.#watch(
        this.#parts.socket.ping(typeof payload === "string" ? new TextEncoder().encode(payload) : payload),
      );
    } catch (error) {
      this.#parts.failed(this, error);
    }
  }

  toString(): string {
    return this.id;
  }

  [Symbol.toPrimitive](): string {
    return this.id;
  }

  get [Symbol.toStringTag](): "WebSocket" {
    return "WebSocket";
  }

  // A send that does not resolve at once says when there is room again.
  #watch(sent: Promise<void>): void {
    if (!this.#parts.socket.blocked || sent === this.#filling) return;
    const over = () => {
      if (this.#filling !== filling) return;
      this.#filling = undefined;
      if (!this.closed) this.#parts.drained(this);
    };
    const filling: Promise<void> = sent.then(over, over); // a peer that is gone hears of it by `close`
    this.#filling = filling;
  }

  #websocket(): Partial<WebSocket> {
    const { socket, request } = this.#parts;
    const readyState = () => (this.closed ? 3 : socket.open ? 1 : 2);
    return {
      get readyState() {
        return readyState() as 1 | 2 | 3;
      },
      get bufferedAmount() {
        return socket.bufferedAmount;
      },
      protocol: socket.subprotocol ?? "",
      extensions: socket.compressed ? "permessage-deflate" : "",
      url: request.url.replace(/^http/, "ws"),
      send: (data: unknown) => this.send(data),
      close: (code?: number, reason?: string) => this.close(code, reason),
    } as Partial<WebSocket>;
  }
}

/** What crossws makes of a message to be sent. */
function toSendable(data: unknown): string | ArrayBuffer | ArrayBufferView {
  if (typeof data === "string") return data;
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data;
  if (data === undefined || data === null) return "";
  if (typeof data === "object") return JSON.stringify(data);
  return typeof data === "function" || typeof data === "symbol" ? "{}" : String(data);
}

function toFramed(data: unknown): string | Uint8Array {
  const sendable = toSendable(data);
  if (typeof sendable === "string") return sendable;
  if (!ArrayBuffer.isView(sendable)) return new Uint8Array(sendable);
  return new Uint8Array(sendable.buffer, sendable.byteOffset, sendable.byteLength);
}

/** A message for other processes: bytes of its own. */
export function toRelayed(data: unknown): string | Uint8Array {
  const framed = toFramed(data);
  return typeof framed === "string" ? framed : Uint8Array.from(framed);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
