// How a connection ends behind an answer: at once, or with a last listen to the peer (RFC 9112 §9.6).

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "./serve.ts";

const large = "x".repeat(8 * 1024 * 1024);
const get = (path: string, ...fields: string[]) =>
  `${[`GET ${path} HTTP/1.1`, "host: a", ...fields].join("\r\n")}\r\n\r\n`;
const close = "connection: close";

async function open(): Promise<Socket> {
  const { port } = await serve(async (request) => {
    if (request.method === "POST") await mist.readBody(request, { maxBodyLimit: 100 });
    return mist.response(200).setBody(mist.bytes(request.path === "/large" ? large : "ok"));
  });
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Everything up to the server's FIN. */
async function untilEnd(socket: Socket): Promise<string> {
  let text = "";
  for await (const piece of socket.setEncoding("latin1").iterator({ destroyOnReturn: false })) text += piece;
  return text;
}

/** Whether somebody still listens behind the server's FIN: the kernel refuses what comes for a socket that is gone. */
async function isHeard(socket: Socket): Promise<boolean> {
  socket.on("error", () => {});
  for (let i = 0; i < 25 && !socket.destroyed; i++) {
    socket.write("x");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return !socket.destroyed;
}

it.each([
  ["says that it closes", get("/", close)],
  ["is content with one answer", "GET / HTTP/1.0\r\n\r\n"],
  ["closes behind its content", `POST / HTTP/1.1\r\nhost: a\r\n${close}\r\ncontent-length: 3\r\n\r\nabc`],
])("lets go at once of a client that %s", async (_, request) => {
  const socket = await open();
  socket.write(request);
  expect(await untilEnd(socket)).toMatch(/^HTTP\/1.1 200 OK\r\n.*\r\n\r\nok$/s);
  expect(await isHeard(socket)).toBe(false);
});

it("listens on where the client had more to say", async () => {
  const socket = await open();
  socket.write(`${get("/", close)}GET /more`);
  expect(await untilEnd(socket)).toMatch(/\r\n\r\nok$/);
  expect(await isHeard(socket)).toBe(true);
});

it("loses nothing of an answer the kernel could not take at once", async () => {
  const socket = await open();
  socket.write(get("/large", close));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const answer = await untilEnd(socket);
  expect(answer.slice(answer.indexOf("\r\n\r\n") + 4) === large).toBe(true);
});
