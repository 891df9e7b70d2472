import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("hono-app");
});
afterAll(() => program?.stop());

const get = (path: string, init?: RequestInit) => fetch(`${program.url}${path}`, init);

test("routes, middleware, background work", async () => {
  const hello = await get("/");
  expect(await hello.text()).toMatch(/^Hello, [\d.:a-f]+!$/);
  const headers = { "if-none-match": hello.headers.get("etag") ?? "" };
  expect((await get("/", { headers })).status).toBe(304);
  expect(await (await get("/visits/ada")).json()).toEqual({ name: "ada", before: 0 });
  expect(await (await get("/visits/bob")).json()).toEqual({ name: "bob", before: 1 });
});

test("a body, and one that is too long", async () => {
  expect(await (await get("/shout", { method: "POST", body: "hello" })).text()).toBe("HELLO");
  expect((await get("/shout", { method: "POST", body: "x".repeat(1025) })).status).toBe(413);
});

test("an event stream", async () => {
  const events = await (await get("/count")).text();
  expect(events.match(/data: \d/g)).toEqual(["data: 3", "data: 2", "data: 1"]);
});

test("a WebSocket, which a stop of the server closes", async () => {
  const socket = new WebSocket(`ws://localhost:${program.port}/ws`);
  expect(String((await once(socket, "message"))[0])).toBe("welcome");
  socket.send("hello");
  expect(String((await once(socket, "message"))[0])).toBe("you said hello");
  const closed = once(socket, "close");
  expect(await program.stop()).toBe(0);
  expect((await closed)[0]).toBe(1001);
});
