// A socket's messages as a source. The source is structural (`{ subscribe(receiver) => unsubscribe }`): any selector
// that takes such a source takes a socket. Without a selector, the source is an async iterable.

import { isFunction, refuse } from "../checks.ts";
import type { MessageSource } from "./active-mode.ts";
import { Socket, type TcpMessage } from "./socket.ts";

/** What `selectTcpMessages` needs of a selector. */
export interface SelectorLike<Message, Selected> {
  /** Returns a selector that also receives from this source, each message mapped. */
  selectMap(source: MessageSource<TcpMessage>, map: (message: TcpMessage) => Message): Selected;
}

/** The messages of one socket. Iterating arms the socket for one message at a time and ends after `"socket-closed"`. */
export interface TcpMessages extends MessageSource<TcpMessage>, AsyncIterable<TcpMessage> {}

/** The source of a socket's messages. Arm the socket to start it; an iterator arms the socket itself. */
export function tcpMessages(socket: Socket): TcpMessages {
  if (!(socket instanceof Socket)) refuse("socket", "a socket of mug", socket);
  return {
    subscribe: (receiver) => socket.subscribe(receiver),
    [Symbol.asyncIterator]: () => new MessageIterator(socket),
  };
}

/** Adds a socket's messages to a selector, each mapped. Returns the selector that has them. */
export function selectTcpMessages<Message, Selected>(
  selector: SelectorLike<Message, Selected>,
  socket: Socket,
  map: (message: TcpMessage) => Message,
): Selected {
  isFunction(selector?.selectMap, "selector.selectMap");
  isFunction(map, "map");
  return selector.selectMap(tcpMessages(socket), map);
}

class MessageIterator implements AsyncIterableIterator<TcpMessage> {
  readonly #socket: Socket;
  readonly #queue: TcpMessage[] = [];
  #unsubscribe: (() => void) | undefined;
  #waiting: ((result: IteratorResult<TcpMessage>) => void)[] = [];
  #done = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<TcpMessage>> {
    const queued = this.#queue.shift();
    if (queued !== undefined) return Promise.resolve({ value: queued, done: false });
    if (this.#done) return Promise.resolve({ value: undefined, done: true });
    this.#unsubscribe ??= this.#socket.subscribe((message) => this.#take(message));
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#socket.activeState === "passive") this.#socket.receiveNextPacketAsMessage();
    });
  }

  return(): Promise<IteratorResult<TcpMessage>> {
    if (!this.#done && this.#socket.activeState === "once") this.#socket.stopReceivingPacketsAsMessages();
    this.#finish();
    return Promise.resolve({ value: undefined, done: true });
  }

  #take(message: TcpMessage): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#queue.push(message);
    else waiting({ value: message, done: false });
    if (message.type === "socket-closed") this.#finish();
    else if (
      message.type === "packet" &&
      this.#waiting.length > 0 &&
      this.#socket.activeState === "passive"
    ) {
      this.#socket.receiveNextPacketAsMessage();
    }
  }

  #finish(): void {
    this.#done = true;
    this.#unsubscribe?.();
    for (const waiting of this.#waiting) waiting({ value: undefined, done: true });
    this.#waiting = [];
  }
}
