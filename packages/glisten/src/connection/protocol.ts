// The interface between a connection and the protocol that it carries.
//
// `glisten.new(init, loop)` puts the handler loop here; a server for another protocol puts its own object
// here with `glisten.protocol(create)`. One object per connection, one call at a time.

import type { Subject } from "../actor/subject.ts";
import type { SocketReason } from "../errors.ts";

/** How a connection ended, as `Protocol.closed` and `withClose` are told. */
export type CloseReason =
  /** We or the peer closed in order, or the handler said `stop()`. */
  | { readonly type: "normal" }
  /** The transport broke: reset, timed out, unreachable. */
  | { readonly type: "reset"; readonly code: SocketReason }
  /** The TLS handshake failed, or the PROXY header was refused. */
  | { readonly type: "handshake"; readonly error: unknown }
  /**
   * A deadline passed. glisten's own are `"handshake"`, `"init"` and `"send"`; a protocol names others with
   * `connection.close(deadline)` and `connection.reset(deadline)`.
   */
  | { readonly type: "deadline"; readonly deadline: string }
  /** A throw or a rejection in the protocol's own code. */
  | { readonly type: "handler"; readonly error: unknown }
  /** The server stopped, and this connection ended before the deadline because it was asked to. */
  | { readonly type: "shutdown" }
  /** The stop deadline passed. */
  | { readonly type: "killed" };

/**
 * The receiving half of a connection. A throw or rejection from any of these methods is a handler failure: it is
 * reported once, the connection is destroyed, `closed` is told, and nothing else is touched.
 */
export interface Protocol {
  /** A name for the stop report to count by, read when the connection ends (default `"connection"`). */
  readonly kind?: string | undefined;
  /** What `connection.subject` gives; without it that throws. */
  // biome-ignore lint/suspicious/noExplicitAny: of whatever messages the connection takes
  readonly subject?: Subject<any> | undefined;
  /**
   * Called first, before anything is read. A returned promise is waited for, within the init timeout; the connection
   * counts as initialising until it settles. If the connection ends meanwhile, `closed` is called as well.
   */
  open?(): void | Promise<void>;
  /**
   * Bytes from the peer. The chunk is the receiver's to keep. A returned promise keeps the socket unread until it
   * settles, so backpressure reaches the peer.
   */
  data(chunk: Buffer): void | Promise<void>;
  /** The peer's FIN. Reading is over, writing goes on. Absent: the connection closes after flushing. */
  end?(): void;
  /** After `write` returned false: what it took has gone to the kernel. */
  drain?(): void;
  /** The server is stopping; finish within `deadlineMs`. Absent: the connection may live until that deadline. */
  shutdown?(deadlineMs: number): void;
  /** The instant set with `connection.setDeadline` has passed. */
  deadline?(): void;
  /**
   * Exactly once, last, for every way a connection can end: after `close`, when all bytes and our FIN are with the
   * kernel; else when the connection breaks or is cut. It does not wait until the peer hangs up. The connection stays
   * in the server's count (and `stop` waits for it, up to its deadline) until a returned promise has settled and the
   * socket is closed.
   */
  closed?(reason: CloseReason): void | Promise<void>;
}
