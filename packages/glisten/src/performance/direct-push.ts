// `push`: what was read skips the stream.
//
// A flowing socket gives a chunk to its "data" listener, and asks for more behind every chunk, in a tick of its own,
// though it is being read anyway. With a `push` of its own the socket hands the chunk on by a plain call.

import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { isOn } from "./switch.ts";

const enabled = isOn("push");
const { push } = Readable.prototype;

/** Hears of what was read; `this` is the socket. */
export type ChunkListener = (this: Socket, chunk: Buffer) => void;

/**
 * Makes a `push` for sockets whose "data" goes to `onData`. Where nothing waits in the stream and nothing holds it
 * back, the chunk goes straight there. Whatever comes another way is still told by "data".
 */
export function directPush(onData: ChunkListener): (socket: Socket) => void {
  if (!enabled) return () => {};
  function pushDirectly(this: Socket, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null || this.readableFlowing !== true || this.readableLength > 0)
      return push.call(this, chunk, encoding);
    onData.call(this, chunk);
    return true;
  }
  return (socket) => {
    socket.push = pushDirectly;
  };
}
