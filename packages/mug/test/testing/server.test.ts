import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as mug from "../../src/index.ts";
import { connect, ExpectationError, listen } from "../../src/testing/index.ts";
import { makeCertificates } from "../certificates.ts";

test("every connection runs the script", async () => {
  await using server = await listen(async (peer) => {
    await peer.expect("PING\n");
    await peer.send("PONG\n");
    await peer.expectClose();
  });
  for (let count = 0; count < 3; count++) {
    await using client = await mug.connect(server.target);
    await client.send("PING\n");
    expect(await client.receiveLine({ timeout: 1000 })).toBe("PONG");
  }
  await server.done();
  expect(server.peers).toHaveLength(3);
});

test("several scripts: one each, the last for all that follow", async () => {
  await using server = await listen(["first", "second"].map((text) => (peer) => peer.send(text)));
  const seen: string[] = [];
  for (let count = 0; count < 3; count++) {
    await using client = await mug.connect(server.target);
    seen.push(String(await client.receiveToEnd({ timeout: 1000 })));
  }
  expect(seen).toEqual(["first", "second", "second"]);
});

test("a script's failure resets its connection and is thrown by close", async () => {
  const server = await listen((peer) => peer.expect("HELLO"));
  const client = await mug.connect(server.target);
  await client.send("HOWDY");
  await expect(client.receive({ timeout: 1000 })).rejects.toMatchObject({ code: "econnreset" });
  const error = await server.close().then(
    () => undefined,
    (error: unknown) => error as ExpectationError,
  );
  expect(error).toBeInstanceOf(ExpectationError);
  expect(error?.message).toContain('←  "HOWDY"');
});

test("several failures come together", async () => {
  const server = await listen((peer) => peer.expect("HELLO"));
  const clients = [await mug.connect(server.target), await mug.connect(server.target)];
  for (const client of clients) await client.send("HOWDY");
  for (const client of clients) await client.receive({ timeout: 1000 }).catch(() => {});
  await expect(server.close()).rejects.toBeInstanceOf(AggregateError);
});

test("without a script connections are accepted one by one", async () => {
  await using server = await listen();
  const pending = server.accept();
  await using first = await connect(server.target);
  await using second = await connect(server.target);
  const one = await pending;
  const two = await server.accept();
  await one.send("one");
  await two.send("two");
  await first.expect("one");
  await second.expect("two");
  await expect(server.accept({ timeout: 20 })).rejects.toMatchObject({ code: "timeout" });
});

test("a server with scripts refuses accept", async () => {
  await using server = await listen(async () => {});
  expect(() => server.accept()).toThrow(mug.UsageError);
});

test("close ends connections whose script still waits", async () => {
  const server = await listen(async (peer) => {
    await peer.socket.closed;
  });
  const client = await connect(server.target);
  await client.send("hello?");
  await server.close();
  await client.expectClose();
});

test("a client that half-closes still gets its answer", async () => {
  await using server = await listen(async (peer) => {
    const question = await peer.socket.receiveToEnd({ timeout: 1000 });
    await peer.send(`you said ${question}`);
  });
  await using client = await connect(server.target);
  await client.send("hi");
  await client.halfClose();
  await client.expect("you said hi");
  await client.expectClose({ kind: "fin" });
});

test("a busy port is reported with its code", async () => {
  await using server = await listen();
  await expect(listen(undefined, { port: server.port })).rejects.toMatchObject({ code: "eaddrinuse" });
});

test("over a unix path", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mug-listen-"));
  try {
    await using server = await listen((peer) => peer.send("over a path"), {
      path: join(directory, "socket"),
    });
    await using client = await connect(server.target);
    await client.expect("over a path");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("over TLS, with ALPN and client certificates; a client that breaks the handshake is no peer", async () => {
  const { ca, server: identity, client: own } = makeCertificates();
  await using server = await listen(
    async (peer) => {
      expect(peer.socket.alpnProtocol).toBe("ping/1");
      expect(peer.socket.peerCertificate()?.subject.CN).toBe("client");
      await peer.expect("PING");
      await peer.send("PONG");
    },
    { tls: { ...identity, clientCa: ca, alpnProtocols: ["ping/1"] } },
  );
  const garbage = await connect(server.target);
  await garbage.send("this is no handshake\r\n\r\n");
  await garbage.expectClose({ discard: true });

  const tls = { ca, alpnProtocols: ["ping/1", "ping/0"], ...own };
  await using client = await connect({ ...server.target, tls });
  await client.send("PING");
  await client.expect("PONG");
  await client.expectClose();
  expect(server.peers).toHaveLength(1);
});

test("a TLS connection can be reset too", async () => {
  const { ca, server: identity } = makeCertificates();
  await using server = await listen((peer) => peer.cutShort("Hello, world", 5, "reset"), { tls: identity });
  await using client = await connect({ ...server.target, tls: { ca } });
  await client.expect("Hello");
  await client.expectClose({ kind: "reset" });
});
