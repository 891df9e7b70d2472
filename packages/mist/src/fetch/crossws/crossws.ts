// crossws on mist: its adapter, and sockets for apps that say with hooks what theirs do, such as H3's.

import type { AdapterInstance, AdapterOptions, Hooks, Message, Peer, SyncDriver, WSError } from "crossws";
import { UsageError } from "../../errors.ts";
import type { Field } from "../../http/fields.ts";
import type { Request as MistRequest } from "../../http/request.ts";
import { waitUntil } from "../../server/exchange/request-services.ts";
import type { WebSocketTuning } from "../../server/websocket/options.ts";
import { type WebSocket, type WebSocketMessage, websocket } from "../../server/websocket/websocket.ts";
import type { FetchHandler } from "../from-fetch.ts";
import { mistRequest } from "../request.ts";
import { light } from "../response.ts";
import { dispatch } from "../socket-events.ts";
import { SocketHooks, type Upgrade } from "./hooks.ts";
import { CrosswsMessage } from "./message.ts";
import { CrosswsPeer } from "./peer.ts";
import { connectSync, Peers } from "./peers.ts";

/** Options of {@link mistAdapter}: those of every crossws adapter, and mist's limits and deadlines. */
export interface MistAdapterOptions extends AdapterOptions {
  /** Limits, deadlines and compression of the sockets. `idleTimeout` is short for the ping deadlines. */
  readonly tuning?: WebSocketTuning | undefined;
  /** Welcome origins, or a function that judges one; others get 403. Default: every origin. */
  readonly checkOrigin?: readonly string[] | ((origin: string | undefined) => boolean) | undefined;
}

/** A crossws adapter on mist. */
export interface MistAdapter extends AdapterInstance {
  /**
   * The answer to a WebSocket handshake, to be returned from the fetch handler.
   *
   * @throws UsageError (rejects) if the request is none that `fromFetch` gave; rejects with what the hooks throw.
   */
  handleUpgrade(request: Request): Promise<Response>;
}

/**
 * A crossws adapter. Hooks are called as messages come, and not waited for; `stop` waits for what they began. One that
 * fails is reported to the server's `onError`, told to the `error` hook, and ends its socket with 1011. Pings and pongs
 * are answered below, and not told to hooks.
 *
 * @example
 * ```ts
 * const sockets = mistAdapter({
 *   hooks: {
 *     message(peer, message) {
 *       peer.send(message.text());
 *     },
 *   },
 * });
 * mist.new(fromFetch((request) => sockets.handleUpgrade(request)));
 * ```
 */
export function mistAdapter(options: MistAdapterOptions = {}): MistAdapter {
  const adapter = new Adapter(options);
  return {
    peers: adapter.peers.all as unknown as Map<string, Set<Peer>>,
    ...(adapter.sync === undefined ? {} : { sync: adapter.sync }),
    publish: (topic, data, { namespace } = {}) => adapter.publish(topic, data, namespace),
    close: (code, reason) => adapter.close(code, reason),
    handleUpgrade: async (request) => adapter.upgrade(request, await options.resolve?.(request)),
  };
}

/**
 * A fetch handler with the sockets of its app: for a handshake the app is asked like for any other request, and the
 * hooks it attaches to the response or the request (as H3's `defineWebSocketHandler` does) become a socket's. Answers
 * without hooks stand as they are.
 *
 * @example `mist.new(fromFetch(withWebSockets(app.fetch))).start()`
 */
export function withWebSockets(fetch: FetchHandler, options: MistAdapterOptions = {}): FetchHandler {
  const adapter = new Adapter(options);
  return (request, environment, context) => {
    const response = fetch(request, environment, context);
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return response;
    return upgraded(adapter, request, response);
  };
}

async function upgraded(
  adapter: Adapter,
  request: Request,
  answer: Response | Promise<Response>,
): Promise<Response> {
  const response = await answer;
  const hooks = await (attached(response).crossws ?? attached(request)[hooksKey]);
  if (hooks === undefined) return response;
  response.body?.cancel().catch(() => {});
  return adapter.upgrade(request, hooks);
}

/** Where crossws and what is built on it attach hooks (`setWebSocketHooks`). */
const hooksKey = Symbol.for("crossws.hooks");

type MaybePromise<Value> = Value | Promise<Value>;

function attached(carrier: object): {
  readonly crossws?: MaybePromise<Partial<Hooks>> | undefined;
  readonly [hooksKey]?: MaybePromise<Partial<Hooks>>;
} {
  return carrier;
}

// The handshake's own, which mist writes.
const ownFields = /^(?:upgrade|connection|content-length|transfer-encoding|sec-websocket-.*)$/;

class Adapter {
  readonly peers: Peers = new Peers();
  readonly sync: SyncDriver | undefined;
  readonly #options: MistAdapterOptions;

  constructor(options: MistAdapterOptions) {
    this.#options = options;
    this.sync = connectSync(options, this.peers);
  }

