/** What is done for speed alone can be turned off, and nothing else changes. */

import { afterEach, describe, expect, it, vi } from "vitest";
import type * as Glisten from "../../src/index.ts";
import { dial, eventually } from "../server/peer.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

async function glistenWithout(tricks: string): Promise<typeof Glisten> {
  vi.stubEnv("GLISTEN_WITHOUT", tricks);
  vi.resetModules();
  return await import("../../src/index.ts");
}

describe.each(["", "push", "weight", "buffers", "push,weight,buffers"])("a server without %j", (tricks) => {
  it("echoes in order, under backpressure, up to the last byte", async () => {
    const glisten = await glistenWithout(tricks);
    let socket!: object;
    await using server = await glisten
      .new<undefined>(
        (connection) => {
          socket = connection.socket;
          return undefined;
        },
        async (_state, message, connection) => {
          await new Promise((resolve) => setImmediate(resolve));
          if (message.type === "packet") await connection.send(message.data);
        },
      )
      .start(0);
    const peer = await dial(server, { allowHalfOpen: true } as never);
    const sent = Buffer.alloc(4 << 20);
    for (let at = 0; at < sent.length; at++) sent[at] = (at * 7 + (at >> 8)) & 0xff;
    peer.socket.pause();
    peer.socket.end(sent);
    await eventually(() => server.info().bytesRead > 0);
    expect(Object.hasOwn(socket, "push")).toBe(!tricks.includes("push"));
    peer.socket.resume();
    await peer.whenEnded();
    expect(peer.received.equals(sent)).toBe(true);
  });
});
