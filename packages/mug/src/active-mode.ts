/**
 * Active mode: packets come as messages instead of being asked for. A socket is passive until it is armed,
 * for one message or for all; an armed socket holds its packets until somebody subscribes, so none is lost.
 *
 * The source is structural (`{ subscribe(receiver) => unsubscribe }`): any selector that takes such a source
 * takes a socket. Without one, the source is an async iterable.
 */

import type { MugError } from "./errors.ts";
import type { Socket } from "./socket.ts";

/** What an armed socket says. After `"tcp-error"` follows `"socket-closed"`; after that nothing. */
export type TcpMessage =
  | { readonly type: "packet"; readonly socket: Socket; readonly data: Buffer }
  | { readonly type: "socket-closed"; readonly socket: Socket }
  | { readonly type: "tcp-error"; readonly socket: Socket; readonly error: MugError };

/** Anything that hands messages to a receiver until unsubscribed. */
export interface MessageSource<Message> {
  /** Hands every message to `receiver` until the function it returns is called. */
  subscribe(receiver: (message: Message) => void): () => void;
}

/** What `selectTcpMessages` needs of a selector. */
export interface SelectorLike<Message, Selected> {
  /** Gives a selector that hears this source too, each message mapped. */
  selectMap(source: MessageSource<TcpMessage>, map: (message: TcpMessage) => Message): Selected;
}

/** How a socket's packets are taken. */
export type ActiveState = "passive" | "once" | "all";

/** What the machine below needs of its socket. */
export interface PacketPort {
  takePacket(): Buffer | undefined;
  /** Why no more packets will come, once the held ones are taken. */
  readonly ended: MugError | undefined;
}

type Receiver = (message: TcpMessage) => void;

export class ActiveMode implements MessageSource<TcpMessage> {
  state: ActiveState = "passive";
  readonly #socket: Socket;
  readonly #port: PacketPort;
  readonly #receivers: Set<Receiver> = new Set();
  #pumping = false;

  constructor(socket: Socket, port: PacketPort) {
    this.#socket = socket;
    this.#port = port;
  }

  /** Messages begin in a later microtask, never inside this call. */
  arm(state: ActiveState): void {
    this.state = state;
    this.#pumpSoon();
  }

  subscribe(receiver: Receiver): () => void {
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const own: Receiver = (message) => receiver(message);
    this.#receivers.add(own);
    this.#pumpSoon();
    return () => {
      this.#receivers.delete(own);
    };
  }

  /** Delivers what may be delivered. A receiver that arms again inside its call is served by this same loop. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.state !== "passive" && this.#receivers.size > 0 && this.#deliverNext()) {
        // One message per turn of the loop.
      }
    } finally {
      this.#pumping = false;
    }
  }

  #pumpSoon(): void {
    if (this.state !== "passive" && this.#receivers.size > 0) queueMicrotask(() => this.pump());
  }

  #deliverNext(): boolean {
    const data = this.#port.takePacket();
    if (data !== undefined) {
      if (this.state === "once") this.state = "passive";
      this.#tell({ type: "packet", socket: this.#socket, data });
      return true;
    }
    const error = this.#port.ended;
    if (error === undefined) return false;
    this.state = "passive";
    if (error.code !== "closed") this.#tell({ type: "tcp-error", socket: this.#socket, error });
    this.#tell({ type: "socket-closed", socket: this.#socket });
    return false;
  }

  #tell(message: TcpMessage): void {
    for (const receiver of [...this.#receivers]) receiver(message);
  }
}

/** The messages of one socket. Iterating arms the socket for one message at a time and ends behind `"socket-closed"`. */
export interface TcpMessages extends MessageSource<TcpMessage>, AsyncIterable<TcpMessage> {}

/** The source of a socket's messages. Arm the socket to set it going; an iterator arms by itself. */
export function tcpMessages(socket: Socket): TcpMessages {
  return {
    subscribe: (receiver) => socket.subscribe(receiver),
    [Symbol.asyncIterator]: () => new MessageIterator(socket),
  };
}

/** Adds a socket's messages to a selector, each mapped; gives the selector that has them. */
export function selectTcpMessages<Message, Selected>(
  selector: SelectorLike<Message, Selected>,
  socket: Socket,
  map: (message: TcpMessage) => Message,
): Selected {
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