  publish(topic: string, data: unknown, namespace: string | undefined): void {
    this.peers.publish(topic, data, namespace);
    this.sync?.publish(Peers.relayed(topic, data, namespace ?? ""));
  }

  async close(code?: number, reason?: string): Promise<void> {
    for (const peer of this.peers) peer.close(code, reason);
    await this.sync?.close?.();
  }

  async upgrade(request: Request, resolved: Partial<Hooks> | undefined): Promise<Response> {
    const origin = mistRequest(request);
    if (origin === undefined) throw new UsageError("handleUpgrade takes a Request of fromFetch's");
    const hooks = new SocketHooks(this.#options.hooks, resolved);
    const upgrade = await hooks.upgrade(request, this.#options);
    return upgrade.type === "refusal" ? upgrade.response : this.#accept(request, origin, hooks, upgrade);
  }

  #accept(request: Request, origin: MistRequest, hooks: SocketHooks, upgrade: Upgrade): Response {
    const { checkOrigin, tuning } = this.#options;
    const { protocol, compression } = upgrade;
    const socket = new Socket(request, origin, hooks, upgrade, this);
    return light.carry(
      websocket({
        ...idlePings(this.#options.idleTimeout),
        ...tuning,
        ...(compression === undefined ? {} : { compression }),
        ...(checkOrigin === undefined ? {} : { checkOrigin }),
        request: origin,
        headers: [...upgrade.headers].filter(([name]) => !ownFields.test(name)) as Field[],
        subprotocols: () => protocol,
        onInit: (opened: WebSocket) => socket.opened(opened),
        handler: (_state: undefined, message: WebSocketMessage) => socket.received(message),
        onClose: () => socket.closed(1011, ""),
      }),
    );
  }
}

/** Seconds of silence, after which a client is pinged, and as many again for its pong. */
function idlePings(idleTimeout: number | undefined): WebSocketTuning {
  if (idleTimeout === undefined) return {};
  const ms = Math.floor(idleTimeout * 1000);
  return ms <= 0 ? { pingIntervalMs: 0 } : { pingIntervalMs: ms, pongTimeoutMs: ms };
}

/** One socket between mist's messages and the hooks. */
class Socket {
  readonly #request: Request;
  readonly #origin: MistRequest;
  readonly #hooks: SocketHooks;
  readonly #upgrade: Upgrade;
  readonly #adapter: Adapter;
  #socket: WebSocket | undefined = undefined;
  #peer: CrosswsPeer | undefined = undefined;

  constructor(request: Request, origin: MistRequest, hooks: SocketHooks, upgrade: Upgrade, adapter: Adapter) {
    this.#request = request;
    this.#origin = origin;
    this.#hooks = hooks;
    this.#upgrade = upgrade;
    this.#adapter = adapter;
  }

  opened(socket: WebSocket): undefined {
    const { namespace, context } = this.#upgrade;
    this.#socket = socket;
    const peers = this.#adapter.peers.of(namespace);
    const peer = new CrosswsPeer({
      ...{ socket, namespace, context, peers },
      request: this.#request,
      origin: this.#origin,
      sync: this.#adapter.sync,
      drained: (peer) => this.#call("drain", asPeer(peer)),
      failed: (_peer, error) => this.#failed(error),
    });
    this.#peer = peer;
    peers.add(peer);
    try {
      this.#call("open", asPeer(peer));
    } catch (error) {
      this.#forget(peer); // mist calls nothing more for a socket that did not open
      throw error;
    }
  }

  received(message: WebSocketMessage): void {
    const peer = this.#peer as CrosswsPeer;
    if (message.type === "text" || message.type === "binary") {
      const received = new CrosswsMessage(message.data, peer);
      this.#call("message", asPeer(peer), received as unknown as Message);
    } else if (message.type === "closed") {
      this.closed(message.code, message.reason);
    }
  }

  closed(code: number, reason: string): void {
    const peer = this.#peer;
    if (peer === undefined || peer.closed) return;
    this.#forget(peer);
    this.#call("close", asPeer(peer), { code, reason });
  }

  #forget(peer: CrosswsPeer): void {
    peer.closed = true;
    this.#adapter.peers.remove(peer);
  }

  #call<Name extends Exclude<keyof Hooks, "upgrade">>(name: Name, ...args: Parameters<Hooks[Name]>): void {
    dispatch(
      this.#origin,
      this.#socket,
      () => this.#hooks.call(name, ...args),
      (error) => this.#failed(error),
    );
  }

  #failed(error: unknown): void {
    const told = this.#hooks.call("error", asPeer(this.#peer as CrosswsPeer), new SocketError(error));
    if (told !== undefined) waitUntil(this.#origin, told);
  }
}

class SocketError extends Error implements WSError {
  override readonly name: string = "WSError";

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

// crossws' class has private members, which a class of one's own cannot have.
function asPeer(peer: CrosswsPeer): Peer {
  return peer as unknown as Peer;
}
