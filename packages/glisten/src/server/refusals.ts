// Answers connections that are turned away, so that a client over the limit learns why.
//
// What the peer has sent is read and discarded until it hangs up: closed with bytes unread, the socket would be reset
// and the answer lost. Answering a flood would cost what the limit saves, so few are answered at a time; the others are
// closed at once.

import type { Socket } from "node:net";
import { clock } from "../clock.ts";
import { ignore } from "../errors.ts";

const mostAtOnce = 256;

/** Turns sockets away. */
export class Refusals {
  readonly #answer: string | Uint8Array | undefined;
  readonly #lingerMs: number;
  readonly #sockets: Set<Socket> = new Set();

  /** `answer` is what a refused peer is sent; undefined: nothing. */
  constructor(answer: string | Uint8Array | undefined, lingerMs: number) {
    this.#answer = answer;
    this.#lingerMs = lingerMs;
  }

  /** Closes a socket, behind the answer if `isOverCap`. */
  refuse(socket: Socket, isOverCap: boolean): void {
    socket.on("error", ignore);
    if (this.#answer === undefined || !isOverCap || this.#sockets.size >= mostAtOnce) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const timer = clock.setTimer(() => socket.destroy(), this.#lingerMs);
    timer.unref();
    socket.on("close", () => {
      clock.clearTimer(timer);
      this.#sockets.delete(socket);
    });
    socket.resume().end(this.#answer);
  }

  /** The server has ended. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
