import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

const folder = mkdtempSync(join(tmpdir(), "upload-test-"));
let program: Program;
beforeAll(async () => {
  program = await startProgram("upload", { FOLDER: folder });
});
afterAll(async () => {
  await program?.stop();
  rmSync(folder, { recursive: true });
});

test("a file arrives whole, and its progress is told meanwhile", async () => {
  const content = randomBytes(3_000_000);
  const feed = await request(`${program.url}/progress`);
  const answer = await request(`${program.url}/film.bin`, { method: "PUT", body: content });
  expect([answer.statusCode, await answer.body.text()]).toEqual([201, "film.bin: 3000000 bytes\n"]);
  expect(readFileSync(join(folder, "film.bin")).equals(content)).toBe(true);
  let told = "";
  for await (const piece of feed.body) {
    told += piece;
    if (told.includes('"received":3000000')) break;
  }
  expect(told).toMatch(/^event: ?progress$/m);
});

test("an upload that breaks off leaves nothing behind", async () => {
  async function* broken() {
    yield randomBytes(100_000);
    throw new Error("the client broke off");
  }
  await expect(
    request(`${program.url}/half.bin`, { method: "PUT", body: Readable.from(broken()) }),
  ).rejects.toThrow();
  await expect.poll(() => readdirSync(folder)).toEqual(["film.bin"]);
});

test("a name that would leave the folder is refused", async () => {
  const answer = await request(`${program.url}/..%2fescape`, { method: "PUT", body: "x" });
  expect(answer.statusCode).toBe(400);
  await answer.body.dump();
});
