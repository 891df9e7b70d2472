// The last words to connections that are turned away, so that a client over the cap hears why.
//
// What the peer has sent is read and discarded until it hangs up: closed with bytes unread, the socket would be reset and
// the words lost. A crowd that is turned away must not cost what the cap saves, so few at a time are spoken to; the
// others are closed at once.

import type { Socket } from "node:net";

const mostAtOnce = 256;

/** Turns sockets away. */
export class Refusals {
  readonly #words: string | Uint8Array | undefined;
  readonly #lingerMs: number;
  readonly #sockets: Set<Socket> = new Set();

  /** `words` is what a refused peer is sent; undefined: nothing. */
  constructor(words: string | Uint8Array | undefined, lingerMs: number) {
    this.#words = words;
    this.#lingerMs = lingerMs;
  }

  /** Closes a socket, with the last words where `isOverCap`. */
  refuse(socket: Socket, isOverCap: boolean): void {
    socket.on("error", ignore);
    if (this.#words === undefined || !isOverCap || this.#sockets.size >= mostAtOnce) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const timer = setTimeout(() => socket.destroy(), this.#lingerMs).unref();
    socket.on("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    socket.resume().end(this.#words);
  }

  /** The server has ended. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function ignore(): void {}
