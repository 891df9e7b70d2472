// The functions that listen to sockets, one set for all of them.
//
// Each finds its connection by a symbol on the socket it is called with, so that a connection costs no closures.

import type { Socket } from "node:net";
import { directPush } from "../../performance/direct-push.ts";

/** What a socket tells its connection. */
export interface SocketOwner {
  receive(chunk: Buffer): void;
  receiveEnd(): void;
  drained(): void;
  failedSocket(error: Error): void;
  /** All that was written, and our FIN, is with the kernel. */
  flushed(): void;
  finished(): void;
}

const ownerKey: unique symbol = Symbol("glisten.connection");

interface OwnedSocket extends Socket {
  [ownerKey]: SocketOwner;
}

/** Tells the connection of failures and of the end from now on. */
export function adopt(socket: Socket, owner: SocketOwner): void {
  (socket as OwnedSocket)[ownerKey] = owner;
  socket.on("error", onError);
  socket.on("close", onClose);
}

/** Tells the connection of bytes, too. */
export function attend(socket: Socket): void {
  socket.on("data", onData);
  socket.on("end", onEnd);
  pushDirectly(socket);
}

/** Stops telling of this socket's end: the TLS socket above it does. */
export function abandon(socket: Socket): void {
  socket.off("close", onClose);
}

function onData(this: Socket, chunk: Buffer): void {
  (this as OwnedSocket)[ownerKey].receive(chunk);
}

const pushDirectly = directPush(onData);

function onEnd(this: Socket): void {
  (this as OwnedSocket)[ownerKey].receiveEnd();
}

export function onDrain(this: Socket): void {
  (this as OwnedSocket)[ownerKey].drained();
}

export function onFinish(this: Socket): void {
  (this as OwnedSocket)[ownerKey].flushed();
}

function onError(this: Socket, error: Error): void {
  (this as OwnedSocket)[ownerKey].failedSocket(error);
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[ownerKey].finished();
}
