/** The other side of a connection under test: a bare socket whose bytes and end can be awaited. */

import { once } from "node:events";
import { type NetConnectOpts, connect as netConnect, type Socket } from "node:net";
import { type ConnectionOptions, connect as tlsConnect } from "node:tls";
import type { HandlerError, Server } from "../../src/index.ts";

export class Peer {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  /** The peer's FIN came. */
  ended = false;
  /** The error that broke the socket, if one did. */
  error: NodeJS.ErrnoException | undefined;
  closed = false;
  private wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.changed();
    });
    socket.on("connect", () => this.changed());
    socket.on("end", () => {
      this.ended = true;
      this.changed();
    });
    socket.on("error", (error) => {
      this.error = error;
      this.changed();
    });
    socket.on("close", () => {
      this.closed = true;
      this.changed();
    });
  }

  private changed(): void {
    for (const wake of this.wake.splice(0)) wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => this.wake.push(resolve));
    }
  }

  /** Takes the next `length` bytes as text. */
  async read(length: number): Promise<string> {
    await this.until(() => this.received.length >= length || this.closed || this.ended);
    const text = this.received.toString("utf8", 0, length);
    this.received = this.received.subarray(length);
    return text;
  }

  async whenEnded(): Promise<void> {
    await this.until(() => this.ended || this.closed);
  }

  async whenClosed(): Promise<void> {
    await this.until(() => this.closed);
  }
}

/** Connects over TCP; resolves once connected. */
export async function dial(
  server: Pick<Server, "port">,
  options: Partial<NetConnectOpts> = {},
): Promise<Peer> {
  const socket = netConnect({ port: server.port, host: "127.0.0.1", ...options } as NetConnectOpts);
  const peer = new Peer(socket);
  await peer.until(() => !socket.connecting || peer.closed);
  return peer;
}

/** Connects over TLS without looking at the certificate. */
export async function dialTls(server: Pick<Server, "port">, options: ConnectionOptions = {}): Promise<Peer> {
  const socket = tlsConnect({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  const peer = new Peer(socket);
  await Promise.race([once(socket, "secureConnect"), peer.whenClosed()]);
  return peer;
}

/** Resolves once a condition holds, which nothing announces. */
export async function eventually(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 1) {
    if (waited > 1_500) throw new Error(`it never came to be: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Collects what a server reports. */
export function reports(): {
  readonly errors: HandlerError[];
  readonly handler: (error: HandlerError) => void;
} {
  const errors: HandlerError[] = [];
  return { errors, handler: (error) => void errors.push(error) };
}
