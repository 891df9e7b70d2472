/** Plain node:net servers for the tests: the other side must not share the code under test. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  /** Sockets accepted so far. */
  readonly sockets: Socket[];
  /** The next accepted socket. */
  next(): Promise<Socket>;
}

export async function serve(
  onConnection: (socket: Socket) => void = () => {},
  listen: { host?: string; port?: number; path?: string } = { host: "127.0.0.1", port: 0 },
): Promise<TestServer> {
  const sockets: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  let taken = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
    onConnection(socket);
    if (waiting.length > 0) {
      taken++;
      waiting.shift()!(socket);
    }
  });
  server.listen(listen);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    server,
    sockets,
    next() {
      if (taken < sockets.length) return Promise.resolve(sockets[taken++]!);
      return new Promise((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends back what it gets, and its FIN when it gets one; closes on a single zero byte. */
export function serveEcho(listen?: { host?: string; port?: number; path?: string }): Promise<TestServer> {
  return serve((socket) => {
    socket.on("data", (data) => {
      if (data.length === 1 && data[0] === 0) socket.end();
      else socket.write(data);
    });
    socket.on("end", () => socket.end());
  }, listen);
}
