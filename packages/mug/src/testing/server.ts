// A scripted server, for tests of clients: every connection it accepts becomes a Peer that runs a script or waits to be
// taken with `accept`. Failures of scripts are kept; `done` and `close` reject with them.

import { createServer, type Server as NetServer, type Socket as NetSocket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import {
  type Check,
  type Checks,
  checkOptions,
  isFunction,
  isInteger,
  isListOf,
  isPem,
  isText,
  isTimeout,
} from "../checks.ts";
import { clock } from "../clock.ts";
import { Deadline } from "../deadline.ts";
import { toMugError, UsageError } from "../errors.ts";
import { Socket } from "../socket/socket.ts";
import { handled } from "../unhandled.ts";
import { defaultTimeout, Peer, type PeerOptions } from "./peer.ts";
import { Transcript } from "./transcript.ts";

/** What a peer of the server does. The connection is closed when the script returns, and reset when it fails. */
export type Script = (peer: Peer) => Promise<void>;

/** Options of {@link listen}. */
export interface ListenOptions extends PeerOptions {
  /** Default 0: the system chooses. */
  readonly port?: number | undefined;
  /** Address to bind. Default `"127.0.0.1"`. */
  readonly host?: string | undefined;
  /** Unix domain socket, instead of host and port. */
  readonly path?: string | undefined;
  /** Speaks TLS with this certificate and key (PEM). */
  readonly tls?: ServerTls | undefined;
}

/** TLS options of a scripted server. */
export interface ServerTls {
  /** Certificate, PEM. */
  readonly cert: string | Buffer;
  /** Private key, PEM. */
  readonly key: string | Buffer;
  /** ALPN protocols to choose from. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Requires a client certificate of this authority. */
  readonly clientCa?: string | Buffer | undefined;
}

/** Milliseconds that `close` gives each connection to flush. */
const closeTimeout = 200;

const tlsChecks: Checks<ServerTls> = {
  cert: isPem,
  key: isPem,
  alpnProtocols: isListOf(isText),
  clientCa: isPem,
};

const isTls: Check = (value, name) => {
  checkOptions(value as ServerTls, tlsChecks, name);
  const { cert, key } = value as ServerTls;
  if (cert === undefined || key === undefined)
    throw new UsageError(`${name}.cert and ${name}.key are required`);
};

const listenChecks: Checks<ListenOptions> = {
  timeout: isTimeout,
  port: isInteger(0, 65_535),
  host: isText,
  path: isText,
  tls: isTls,
};

/** A server whose connections follow a script. `await using` closes it and throws what the scripts threw. */
export class ScriptedServer implements AsyncDisposable {
  /** Every connection so far, in order. */
  readonly peers: Peer[] = [];
  readonly #server: NetServer;
  readonly #scripts: readonly Script[];
  readonly #options: ListenOptions;
  readonly #running: Set<Promise<void>> = new Set();
  readonly #streams: Set<NetSocket> = new Set();
  readonly #failures: unknown[] = [];
  readonly #unclaimed: Peer[] = [];
  readonly #accepting: Set<(peer: Peer) => void> = new Set();
  #accepted = 0;

  /** @internal Use `listen`. */
  constructor(scripts: readonly Script[], options: ListenOptions) {
    this.#scripts = scripts;
    this.#options = options;
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true },
      (stream) => void this.#welcome(stream),
    );
  }

  /** The port it listens on; 0 on a unix socket. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** The address it listens on. */
  get host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  /** What a client's `connect` needs to come here. */
  get target(): { readonly host: string; readonly port: number } | { readonly path: string } {
    return this.#options.path === undefined
      ? { host: this.host, port: this.port }
      : { path: this.#options.path };
  }

  /** The next connection, when there are no scripts. Rejects with code `timeout` after `timeout` ms (default 2000). */
  accept(options: { readonly timeout?: number | undefined } = {}): Promise<Peer> {
    checkOptions(options, { timeout: isTimeout });
    if (this.#scripts.length > 0)
      throw new UsageError("accept does not work beside scripts: they take the connections");
    const waiting = this.#unclaimed.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    let taken: (peer: Peer) => void = () => {};
    const next = new Promise<Peer>((resolve) => {
      taken = resolve;
      this.#accepting.add(resolve);
    });
    const deadline = new Deadline({ timeout: options.timeout ?? this.#options.timeout ?? defaultTimeout });
    return handled(deadline.limit("accept", next).finally(() => this.#accepting.delete(taken)));
  }

  /** Waits for the scripts that are running now; rejects with what they threw. */
  done(): Promise<void> {
    return handled(Promise.all(this.#running).then(() => this.#throwFailures()));
  }

  /** Stops listening, ends every connection, and rejects with what the scripts threw. */
  close(): Promise<void> {
    return handled(this.#close());
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(this.peers.map((peer) => peer.socket.close({ timeout: closeTimeout })));
    for (const stream of this.#streams) stream.destroy();
    await Promise.all([closed, ...this.#running]);
    this.#throwFailures();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return clock.until(this.close());
  }

  /** @internal */
  listen(): Promise<void> {
    const { path, port = 0 } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(toMugError(error, "listen")));
      this.#server.listen(path === undefined ? { port, host: this.host } : { path }, resolve);
    });
  }

  async #welcome(raw: NetSocket): Promise<void> {
    this.#streams.add(raw);
    raw.once("close", () => this.#streams.delete(raw));
    raw.on("error", () => {});
    const transcript = new Transcript(`connection ${++this.#accepted}`);
    try {
      const stream = this.#options.tls === undefined ? raw : await secureServer(raw, this.#options.tls);
      transcript.event(stream === raw ? "accepted" : "accepted, TLS established");
      this.#take(new Peer(new Socket(raw, stream, { tap: transcript.tap }), transcript, this.#options));
    } catch {
      // The client reports a failed handshake; here it only never becomes a peer.
      raw.destroy();
    }
  }

  #take(peer: Peer): void {
    this.peers.push(peer);
    const script = this.#scripts[Math.min(this.peers.length, this.#scripts.length) - 1];
    if (script !== undefined) {
      const run: Promise<void> = this.#run(script, peer).finally(() => this.#running.delete(run));
      this.#running.add(run);
      return;
    }
    const [taker] = this.#accepting;
    if (taker === undefined) {
      this.#unclaimed.push(peer);
      return;
    }
    this.#accepting.delete(taker);
    taker(peer);
  }

  async #run(script: Script, peer: Peer): Promise<void> {
    try {
      await script(peer);
      await peer.close();
    } catch (error) {
      this.#failures.push(error);
      await peer.reset();
    }
  }

  #throwFailures(): void {
    const failures = this.#failures.splice(0);
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} scripts failed`);
  }
}

/**
 * Starts a scripted server. With one script every connection runs it; with several, each connection runs the next one
 * and all further connections the last; with none, take connections with `accept`.
 */
export function listen(
  script?: Script | readonly Script[],
  options: ListenOptions = {},
): Promise<ScriptedServer> {
  const scripts = script === undefined ? [] : Array.isArray(script) ? script : [script];
  for (const each of scripts) isFunction(each, "script");
  checkOptions(options, listenChecks);
  const { host, path, port } = options;
  if (path !== undefined && (host ?? port) !== undefined) {
    throw new UsageError("host and port do not apply to a unix socket");
  }
  const server = new ScriptedServer(scripts, options);
  return handled(server.listen().then(() => server));
}

/** One TLS server per connection, which never listens: this ties the outcome of the handshake to the connection. */
function secureServer(raw: NetSocket, tls: ServerTls): Promise<TLSSocket> {
  const { cert, key, clientCa, alpnProtocols } = tls;
  return new Promise((resolve, reject) => {
    const server = createTlsServer({
      cert,
      key,
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true }),
      ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
    });
    server.once("secureConnection", resolve);
    server.once("tlsClientError", reject);
    server.emit("connection", raw);
  });
}
