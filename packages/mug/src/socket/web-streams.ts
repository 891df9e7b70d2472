// A socket as a pair of web streams, in the shape of the sockets API drafted for server runtimes (WinterTC).

import { type ReadableByteStreamController, ReadableStream, WritableStream } from "node:stream/web";
import { MugError } from "../errors.ts";
import type { WaitOptions } from "../options.ts";
import type { Sendable } from "./writer.ts";

/** A socket as web streams. */
export interface WebStreams {
  /** Bytes from the peer; ends at its FIN. Only the socket's own buffer is read ahead of demand. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Closing it half-closes the socket, aborting it resets the socket. */
  readonly writable: WritableStream<Uint8Array | string>;
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<void>;
}

/** What the streams need of their socket. */
interface SocketLike {
  receive(options: WaitOptions): Promise<Buffer>;
  send(data: Sendable): Promise<void>;
  halfClose(): Promise<void>;
  reset(): Promise<void>;
  readonly closed: Promise<void>;
}

export function webStreams(socket: SocketLike): WebStreams {
  const cancelled = new AbortController();
  const readable: ReadableStream<Uint8Array> = new ReadableStream(
    {
      type: "bytes",
      async pull(controller: ReadableByteStreamController) {
        try {
          const bytes = await socket.receive({ signal: cancelled.signal });
          // A byte stream takes the memory over, and a packet may share its memory with others.
          controller.enqueue(new Uint8Array(bytes));
        } catch (error) {
          if (cancelled.signal.aborted) return;
          if (!(error instanceof MugError) || error.code !== "closed") throw error;
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
      cancel() {
        cancelled.abort();
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array | string>({
    write: (chunk) => socket.send(chunk),
    close: () => socket.halfClose(),
    abort: () => socket.reset(),
  });
  return { readable, writable, closed: socket.closed };
}
