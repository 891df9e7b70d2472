// A WebSocket client's bytes on a stream of node:http2 (RFC 8441).

import { Buffer } from "node:buffer";
import { once } from "node:events";
import type * as http2 from "node:http2";
import { session } from "../http2-server/client.ts";
import type { PeerSocket } from "./websocket-peer.ts";

/** Fields of the handshake that HTTP/2 does without (RFC 8441 §5). */
const obsolete = /^(?:host|upgrade|connection|sec-websocket-key)$/i;

/** Opens a stream with an extended CONNECT, and waits for the answer's head. */
export async function connectStream(
  url: string,
  changes: Record<string, string | undefined> = {},
  behind: Buffer = Buffer.alloc(0),
  path = "/",
): Promise<{ readonly socket: StreamSocket; readonly head: string }> {
  const client = await session(url);
  if (client.remoteSettings?.enableConnectProtocol === undefined) await once(client, "remoteSettings");
  const { stream, head } = await openStream(client, changes, path, behind);
  return { socket: new StreamSocket(client, stream), head };
}

/** The same on a session there is. */
export async function openStream(
  client: http2.ClientHttp2Session,
  changes: Record<string, string | undefined> = {},
  path = "/",
  behind: Buffer = Buffer.alloc(0),
): Promise<{ readonly stream: http2.ClientHttp2Stream; readonly head: string }> {
  const headers: http2.OutgoingHttpHeaders = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": path,
    "sec-websocket-version": "13",
  };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete headers[name.toLowerCase()];
    else if (!obsolete.test(name)) headers[name.toLowerCase()] = value;
  }
  const stream = client.request(headers);
  stream.on("error", () => {});
  if (behind.length > 0) stream.write(behind);
  const [fields] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return { stream, head: lines.join("") };
}

/** A stream in the words of a mug socket. */
export class StreamSocket implements PeerSocket {
  readonly session: http2.ClientHttp2Session;
  readonly stream: http2.ClientHttp2Stream;

  constructor(client: http2.ClientHttp2Session, stream: http2.ClientHttp2Stream) {
    this.session = client;
    this.stream = stream;
  }

  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async receive({ timeout }: { timeout: number }): Promise<Buffer> {
    const signal = AbortSignal.timeout(timeout);
    for (;;) {
      const bytes: Buffer | null = this.stream.read();
      if (bytes !== null) return bytes;
      if (this.stream.readableEnded || this.stream.destroyed) throw new Error("the stream has ended");
      const { promise, done } = readable(this.stream);
      signal.addEventListener("abort", done, { once: true });
      await promise;
      signal.throwIfAborted();
    }
  }

  async receiveToEnd(options: { timeout: number }): Promise<Buffer> {
    const pieces: Buffer[] = [];
    try {
      for (;;) pieces.push(await this.receive(options));
    } catch (error) {
      if (!this.stream.readableEnded) throw error;
      return Buffer.concat(pieces);
    }
  }

  async halfClose(): Promise<void> {
    await new Promise<void>((resolve) => this.stream.end(resolve));
  }

  reset(): void {
    this.stream.close(8);
  }

  async close(): Promise<void> {
    this.session.destroy();
  }
}

/** Resolves when something has happened to what is to be read. */
function readable(stream: http2.ClientHttp2Stream): { promise: Promise<void>; done: () => void } {
  let done = (): void => {};
  const promise = new Promise<void>((resolve) => {
    done = () => {
      for (const name of ["readable", "end", "close"]) stream.off(name, done);
      resolve();
    };
    for (const name of ["readable", "end", "close"]) stream.on(name, done);
  });
  return { promise, done };
}
