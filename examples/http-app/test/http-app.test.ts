import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("http-app");
});
afterAll(() => program?.stop());

const call = (method: string, path: string, body?: string) =>
  fetch(`${program.url}${path}`, { method, ...(body === undefined ? {} : { body }) });

test("a note's life: posted, listed, read, deleted", async () => {
  const created = await call("POST", "/notes", '{"text": "buy milk"}');
  expect(created.status).toBe(201);
  const path = created.headers.get("location") ?? "";
  const note = await created.json();
  expect(note).toMatchObject({ text: "buy milk" });
  expect(await (await call("GET", "/notes")).json()).toEqual([note]);
  expect(await (await call("GET", path)).json()).toEqual(note);
  expect((await call("DELETE", path)).status).toBe(204);
  expect((await call("GET", path)).status).toBe(404);
});

test.each([
  ["a body that is not JSON", "POST", "/notes", "not json", 422],
  ["a body of another shape", "POST", "/notes", '{"text": 3}', 422],
  ["a body that is too long", "POST", "/notes", `{"text": "${"x".repeat(70_000)}"}`, 413],
  ["a method that is not offered", "PUT", "/notes", "x", 405],
  ["an unknown path", "GET", "/nowhere", undefined, 404],
  ["an unknown note", "GET", "/notes/99", undefined, 404],
  ["an endless path", "GET", `/${"x".repeat(2_000)}`, undefined, 414],
])("%s", async (_, method, path, body, status) => {
  expect((await call(method, path, body)).status).toBe(status);
});

test("stops when it is told to", async () => {
  expect(await program.stop()).toBe(0);
});
