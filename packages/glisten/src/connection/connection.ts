// The public interface of one connection.
//
// The contract only; `live` has the implementation. Byte counts are bytes, `…Ms` milliseconds.

import type { Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import type { Subject } from "../actor/subject.ts";
import type { ConnectionInfo, Endpoint } from "../transport/address.ts";
import type { Sendable } from "../transport/sendable.ts";
import type { Protocol } from "./protocol.ts";

export type { ConnectionInfo, Endpoint };

/** Makes the protocol of one connection, once TLS (if any) is agreed upon. Work that takes time belongs in `open`. */
export type CreateProtocol = (connection: Connection) => Protocol;

/** One open connection. */
export interface Connection<UserMessage = never> {
  /** Counts up from 1 within a server. */
  readonly id: number;
  /** Where other actors send this connection's user messages. Only with `glisten.new`. */
  readonly subject: Subject<UserMessage>;
  /** What carries the bytes; with TLS, over whatever, `"tls"`. */
  readonly transport: "tcp" | "tls" | "unix" | "memory";
  /**
   * Node's own socket, for what is not offered here. Reading from it or adding listeners is not supported. On memory it is
   * a Duplex with addresses, byte counts and `resetAndDestroy`, whose `setNoDelay`, `setKeepAlive`, `ref` and `unref` do
   * nothing and which has no other method of a `net.Socket`.
   */
  readonly socket: Socket;
  /**
   * Sends. The promise is already resolved in the common case; otherwise it resolves when the peer has taken
   * enough for more to be welcome. Rejects with a TransportError when the peer is gone. The promise may
   * be ignored.
   */
  send(data: Sendable): Promise<void>;
  /**
   * Sends without a promise. False: the peer takes less than it is given; wait for `Protocol.drain`. Also false
   * once the connection is closing, when the bytes go nowhere. `onSent` is called when the kernel has taken these
   * bytes (or never will), so that their memory may be used again. Several parts leave in one write.
   */
  write(data: Sendable, encoding?: "utf8" | "latin1", onSent?: () => void): boolean;
  /** Holds writes back until `uncork`, so that several leave in one. Every `cork` needs its `uncork`. */
  cork(): void;
  /** Releases what `cork` held back. */
  uncork(): void;
  /** Bytes taken by `send` and `write` and not yet by the kernel. */
  readonly bufferedAmount: number;
  /** Bytes received so far; with TLS, those inside it. */
  readonly bytesRead: number;
  /** Bytes sent so far, those that still wait here included; with TLS, those inside it. */
  readonly bytesWritten: number;
  /** Stops reading; at most one chunk already read still comes. */
  pause(): void;
  /** Reads again after `pause`. */
  resume(): void;
  /** Flushes and sends FIN. Reading goes on. */
  end(): void;
  /**
   * Flushes, sends FIN, reads and discards until the peer's FIN, and is gone. A peer that neither takes the rest
   * nor hangs up is cut off at a deadline of its own (RFC 9112 §9.6). `deadline` names the deadline that ends the
   * connection: the close reason is then `{ type: "deadline", deadline }`.
   */
  close(deadline?: string): void;
  /** Ends at once, without flushing. With an error it counts, and is reported, as a failure of the handler. */
  destroy(error?: unknown): void;
  /**
   * Reports a failure of user code, as one of the handler's would be, with no consequence for the connection. A
   * HandlerError is reported as it is.
   */
  report(error: unknown): void;
  /** Ends at once with a reset (RST) on TCP and TLS. `deadline` as for {@link Connection.close}. */
  reset(deadline?: string): void;
  /**
   * One instant, `ms` from now, at which `Protocol.deadline` is called; 0 cancels it. A later call replaces an
   * earlier one. Coarse: never early, late by up to 200 ms. Costs next to nothing.
   */
  setDeadline(ms: number): void;
  /**
   * Hands the connection over to another protocol, as behind an HTTP upgrade. The previous one is not called again, not
   * even `closed`. The deadline that is set stays set.
   */
  become(protocol: Protocol): void;
  /** True from the moment nothing can be sent or received any more. */
  readonly closed: boolean;
  /** Aborted when the server begins to stop: the signal of `Server.stopping`, one for all connections. */
  readonly stopping: AbortSignal;
  /**
   * Both ends of the connection. Throws a TransportError (`enotconn`) for a unix socket, and for a peer that was gone
   * before it was first asked about.
   */
  info(): ConnectionInfo;
  /** What ALPN agreed upon; false: nothing, or no TLS. */
  readonly alpnProtocol: string | false;
  /** The name the TLS client asked for; undefined: none, or no TLS. */
  readonly serverName: string | undefined;
  /** The certificate the client showed and that was verified; undefined: none, not verified, or no TLS. */
  peerCertificate(): PeerCertificate | undefined;
}

/** The same as `connection.send(data)`. */
export function send(connection: Pick<Connection, "send">, data: Sendable): Promise<void> {
  return connection.send(data);
}

/** The same as `connection.info()`. */
export function getConnectionInfo(connection: Pick<Connection, "info">): ConnectionInfo {
  return connection.info();
}
