// A running server, as `start()` returns it to its caller and to a supervisor.

import * as glisten from "@x/glisten";
import type { Child, ExitReason, Supervisor } from "@x/glisten/actor";
import { clock } from "@x/glisten/kit";
import type { FetchedResponse } from "./client/answer.ts";
import type { Client, WebSocketClientOptions } from "./client/client.ts";
import type { FetchInit } from "./client/outgoing.ts";
import type { WebSocketClient } from "./client/websocket-client.ts";
import { listen, type ServerEventMap } from "./server/events.ts";
import type { Service } from "./server/exchange/service.ts";

/** Where a server listens. */
export interface ServerAddress {
  /** `"https"` with TLS. */
  readonly scheme: "http" | "https";
  /** The port, as the system chose it if it was 0; undefined on a unix socket and on memory. */
  readonly port: number | undefined;
  /** The IP address, IPv6 without brackets; the path of a unix socket; `"localhost"` on memory. */
  readonly host: string;
  /** The URL for a client, such as `http://127.0.0.1:4000`; on memory `http://localhost`, where nobody listens. */
  readonly url: string;
}

/** Where a server listens and how it fares. */
export type ServerInfo = glisten.ServerInfo & {
  /** Requests on HTTP/2 streams that are being answered. */
  readonly streams: number;
  /** Requests so far that were refused before a handler saw them: malformed, too long, too late, or not supported. */
  readonly refused: number;
  /** The same, by the status they were answered with; `connection`: HTTP/2 connections that broke the protocol. */
  readonly refusedBy: Readonly<Record<string, number>>;
};

/** What became of the connections, and of the HTTP/2 streams on them, that were open when the server stopped. */
export interface StopReport extends glisten.StopReport {
  /** Requests on HTTP/2 streams. */
  readonly streams: glisten.StopCount;
}

/**
 * A running HTTP server. It can be a child of a supervisor. `await using` breaks off what is left of `fetch` and
 * `websocket`, and stops it.
 */
export class Server implements Child, AsyncDisposable {
  /**
   * Resolves when the server has ended, and the work given to `waitUntil` with it: `shutdown`, `killed`, or `abnormal`
   * when it gave up restarting a part.
   */
  readonly closed: Promise<ExitReason>;
  readonly #server: glisten.Server;
  readonly #scheme: "http" | "https";
  readonly #service: Pick<Service, "background" | "streams" | "refusedBy" | "events">;
  readonly #checkTls: (options: glisten.TlsOptions) => void;
  #connectionsEnded = false;
  #client: Promise<Client> | undefined = undefined;

  /** @internal */
  constructor(
    server: glisten.Server,
    scheme: "http" | "https",
    service: Pick<Service, "background" | "streams" | "refusedBy" | "events">,
    checkTls: (options: glisten.TlsOptions) => void,
  ) {
    this.#server = server;
    this.#scheme = scheme;
    this.#service = service;
    this.#checkTls = checkTls;
    this.closed = this.#end();
  }

  /** The supervision tree: connections, listener, acceptors. */
  get supervisor(): Supervisor {
    return this.#server.supervisor;
  }

  /**
   * Its certificates: `server.tls.update(…)`, which also rejects for `alpnProtocols` that contradict `withHttp2`.
   *
   * @throws UsageError without TLS.
   */
  get tls(): glisten.ServerTls {
    const { tls } = this.#server;
    return {
      update: async (options, verification) => {
        if (typeof options === "object" && options !== null) this.#checkTls(options);
        await tls.update(options, verification);
      },
    };
  }

  /** The port it listens on. @throws UsageError on a unix socket and on memory. */
  get port(): number {
    return this.#server.port;
  }

  /**
   * Connects in memory, whatever the server listens on; what it sends is what a client would send. Resolves with the
   * client's end.
   *
   * @throws TransportError (rejects, `econnrefused`) when the server no longer accepts connections; UsageError (rejects)
   *   for wrong options.
   */
  connect(options?: glisten.ConnectOptions): Promise<glisten.MemorySocket> {
    return this.#server.connect(options);
  }

