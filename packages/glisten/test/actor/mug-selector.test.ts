// A mug socket in an actor's selector: neither package imports the other.

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket as NetSocket } from "node:net";
import * as mug from "@x/mug";
import { expect, test } from "vitest";
import * as actor from "../../src/actor/index.ts";

test("an actor selects a mug socket's messages, one packet at a time", async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const socket = await mug.connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  const [peer] = (await accepted) as [NetSocket];
  const heard: string[] = [];

  const reader = await actor.start({
    init: () => {
      const packets = mug.selectTcpMessages(actor.selector<mug.TcpMessage>(), socket, (message) => message);
      socket.receiveNextPacketAsMessage();
      return [heard, packets];
    },
    loop: (state: string[], message: mug.TcpMessage) => {
      state.push(message.type === "packet" ? String(message.data) : message.type);
      if (message.type !== "packet") return actor.stop();
      socket.receiveNextPacketAsMessage();
      return undefined;
    },
  });
  peer.write("one");
  while (heard.length < 1) await new Promise((resolve) => setImmediate(resolve));
  peer.end("two");
  expect(await reader.exited).toEqual({ type: "normal" });
  expect(heard).toEqual(["one", "two", "socket-closed"]);
  await socket.close();
  server.close();
});
