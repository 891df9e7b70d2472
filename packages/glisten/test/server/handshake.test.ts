// The first step of a handshake: who may send a PROXY header.

import type { Socket } from "node:net";
import { expect, it } from "vitest";
import { handshake } from "../../src/connection/handshake.ts";
import { MemorySocket } from "../../src/transport/memory-socket.ts";
import { trustedPeers } from "../../src/transport/proxy-protocol.ts";

/** The outcome for an accepted socket that shows these addresses, once a header has come. */
function outcome(local: string | undefined, remote: string | undefined): Promise<string> {
  const [server, client] = MemorySocket.pair({ address: "", port: 0 }, { address: "", port: 0 }, 65_536);
  Object.defineProperty(server, "localAddress", { value: local });
  Object.defineProperty(server, "remoteAddress", { value: remote });
  client.write("PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n");
  return new Promise((resolve) => {
    const proxy = { trusted: trustedPeers(["unix"]), maxHeaderBytes: undefined };
    handshake(proxy, undefined)!(server as unknown as Socket, {
      handshaken: ({ client: told }) => resolve(`from port ${told?.port}`),
      refuse: (error) => resolve((error as { reason: string }).reason),
    });
  });
}

it("believes a peer on a unix socket, which has no addresses", async () => {
  expect(await outcome(undefined, undefined)).toBe("from port 40000");
});

it("does not take a TCP peer that has reset its connection for one", async () => {
  expect(await outcome("127.0.0.1", undefined)).toBe("untrusted");
});
