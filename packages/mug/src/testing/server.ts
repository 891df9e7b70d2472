/**
 * A scripted server, for tests of clients: every connection it accepts becomes a Peer that runs a script, or
 * waits to be taken with `accept`. Failures of scripts are kept and thrown by `done` and `close`.
 */

import { createServer, type Server as NetServer, type Socket as NetSocket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { DeadlineError, toMugError, UsageError } from "../errors.ts";
import { defaults } from "../options.ts";
import { Socket } from "../socket.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import { Transcript } from "./transcript.ts";

/** What a peer of the server does. The connection is closed when it is through, and reset when it fails. */
export type Script = (peer: Peer) => Promise<void>;

/** Options of {@link listen}. */
export interface ListenOptions extends PeerOptions {
  /** Default 0: the system chooses. */
  readonly port?: number;
  /** Address to bind. Default `"127.0.0.1"`. */
  readonly host?: string;
  /** Unix domain socket, instead of host and port. */
  readonly path?: string;
  /** Speaks TLS with this certificate and key (PEM). */
  readonly tls?: ServerTls;
}

/** What a scripted server's TLS is made of. */
export interface ServerTls {
  /** The certificate, PEM. */
  readonly cert: string | Buffer;
  /** Its key, PEM. */
  readonly key: string | Buffer;
  /** Protocols to choose from by ALPN. */
  readonly alpnProtocols?: readonly string[];
  /** Asks for a client certificate of this authority and refuses others. */
  readonly clientCa?: string | Buffer;
}

/** What `close` gives each connection to part in order. */
const CLOSE_TIMEOUT = 200;

/** A server whose connections follow a script. `await using` closes it and throws what its scripts threw. */
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

  /** The next connection, when there are no scripts. */
  accept(options: { readonly timeout?: number } = {}): Promise<Peer> {
    if (this.#scripts.length > 0) throw new UsageError("the connections of this server run scripts");
    const waiting = this.#unclaimed.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    const { timeout = this.#options.timeout ?? 2000 } = options;
    return new Promise((resolve, reject) => {
      const take = (peer: Peer): void => {
        clearTimeout(timer);
        resolve(peer);
      };
      const timer = setTimeout(() => {
        this.#accepting.delete(take);
        reject(new DeadlineError("accept", timeout));
      }, timeout);
      this.#accepting.add(take);
    });
  }

  /** Waits for the scripts that are running now; throws what they threw. */
  async done(): Promise<void> {
    await Promise.all(this.#running);
    this.#throwFailures();
  }

  /** Stops listening, ends every connection, and throws what scripts threw. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(this.peers.map((peer) => peer.socket.close({ timeout: CLOSE_TIMEOUT })));
    for (const stream of this.#streams) stream.destroy();
    await Promise.all([closed, ...this.#running]);
    this.#throwFailures();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
      transcript.event(stream === raw ? "accepted" : "accepted, TLS is up");
      const { highWaterMark, maxReceive } = defaults;
      const settings = { highWaterMark, maxReceive, host: undefined, path: "", tap: transcript.tap };
      this.#take(new Peer(new Socket(raw, stream, settings), transcript, this.#options));
    } catch {
      // A broken handshake is the client's to report; here it only never becomes a peer.
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
 * Starts a scripted server. With one script every connection runs it; with several, the first connection runs
 * the first, and all from the last on run the last; with none, take connections with `accept`.
 */
export async function listen(
  script?: Script | readonly Script[],
  options: ListenOptions = {},
): Promise<ScriptedServer> {
  const scripts = script === undefined ? [] : typeof script === "function" ? [script] : script;
  const server = new ScriptedServer(scripts, options);
  await server.listen();
  return server;
}

/** A TLS server of its own per connection, which never listens: only so is the outcome tied to the connection. */
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
