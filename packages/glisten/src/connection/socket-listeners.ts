/**
 * The functions that listen to sockets, one set for all of them.
 *
 * Each finds its connection by a symbol on the socket it is called with, so that a connection costs no closures.
 */

import type { Socket } from "node:net";
import { Readable } from "node:stream";

/** What a socket tells its connection. */
export interface SocketOwner {
  receive(chunk: Buffer): void;
  receiveEnd(): void;
  drained(): void;
  stalled(): void;
  failedSocket(error: Error): void;
  finished(): void;
}

const OWNER: unique symbol = Symbol("glisten.connection");

interface OwnedSocket extends Socket {
  [OWNER]: SocketOwner;
}

/** From now on the connection hears of failures and of the end. */
export function adopt(socket: Socket, owner: SocketOwner): void {
  (socket as OwnedSocket)[OWNER] = owner;
  socket.on("error", onError);
  socket.on("close", onClose);
}

/** From now on it hears of bytes, too. */
export function attend(socket: Socket): void {
  socket.on("data", onData);
  socket.on("end", onEnd);
  socket.push = pushStraight;
}

/** The end is no longer this socket's to tell: another stands above it. */
export function abandon(socket: Socket): void {
  socket.off("close", onClose);
}

const { push } = Readable.prototype;

/**
 * `push` is how a stream takes what was read for it. Where nothing waits in the stream and nothing holds it back, the
 * chunk goes straight to its connection, as "data" would have brought it; but "data" costs a tick for every chunk, in
 * which the stream asks for more although the socket is being read anyway. Whatever comes another way is still heard.
 */
function pushStraight(this: Socket, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
  if (chunk === null || this.readableFlowing !== true || this.readableLength > 0)
    return push.call(this, chunk, encoding);
  (this as OwnedSocket)[OWNER].receive(chunk);
  return true;
}

function onData(this: Socket, chunk: Buffer): void {
  (this as OwnedSocket)[OWNER].receive(chunk);
}

function onEnd(this: Socket): void {
  (this as OwnedSocket)[OWNER].receiveEnd();
}

export function onDrain(this: Socket): void {
  (this as OwnedSocket)[OWNER].drained();
}

export function onStall(this: Socket): void {
  (this as OwnedSocket)[OWNER].stalled();
}

function onError(this: Socket, error: Error): void {
  (this as OwnedSocket)[OWNER].failedSocket(error);
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[OWNER].finished();
}
