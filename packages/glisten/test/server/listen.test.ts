/** `glisten.listen`: the builder with one options object. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { optionNames } from "../../src/options.ts";
import { testCertificates } from "../certificates.ts";
import { dial, dialTls } from "./peer.ts";

const init = () => 0;
const echo: glisten.HandlerLoop<number, never> = (count, message, connection) => {
  if (message.type === "packet") void connection.send(message.data);
  return glisten.continue(count + 1);
};

it("serves, with the options in force and onClose called with the last state", async () => {
  let tell: (count: number) => void = () => {};
  const closed = new Promise<number>((resolve) => {
    tell = resolve;
  });
  await using server = await glisten.listen({
    port: 0,
    init,
    loop: echo,
    onClose: (count) => tell(count),
    onShutdown: undefined,
    maxConnections: 1,
    poolSize: undefined,
    maxMailbox: 10,
  });
  const peer = await dial(server);
  peer.socket.write("hello");
  expect(await peer.read(5)).toBe("hello");
  const second = await dial(server);
  await second.whenEnded();
  expect(server.info().rejected).toBe(1);
  peer.socket.end();
  expect(await closed).toBe(1);
});

it("serves TLS, and on a unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "glisten-listen-"));
  try {
    const { certfile, keyfile } = (await testCertificates()).server;
    await using secure = await glisten.listen({ port: 0, init, loop: echo, tls: { certfile, keyfile } });
    const peer = await dialTls(secure);
    peer.socket.write("hello");
    expect(await peer.read(5)).toBe("hello");
    peer.socket.destroy();
    const path = join(folder, "socket");
    await using unix = await glisten.listen({ path, everyone: true, init, loop: echo });
    expect(unix.address).toMatchObject({ type: "unix", path });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.each<[string, unknown, RegExp]>([
  ["nothing", undefined, /the options of listen must be an object, got undefined/],
  ["no place", { init, loop: echo }, /listen needs one of port, path, fd, systemd and memory/],
  [
    "two places",
    { init, loop: echo, port: 0, fd: 3 },
    /listen takes only one of port, path, fd, systemd and memory, got port and fd/,
  ],
  ["everyone without a path", { init, loop: echo, port: 0, everyone: true }, /everyone needs path/],
  ["a misspelt option", { init, loop: echo, prot: 0 }, /listen has no option "prot"/],
  ["no loop", { init, port: 0 }, /loop must be a function, got undefined/],
  ["onClose that is none", { init, loop: echo, port: 0, onClose: 5 }, /onClose must be a function, got 5/],
  ["a wrong option", { init, loop: echo, port: 0, poolSize: 0 }, /poolSize must be/],
  ["a wrong interface", { init, loop: echo, port: 0, bind: "example.com" }, /bind must be "localhost"/],
  ["a wrong mailbox", { init, loop: echo, port: 0, maxMailbox: 0 }, /maxMailbox must be/],
  ["a misspelt TLS option", { init, loop: echo, port: 0, tls: { certFile: "a" } }, /no option "certFile"/],
])("%s is a UsageError", async (_, options, message) => {
  const error: unknown = await glisten.listen(options as never).catch((reason) => reason);
  expect(error).toBeInstanceOf(glisten.UsageError);
  expect((error as Error).message).toMatch(message);
});

it("has an option for every option of the builder", async () => {
  for (const name of optionNames) {
    const options = { port: 0, init, loop: echo, [name]: -1 };
    await expect(glisten.listen(options as never), name).rejects.toThrow(glisten.UsageError);
  }
});
