/**
 * A connection's way out: what is written, what the peer has not taken yet, and who waits for it to be taken.
 */

import type { Socket } from "node:net";
import { TransportError } from "../errors.ts";
import { WheelEntry } from "../server/timer-wheel.ts";
import { type Sendable, writeParts } from "../transport/sendable.ts";
import { CLOSING, type ConnectionHost, OPEN, WAITING } from "./connection-host.ts";
import type { Protocol } from "./protocol.ts";
import { onDrain } from "./socket-listeners.ts";

const SENT: Promise<void> = Promise.resolve();

interface Waiter {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

/** The sending half of a connection. */
export abstract class Outbound extends WheelEntry {
  /** Node's socket; with TLS the one above. */
  socket: Socket;
  protected readonly host: ConnectionHost;
  protected protocol: Protocol | undefined = undefined;
  /** How far the connection has come: one of the numbers of `connection-host.ts`. */
  protected phase: number = WAITING;
  /** More was written than the peer has taken, and somebody has been told so. */
  protected blocked = false;
  private taken: Waiter | undefined = undefined;

  constructor(host: ConnectionHost, socket: Socket) {
    super();
    this.host = host;
    this.socket = socket;
  }

  /** Reading stops while the peer takes nothing. */
  protected abstract holdWhileBlocked(): void;
  /** The peer takes bytes again. */
  protected abstract unholdAfterBlock(): void;
  abstract fail(during: string, error: unknown): void;

  write(data: Sendable, encoding: "utf8" | "latin1" = "utf8", onSent?: () => void): boolean {
    const { socket } = this;
    if (this.phase >= CLOSING || !socket.writable) return false;
    if (typeof data === "string" || data instanceof Uint8Array) {
      // Node's own mark is low, and it says false even if the kernel has taken everything at once.
      return socket.write(data as string, encoding, onSent) || this.hasRoom();
    }
    writeParts(socket, data, encoding, onSent);
    // Only behind all parts can be told whether there is room: the kernel may take them at once.
    return this.hasRoom();
  }

  /** Whether more is welcome; if not, reading may stop until the peer has taken what there is. */
  private hasRoom(): boolean {
    const { highWaterMark, readStopsWhenBlocked } = this.host.settings;
    const { socket } = this;
    if (socket.writableLength <= highWaterMark) return true;
    // Few connections are ever blocked: only they listen.
    if (!this.blocked) socket.once("drain", onDrain);
    this.blocked = true;
    if (readStopsWhenBlocked) this.holdWhileBlocked();
    return false;
  }

  send(data: Sendable): Promise<void> {
    if (this.phase >= CLOSING || !this.socket.writable) return refused(new TransportError("closed"));
    return this.write(data) ? SENT : this.whenTaken();
  }

  private whenTaken(): Promise<void> {
    this.taken ??= waiter();
    return this.taken.promise;
  }

  drained(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.taken?.resolve();
    this.taken = undefined;
    if (this.phase !== OPEN) return;
    const protocol = this.protocol!;
    if (protocol.drain !== undefined) {
      try {
        protocol.drain();
      } catch (error) {
        this.fail("drain", error);
        return;
      }
    }
    if (!this.blocked) this.unholdAfterBlock();
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  /** After `end` Node tells "finish" in place of "drain". */
  protected finishThenTell(): void {
    if (this.blocked) this.socket.once("finish", onDrain);
  }

  /** Nothing will be taken any more. */
  protected abandonWrites(): void {
    this.taken?.reject(new TransportError("closed"));
    this.taken = undefined;
  }
}

function refused(error: TransportError): Promise<void> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}

function waiter(): Waiter {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
}
