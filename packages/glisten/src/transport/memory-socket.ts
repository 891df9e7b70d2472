// A pair of connected sockets in memory: what one end writes the other reads.
//
// Owns: the buffer between the ends, its limit, FIN and reset. No system call and no timer is involved: what arrives at
// an end is delivered by a microtask, so that a write never calls the reader, and the same calls always run in the same
// order. Two ends that keep writing to each other and wait for nothing else therefore keep the event loop from turning.
//
// An end offers what this package asks of a `net.Socket`. As with TCP, an end that is destroyed with bytes unread resets
// the other one, and so does writing to an end that is gone. A reset is noticed behind the bytes that came before it: an
// end that does not read them learns of it when it writes.

import { isIPv6, type Socket } from "node:net";
import { Duplex } from "node:stream";

/** One end's address. */
export interface MemoryEndpoint {
  readonly address: string;
  readonly port: number;
}

// Test runners replace the global to fake time.
const defer = queueMicrotask;

/** Bytes at most in one chunk, as with a read of the system's. */
const chunkBytes = 65_536;

type Done = (error?: Error | null) => void;

interface Writing {
  readonly bytes: Buffer;
  /** How much of it the other end has. */
  at: number;
  readonly done: Done;
}

/** One end of a connection in memory: a Duplex with the addresses, the counters and the reset of a `net.Socket`. */
export class MemorySocket extends Duplex {
  /** The address of this end. */
  readonly localAddress: string;
  /** The port of this end. */
  readonly localPort: number;
  /** The address of the other end. */
  readonly remoteAddress: string;
  /** The port of the other end. */
  readonly remotePort: number;
  #peer!: MemorySocket;
  readonly #limit: number;
  /** Copies, not yet pushed. */
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  /** The stream has asked for more. */
  #wanted = false;
  #scheduled = false;
  /** What is behind the bytes that arrived. */
  #ending: "fin" | "reset" | undefined = undefined;
  #resetting = false;
  /** The write for which the other end has no room. */
  #writing: Writing | undefined = undefined;
  #read = 0;
  #written = 0;

  /** Two connected ends. `highWaterMark`: bytes that an end holds unread before the other has to wait. @internal */
  static pair(
    near: MemoryEndpoint,
    far: MemoryEndpoint,
    highWaterMark: number,
  ): [MemorySocket, MemorySocket] {
    const first = new MemorySocket(near, far, highWaterMark);
    const second = new MemorySocket(far, near, highWaterMark);
    first.#peer = second;
    second.#peer = first;
    return [first, second];
  }

  private constructor(local: MemoryEndpoint, remote: MemoryEndpoint, highWaterMark: number) {
    super({ highWaterMark, allowHalfOpen: true });
    this.localAddress = local.address;
    this.localPort = local.port;
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
    this.#limit = highWaterMark;
  }

  // ---- what the other end sends -------------------------------------------------------------------------------

