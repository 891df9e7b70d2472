// A running server, as `start()` returns it.

import * as glisten from "@x/glisten";
import type { ExitReason, Supervisor } from "@x/glisten/actor";
import { checkNames } from "@x/glisten/kit";
import type { BackgroundWork } from "./server/exchange/background-work.ts";

// glisten's own default, named here because the work behind the answers shares the deadline.
const defaultStopDeadlineMs = 10_000;

/** Where a server listens. */
export interface ServerAddress {
  /** `"https"` with TLS. */
  readonly scheme: "http" | "https";
  /** The port, as the system chose it if it was 0; undefined on a unix socket. */
  readonly port: number | undefined;
  /** The IP address, IPv6 without brackets; the path of a unix socket. */
  readonly host: string;
  /** The URL for a client, such as `http://127.0.0.1:4000`. */
  readonly url: string;
}

/** A running HTTP server. `await using` stops it. */
export class Server {
  readonly #server: glisten.Server;
  readonly #scheme: "http" | "https";
  readonly #background: BackgroundWork;

  /** @internal */
  constructor(server: glisten.Server, scheme: "http" | "https", background: BackgroundWork) {
    this.#server = server;
    this.#scheme = scheme;
    this.#background = background;
  }

  /** The supervision tree: connections, listener, acceptors. */
  get supervisor(): Supervisor {
    return this.#server.supervisor;
  }

  /** Its certificates: `server.tls.update(…)`. @throws UsageError without TLS. */
  get tls(): glisten.ServerTls {
    return this.#server.tls;
  }

  /** The port it listens on. @throws UsageError on a unix socket. */
  get port(): number {
    return this.#server.port;
  }

  /** Scheme, host and port; of a unix socket, its path. */
  get address(): ServerAddress {
    return addressOf(this.#server, this.#scheme);
  }

  /** The URL for a client, such as `http://127.0.0.1:4000`. */
  get url(): string {
    return this.address.url;
  }

  /** Connections by state, accepted, rejected, bytes. */
  info(): glisten.ServerInfo {
    return this.#server.info();
  }

  /** Resolves when the server has ended: `shutdown`, `killed`, or `abnormal` when it gave up restarting a part. */
  get closed(): Promise<ExitReason> {
    return this.#server.closed;
  }

  /**
   * Stops: no new connections, answers in flight are finished, idle connections and event streams end, WebSockets
   * are closed with 1001; what is left at the deadline is destroyed. Then waits for what was given to `waitUntil`,
   * until the same deadline.
   */
  async stop(options: glisten.StopOptions = {}): Promise<glisten.StopReport> {
    checkNames("stop", options, ["deadlineMs"]);
    const { deadlineMs = defaultStopDeadlineMs } = options;
    const startedAt = performance.now();
    const report = await this.#server.stop({ deadlineMs });
    await this.#background.settle(Math.max(0, deadlineMs - (performance.now() - startedAt)));
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function addressOf(server: glisten.Server, scheme: "http" | "https"): ServerAddress {
  const info = server.info();
  if ("path" in info)
    return { scheme, port: undefined, host: info.path, url: `${scheme}+unix://${info.path}` };
  const host = glisten.ipAddressToString(info.ipAddress);
  const authority = host.includes(":") ? `[${host}]` : host;
  return { scheme, port: info.port, host, url: `${scheme}://${authority}:${info.port}` };
}
