import { once } from "node:events";
import type { Socket as NetSocket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { serve, type TestServer } from "./servers.ts";

let server: TestServer;
let socket: mug.Socket;
let peer: NetSocket;

beforeEach(async () => {
  server = await serve();
  socket = await mug.connect({ host: "127.0.0.1", port: server.port });
  peer = await server.next();
});

afterEach(async () => {
  await socket.close({ timeout: 0 });
  await server[Symbol.asyncDispose]();
});

test("reads to the FIN, closes by half-closing, and tells when it is over", async () => {
  const { readable, writable, closed } = socket.toWeb();
  let asked = "";
  peer.on("data", (data) => {
    asked += data;
  });
  const ended = once(peer, "end");
  const writer = writable.getWriter();
  await writer.write("hello ");
  await writer.write(Buffer.from("world"));
  await writer.close();
  await ended;
  expect(asked).toBe("hello world");
  peer.end("and back");
  expect(await text(readable)).toBe("and back");
  await closed;
});

test("pipes through transforms", async () => {
  peer.on("data", (data) => peer.write(data));
  peer.on("end", () => peer.end());
  const { readable, writable } = socket.toWeb();
  const source = new Blob(["some bytes"]).stream();
  const piped = source.pipeTo(writable);
  expect(await text(readable.pipeThrough(new TextDecoderStream()))).toBe("some bytes");
  await piped;
});

test("bring your own buffer", async () => {
  const { readable } = socket.toWeb();
  const reader = readable.getReader({ mode: "byob" });
  peer.end("abcdef");
  const first = await reader.read(new Uint8Array(4));
  expect(Buffer.from(first.value!).toString()).toBe("abcd");
  const second = await reader.read(new Uint8Array(4));
  expect(Buffer.from(second.value!).toString()).toBe("ef");
  expect((await reader.read(new Uint8Array(4))).done).toBe(true);
});

test("reads nothing ahead of demand", async () => {
  socket.toWeb();
  const pending = socket.receive({ timeout: 2000 });
  peer.write("still mine");
  expect(String(await pending)).toBe("still mine");
});

test("cancelling the readable ends its waiting and loses nothing", async () => {
  const { readable } = socket.toWeb();
  const reader = readable.getReader();
  const reading = reader.read();
  await reader.cancel();
  expect((await reading).done).toBe(true);
  const pending = socket.receive({ timeout: 2000 });
  peer.write("later");
  expect(String(await pending)).toBe("later");
});

test("aborting the writable resets", async () => {
  const { writable } = socket.toWeb();
  const reset = once(peer, "error");
  peer.resume();
  await writable.abort();
  const [error] = await reset;
  expect(error.code).toBe("ECONNRESET");
});

test("the peer's reset errors the readable with its code", async () => {
  const { readable } = socket.toWeb();
  const reading = readable.getReader().read();
  peer.resetAndDestroy();
  await expect(reading).rejects.toMatchObject({ code: "econnreset" });
});