  /**
   * Sends a request in memory, and gives the response as `fetch` does: through connection, protocol and handler, with no
   * network. Bodies are streamed both ways, and `init.signal` aborts. Interim responses are ignored, redirects are not
   * followed. Each request has a connection of its own, whatever host the URL names; TLS certificates are not verified.
   *
   * @param input a path such as `"/books?page=2"`, a URL or a `Request`.
   * @throws TypeError (rejects) where `fetch` does, with the failure as its `cause`; the reason of the signal;
   *   UsageError for a wrong option.
   *
   * @example
   * ```ts
   * const response = await server.fetch("/books", { method: "POST", body: JSON.stringify({ title: "Emma" }) });
   * ```
   */
  async fetch(input: string | URL | globalThis.Request, init: FetchInit = {}): Promise<FetchedResponse> {
    return await (await this.#loadClient()).fetch(input, init);
  }

  /**
   * Opens a WebSocket in memory, and gives the client's end.
   *
   * @param path a path such as `"/chat"`, or a URL.
   * @throws TypeError (rejects) when the server answers with anything but 101; its `cause` is the `Response`. UsageError
   *   for a wrong option.
   *
   * @example
   * ```ts
   * await using socket = await server.websocket("/echo");
   * await socket.send("hello");
   * console.log(await socket.receive()); // hello
   * ```
   */
  async websocket(path: string | URL, options: WebSocketClientOptions = {}): Promise<WebSocketClient> {
    return await (await this.#loadClient()).websocket(path, options);
  }

  #loadClient(): Promise<Client> {
    this.#client ??= import("./client/client.ts").then(({ Client }) => new Client(this));
    return this.#client;
  }

  /** Scheme, host and port; of a unix socket, its path. */
  get address(): ServerAddress {
    return addressOf(this.#server, this.#scheme);
  }

  /** The URL for a client, such as `http://127.0.0.1:4000`. */
  get url(): string {
    return this.address.url;
  }

  /** Connections by state, HTTP/2 streams, accepted, rejected, bytes, and requests that were refused. */
  info(): ServerInfo {
    const refusedBy = { ...this.#service.refusedBy };
    const refused = Object.values(refusedBy).reduce((sum, count) => sum + count, 0);
    return { ...this.#server.info(), streams: this.#service.streams.open, refused, refusedBy };
  }

  /**
   * Has `listener` called with one kind of this server's events, the same that the channel `mist:<event>` of
   * `node:diagnostics_channel` tells for all servers. Free while nobody listens. What a listener throws, or rejects with, is
   * told to `onError`.
   *
   * @returns a function that takes the listener off again.
   * @throws UsageError for an unknown event, and unless `listener` is a function.
   *
   * @example
   * ```ts
   * const off = server.on("request:end", ({ request, status, durationMs }) => {
   *   console.log(request.method, request.path, status, durationMs);
   * });
   * ```
   */
  on<Name extends keyof ServerEventMap>(
    event: Name,
    listener: (event: ServerEventMap[Name]) => unknown,
  ): () => void {
    return listen(this.#service.events, event, listener);
  }

  /** The same promise under the name a supervisor looks for. */
  get exited(): Promise<ExitReason> {
    return this.closed;
  }

  /**
   * Aborted as soon as the server begins to stop, whatever made it; `request.stopping` is this signal. There is one for
   * the life of the server, so remove listeners that are no longer needed.
   */
  get stopping(): AbortSignal {
    return this.#server.stopping;
  }

  /**
   * Aborts `stopping` and serves on for `delayMs` (default 0). Then accepts no more connections, finishes answers in
   * flight, ends idle connections and event streams, and closes WebSockets with 1001. What is left at the deadline
   * (default 10 000 ms, from the end of the delay) is destroyed. Work given to `waitUntil` is awaited until the same
   * deadline. A number is a deadline in milliseconds. A second call can only make the server end sooner.
   *
   * @throws UsageError for times that are no numbers of at least 0, and for unknown options.
   */
  stop(deadline?: number | glisten.StopOptions): Promise<StopReport> {
    const stopped = this.#server.stop(deadline);
    if (this.#connectionsEnded) void this.#settle();
    return this.closed.then(async () => {
      const { drained, killed } = this.#service.streams;
      return { ...(await stopped), streams: { drained, killed } };
    });
  }

  /** Ends the server and all connections now, and waits for nothing. */
  kill(): void {
    this.#server.kill();
    if (this.#connectionsEnded) void this.#settle();
  }

  async #end(): Promise<ExitReason> {
    const reason = await this.#server.closed;
    this.#connectionsEnded = true;
    await this.#settle();
    return reason;
  }

  #settle(): Promise<void> {
    return this.#service.background.settle(this.#server.stopLeftMs ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    (await this.#client)?.close();
    await clock.until(this.stop());
  }
}

function addressOf(server: glisten.Server, scheme: "http" | "https"): ServerAddress {
  const info = server.info();
  if ("memory" in info) return { scheme, port: undefined, host: "localhost", url: `${scheme}://localhost` };
  if ("path" in info)
    return { scheme, port: undefined, host: info.path, url: `${scheme}+unix://${info.path}` };
  const host = glisten.ipAddressToString(info.ipAddress);
  const authority = host.includes(":") ? `[${host}]` : host;
  return { scheme, port: info.port, host, url: `${scheme}://${authority}:${info.port}` };
}