  /** @internal */
  override _read(): void {
    this.#wanted = true;
    const isAwaited = this.#peer.#writing !== undefined || this.#ending !== undefined;
    if (this.#arrivedBytes > 0 || isAwaited) this.#schedule();
  }

  /** The stream's own buffer counts, too. A stream that asks for more may have put bytes back into it. */
  get #room(): number {
    const room = this.#limit - this.#arrivedBytes - this.readableLength;
    return this.#wanted && this.#arrivedBytes === 0 ? Math.max(room, 1) : room;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    defer(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    while (this.#wanted && this.#arrivedBytes > 0 && !this.destroyed) {
      const chunk = this.#arrived.shift()!;
      this.#arrivedBytes -= chunk.length;
      this.#read += chunk.length;
      this.#wanted = this.push(chunk);
    }
    if (this.destroyed) return;
    this.#peer.#transfer();
    if (this.#ending === undefined || this.#arrivedBytes > 0) return;
    if (this.#ending === "reset") this.destroy(systemError("ECONNRESET", "read"));
    else this.push(null);
    this.#ending = undefined;
  }

  /** Nothing comes behind what has arrived. */
  #end(ending: "fin" | "reset"): void {
    if (this.destroyed || this.#ending === "reset") return;
    this.#ending = ending;
    this.#schedule();
  }

  // ---- what this end sends ------------------------------------------------------------------------------------

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done);
  }

  /** Several writes that waited arrive as one. @internal */
  override _writev(chunks: { readonly chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  #send(bytes: Buffer, done: Done): void {
    this.#writing = { bytes, at: 0, done };
    this.#transfer();
  }

  /** Gives the other end what it has room for. The writer may use its memory again, hence the copies. */
  #transfer(): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    const { bytes, done } = writing;
    const peer = this.#peer;
    if (peer.destroyed) {
      writing.at = bytes.length;
      defer(() => this.destroy(systemError("ECONNRESET", "write")));
    }
    for (let room = peer.#room; room > 0 && writing.at < bytes.length; room = peer.#room) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(room, chunkBytes, bytes.length - writing.at));
      bytes.copy(chunk, 0, writing.at);
      writing.at += chunk.length;
      peer.#arrived.push(chunk);
      peer.#arrivedBytes += chunk.length;
      peer.#schedule();
    }
    if (writing.at < bytes.length) return;
    this.#writing = undefined;
    this.#written += bytes.length;
    done();
  }

  /** @internal */
  override _final(done: Done): void {
    this.#peer.#end("fin");
    done();
  }

  /** @internal */
  override _destroy(error: Error | null, done: Done): void {
    const peer = this.#peer;
    const isUnread = this.#arrivedBytes > 0 || peer.#writing !== undefined;
    const writing = this.#writing;
    this.#writing = undefined;
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
    writing?.done(error ?? systemError("ECANCELED", "write"));
    if (this.#resetting || isUnread) peer.#end("reset");
    else if (!this.writableFinished) peer.#end("fin");
    done(error);
  }

  /** Destroys this end; the other one fails with `ECONNRESET`. */
  resetAndDestroy(): this {
    this.#resetting = true;
    return this.destroy();
  }

  /** Destroys this end once everything written has been taken. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  // ---- what a `net.Socket` has besides ------------------------------------------------------------------------

  /** Bytes that were read from the other end. */
  get bytesRead(): number {
    return this.#read;
  }

  /** Bytes written, those that still wait included. */
  get bytesWritten(): number {
    return this.#written + this.writableLength;
  }

  /** Bytes given to the other end, or on their way there, that its owner has not read. @internal */
  get unread(): number {
    const { bytes, at } = this.#writing ?? { bytes: [], at: 0 };
    return bytes.length - at + this.#peer.#arrivedBytes + this.#peer.readableLength;
  }

  /** `"IPv4"` or `"IPv6"`. */
  get localFamily(): string {
    return familyOf(this.localAddress);
  }

  /** `"IPv4"` or `"IPv6"`. */
  get remoteFamily(): string {
    return familyOf(this.remoteAddress);
  }

  /** Always false: it is connected from the first. */
  get connecting(): boolean {
    return false;
  }

  /** Does nothing: every write is delivered at once. */
  setNoDelay(): this {
    return this;
  }

  /** Does nothing: an end that is gone is noticed at once. */
  setKeepAlive(): this {
    return this;
  }

  /** Does nothing: memory never keeps the process alive. */
  ref(): this {
    return this;
  }

  /** Does nothing: memory never keeps the process alive. */
  unref(): this {
    return this;
  }
}

/** A socket in memory goes wherever one of the system's does: it has all of it that this package uses. */
export function asSocket(socket: MemorySocket): Socket {
  return socket as unknown as Socket;
}

/** Whether a socket is one in memory. */
export function isMemory(socket: unknown): socket is MemorySocket {
  return socket instanceof MemorySocket;
}

function familyOf(address: string): "IPv4" | "IPv6" {
  return isIPv6(address) ? "IPv6" : "IPv4";
}

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}
