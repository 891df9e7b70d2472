import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";

test("smoke", async () => {
  const server = createServer((s) => {
    s.on("error", () => {});
    s.pipe(s);
  }).listen(0);
  await once(server, "listening");
  const port = (server.address() as any).port;
  {
    await using socket = await mug.new("localhost", { port }).timeout(500).connect();
    await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
    await socket.send("GET / HTTP/1.1\r\nhost: x\r\n\r\nrest");
    expect((await socket.receiveUntil("\r\n\r\n", { timeout: 1000 })).toString()).toBe(
      "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    expect((await socket.receiveExact(4)).toString()).toBe("rest");
    await socket.send(["a", Buffer.from("b"), "c\r\nx"]);
    expect(await socket.receiveLine()).toBe("abc");
    console.log(socket.peername(), socket.sockname());
    await socket.halfClose();
    expect((await socket.receiveToEnd()).toString()).toBe("x");
  }
  const s2 = await mug.connect({ host: "127.0.0.1", port });
  await s2.reset();
  const s3 = await mug.connect({ host: "127.0.0.1", port });
  await s3.send("hi");
  await s3.shutdown();
  await expect(s3.send("x")).rejects.toMatchObject({ code: "closed" });
  await expect(s3.receive({ timeout: 0 })).rejects.toMatchObject({ code: "closed" });
  await s3.closed;
  await expect(mug.connect({ host: "invalid.example.com", port })).rejects.toMatchObject({
    family: "both",
    ipv4: { code: "nxdomain" },
  });
  server.close();
});
