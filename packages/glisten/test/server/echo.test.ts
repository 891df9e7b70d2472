import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";

describe("a TCP server", () => {
  it("echoes, and drains on stop", async () => {
    const closed: unknown[] = [];
    const server = await glisten
      .new(
        () => 0,
        async (count, message, conn) => {
          if (message.type === "packet") await conn.send(message.data);
          return glisten.continue(count + 1);
        },
      )
      .withClose((count, reason) => void closed.push([count, reason.type]))
      .start(0);
    const socket = connect(server.port, "127.0.0.1");
    socket.write("hello");
    const [data] = await once(socket, "data");
    expect(String(data)).toBe("hello");
    const stopped = server.stop({ deadlineMs: 5_000 });
    socket.write("more");
    const [more] = await once(socket, "data");
    expect(String(more)).toBe("more");
    socket.end();
    await once(socket, "close");
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
    expect(closed).toEqual([[2, "shutdown"]]);
  });
});
