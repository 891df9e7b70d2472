// A client's end of a connection in memory, with TLS if the server offers it.

import { once } from "node:events";
import type { Duplex } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import type { ConnectOptions, MemorySocket } from "@x/glisten";
import { Intake } from "./intake.ts";
import { writeTo } from "./upload.ts";

/** What a test's client needs of the server. */
export interface Reachable {
  readonly url: string;
  readonly address: { readonly scheme: "http" | "https" };
  connect(options?: ConnectOptions): Promise<MemorySocket>;
}

/** A connection that is open. */
export class Line {
  /** Reads and writes; with TLS what is inside it. */
  readonly stream: Duplex;
  readonly #raw: MemorySocket;
  /** Made with the first read: HTTP/2 reads the stream by itself. */
  #intake: Intake | undefined = undefined;

  constructor(raw: MemorySocket, stream: Duplex) {
    this.#raw = raw;
    this.stream = stream;
  }

  /** The next bytes; undefined: the server has sent its FIN. Rejects when the connection breaks. */
  read(): Promise<Buffer | undefined> {
    const { stream } = this;
    this.#intake ??= new Intake(stream, () =>
      stream.readableEnded ? undefined : (stream.errored ?? new Error("the connection was closed")),
    );
    return this.#intake.next();
  }

  /** Resolves when the server has taken enough for more to be welcome; rejects when the connection is gone. */
  write(bytes: Uint8Array | string): Promise<void> {
    return writeTo(this.stream, typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends FIN; the server's is waited for, and what still comes is dropped. */
  end(): void {
    this.#intake?.drop();
    this.stream.end();
  }

  /** Breaks the connection off. */
  reset(): void {
    this.#raw.resetAndDestroy();
    this.stream.destroy();
  }
}

/** The lines of one server's clients: whatever is open can be broken off. */
export class Lines {
  readonly #server: Reachable;
  readonly #open: Set<Line> = new Set();

  constructor(server: Reachable) {
    this.#server = server;
  }

  /** Connects, and shakes hands: the server's certificate is not verified. */
  async dial(options: ConnectOptions | undefined, hostname: string, alpn: string): Promise<Line> {
    const raw = await this.#server.connect(options);
    // A broken connection is told by what reads or writes.
    raw.on("error", ignore);
    const stream = this.#server.address.scheme === "https" ? await secure(raw, hostname, alpn) : raw;
    const line = new Line(raw, stream);
    this.#open.add(line);
    raw.once("close", () => this.#open.delete(line));
    return line;
  }

  /** Breaks off all that is open. */
  reset(): void {
    for (const line of this.#open) line.reset();
  }
}

async function secure(raw: MemorySocket, hostname: string, alpn: string): Promise<Duplex> {
  const stream = tlsConnect({
    socket: raw,
    rejectUnauthorized: false,
    ALPNProtocols: [alpn],
    // An IP address is never sent as a name (RFC 6066 §3).
    ...(/^[\d.]+$|:/.test(hostname) ? {} : { servername: hostname }),
  });
  stream.on("error", ignore);
  await once(stream, "secureConnect");
  return stream;
}

function ignore(): void {}
