// A glisten connection without a socket: what the pump writes is kept, what it asks for is obeyed.

import type { Connection, ConnectionInfo, Protocol, Sendable } from "@x/glisten";
import { defaultDeadlines, defaultLimits, type Limits } from "../../src/options.ts";
import { serverEvents } from "../../src/server/events.ts";
import { BackgroundWork } from "../../src/server/exchange/background-work.ts";
import type { Handler } from "../../src/server/exchange/service.ts";
import { StreamCount } from "../../src/server/exchange/stream-count.ts";
import { HttpConnection } from "../../src/server/http1/connection.ts";

export class FakeConnection implements Connection {
  readonly id = 1;
  readonly transport = "tcp";
  readonly alpnProtocol = false;
  readonly serverName = undefined;
  readonly bytesRead = 0;
  readonly stopping = new AbortController().signal;
  readonly bufferedAmount = 0;
  protocol: Protocol | undefined = undefined;
  /** Everything written so far, in Latin-1. */
  output = "";
  /** Writing is over: closed or destroyed. */
  closed = false;
  paused = false;
  /** Asked at every write: is the peer slow to take this one? Then it drains in a later turn. */
  slow: () => boolean = () => false;
  #draining = false;
  /** What the pump has destroyed the connection with. */
  failure: unknown = undefined;
  #toldClosed = false;

  get subject(): never {
    throw new Error("no subject");
  }

  get socket(): never {
    throw new Error("no socket");
  }

  get bytesWritten(): number {
    return this.output.length;
  }

  send(data: Sendable): Promise<void> {
    for (const part of typeof data === "string" || data instanceof Uint8Array ? [data] : data)
      this.write(part);
    return Promise.resolve();
  }

  write(data: string | Uint8Array, encoding: "utf8" | "latin1" = "utf8", onSent?: () => void): boolean {
    if (this.closed) return false;
    this.output += (typeof data === "string" ? Buffer.from(data, encoding) : Buffer.from(data)).toString(
      "latin1",
    );
    onSent?.();
    if (!this.#draining && !this.slow()) return true;
    if (!this.#draining) setImmediate(() => this.#drain());
    this.#draining = true;
    return false;
  }

  #drain(): void {
    this.#draining = false;
    if (!this.closed) this.protocol?.drain?.();
  }

  cork(): void {}
  uncork(): void {}

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.close();
  }

  close(): void {
    this.closed = true;
  }

  destroy(error?: unknown): void {
    this.failure ??= error;
    this.closed = true;
  }

  report(error: unknown): void {
    this.failure ??= error;
  }

  reset(): void {
    this.closed = true;
  }

  become(protocol: Protocol): void {
    this.protocol = protocol;
  }

  setDeadline(): void {}

  info(): ConnectionInfo {
    const end = { ipAddress: { type: "ipv4", octets: [127, 0, 0, 1] }, port: 1 };
    return { ...end, local: end } as unknown as ConnectionInfo;
  }

  peerCertificate(): undefined {
    return undefined;
  }

  /** The socket is gone. */
  tellClosed(): void {
    if (this.#toldClosed) return;
    this.#toldClosed = true;
    this.protocol?.closed?.({ type: "normal" });
  }
}

/** A pump on a connection of its own. */
export function pump(handler: Handler, limits: Partial<Limits> = {}): FakeConnection {
  const connection = new FakeConnection();
  connection.protocol = new HttpConnection(
    {
      handler,
      limits: { ...defaultLimits, ...limits },
      deadlines: defaultDeadlines,
      background: new BackgroundWork(),
      forwarded: undefined,
      requestId: undefined,
      streams: new StreamCount(),
      refusedBy: {},
      events: serverEvents(() => {}),
      outside: (run, ...given) => run(...given),
      onError: ({ error }) => {
        connection.failure ??= error;
      },
      onFailure: undefined,
    },
    connection,
  );
  return connection;
}

/** Lets everything that was begun go as far as it can without more bytes. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Feeds packets the way a socket does: none while paused, the FIN behind them. Waits for the end, if there is one. */
export async function feed(connection: FakeConnection, packets: Iterable<Buffer>): Promise<void> {
  for (const packet of packets) {
    if (connection.closed) break;
    connection.protocol?.data(packet);
    await until(() => !connection.paused);
  }
  // A FIN that overtakes an answer adds `connection: close` to it.
  for (let turn = 0; turn < 12; turn++) await settled();
  if (!connection.closed) connection.protocol?.end?.();
  await until(() => connection.closed);
  connection.tellClosed();
}

// A handler that takes a few turns is waited for; a hang is told by what comes of it.
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100 && !holds(); turn++) await settled();
}
