// A socket over a stream that somebody else made.

import type { Duplex } from "node:stream";
import { refuse } from "../checks.ts";
import { UsageError } from "../errors.ts";
import { checkSocket, type SocketOptions } from "../options.ts";
import { Socket } from "../socket/socket.ts";
import type { ByteStream } from "../socket/stream.ts";

/**
 * A socket over any `node:stream` Duplex of bytes: a `net.Socket` that a server accepted, a TLS socket, an in-memory
 * pair, a channel of another protocol. The stream belongs to the socket from now on: nobody else may read it, and it stays
 * half-open, so the peer's FIN does not end sending. `closed` follows the stream's `"close"` event.
 *
 * A plain Duplex has no address (`{ family: "duplex" }`), and `reset` destroys it unless it has `resetAndDestroy`.
 */
export function over(stream: Duplex, options: SocketOptions = {}): Socket {
  checkStream(stream);
  checkSocket(options);
  stream.allowHalfOpen = true;
  return new Socket(stream, stream, options);
}

function checkStream(stream: ByteStream): void {
  const methods = ["on", "off", "write", "end", "pause", "resume", "destroy"] as const;
  if (
    typeof stream !== "object" ||
    stream === null ||
    methods.some((name) => typeof stream[name] !== "function")
  ) {
    refuse("stream", "a Duplex", stream);
  }
  if (stream.connecting === true || stream.destroyed) throw new UsageError("the stream is not connected");
  if (!stream.readable || !stream.writable) throw new UsageError("the stream has already ended");
  if (stream.listenerCount("data") > 0 || stream.listenerCount("readable") > 0) {
    throw new UsageError("somebody else reads the stream: it has listeners for data");
  }
  if (stream.readableObjectMode || stream.writableObjectMode || stream.readableEncoding !== null) {
    throw new UsageError("the stream must carry bytes: object mode and setEncoding do not work");
  }
}
