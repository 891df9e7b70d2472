import { readFileSync } from "node:fs";
import { Client, request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

const tide = readFileSync(new URL("../public/tide.txt", import.meta.url), "utf8");
let program: Program;
beforeAll(async () => {
  program = await startProgram("file-server");
});
afterAll(() => program?.stop());

test("serves a file with its type, and the folder's index", async () => {
  const file = await request(`${program.url}/tide.txt`);
  expect(file.headers["content-type"]).toBe("text/plain; charset=utf-8");
  expect(await file.body.text()).toBe(tide);
  const index = await request(program.url);
  expect(index.headers["content-type"]).toBe("text/html; charset=utf-8");
  expect(await index.body.text()).toContain("tide.txt");
});

test("serves a range", async () => {
  const { statusCode, headers, body } = await request(`${program.url}/tide.txt`, {
    headers: { range: "bytes=0-4" },
  });
  expect([statusCode, headers["content-range"]]).toEqual([206, `bytes 0-4/${tide.length}`]);
  expect(await body.text()).toBe("06:12");
});

test("answers a known validator with 304", async () => {
  const { headers, body } = await request(`${program.url}/tide.txt`, { method: "HEAD" });
  await body.dump();
  const again = await request(`${program.url}/tide.txt`, {
    headers: { "if-none-match": String(headers["etag"]) },
  });
  expect([again.statusCode, await again.body.text()]).toEqual([304, ""]);
});

test.each(["/../src/main.ts", "/%2e%2e/src/main.ts", "/..%2fsrc/main.ts", "/nothing"])(
  "%s is 404",
  async (path) => {
    // Not fetch and not request: they would tidy the path before it is sent.
    const client = new Client(program.url);
    const { statusCode, body } = await client.request({ path, method: "GET" });
    await body.dump();
    await client.close();
    expect(statusCode).toBe(404);
  },
);
