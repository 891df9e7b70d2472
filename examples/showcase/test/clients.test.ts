// The same server, met by curl, undici and fetch.

import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Program, runProgram, startProgram } from "../../program.ts";

const folder = mkdtempSync(join(tmpdir(), "clients-"));
let program: Program;
beforeAll(async () => {
  program = await startProgram("showcase");
});
afterAll(async () => {
  await program?.stop();
  rmSync(folder, { recursive: true });
});

const curl = async (...args: string[]) => (await promisify(execFile)("curl", ["-s", ...args])).stdout;

describe("what the start prints to try", () => {
  test("is printed", () => {
    for (const path of ["/echo", "/upload", "/live", "/primes?count=20", "/files/main.ts"])
      expect(program.output()).toContain(`${program.url}${path}`);
  });

  test("curl posts and hears the echo", async () => {
    expect(await curl("-d", "hello", `${program.url}/echo`)).toBe("hello");
  });

  test("curl uploads a file", async () => {
    const content = randomBytes(300_000);
    writeFileSync(join(folder, "file"), content);
    const answer = JSON.parse(await curl("-T", join(folder, "file"), `${program.url}/upload`));
    expect(answer).toMatchObject({
      bytes: 300_000,
      sha256: createHash("sha256").update(content).digest("hex"),
    });
  });

  test("curl reads primes", async () => {
    expect((await curl(`${program.url}/primes?count=20`)).trim().split("\n").map(Number).at(-1)).toBe(71);
  });

  test("curl reads a part of a file", async () => {
    const source = readFileSync(new URL("../src/main.ts", import.meta.url), "utf8");
    expect(await curl("-r", "0-119", `${program.url}/files/main.ts`)).toBe(source.slice(0, 120));
  });
});

test("undici keeps one connection for many requests, chunked bodies among them", async () => {
  async function* pieces() {
    for (let i = 0; i < 100; i++) yield `${i},`;
  }
  for (let i = 0; i < 5; i++) {
    const { statusCode, body } = await request(`${program.url}/echo`, {
      method: "POST",
      body: Readable.from(pieces()),
    });
    expect([statusCode, (await body.text()).length]).toEqual([200, 290]);
  }
});

test("fetch gets the page with its type", async () => {
  const response = await fetch(program.url);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(await response.text()).toContain("<title>mist");
});

test.each([
  ["GET", "/nowhere", 404],
  ["DELETE", "/echo", 405],
  ["GET", "/files/../package.json", 404],
  ["GET", "/primes?count=0", 400],
  ["POST", "/echo", 413],
])("%s %s: %i", async (method, path, status) => {
  const response = await fetch(program.url + path, {
    method,
    ...(method === "POST" ? { body: "x".repeat(2 << 20) } : {}),
  });
  expect(response.status).toBe(status);
});

test("a live feed brings the figures of the last minute, then new ones", async () => {
  const control = new AbortController();
  const response = await fetch(`${program.url}/live`, { signal: control.signal });
  let text = "";
  for await (const piece of response.body!) {
    text += new TextDecoder().decode(piece);
    if (text.split("\n\n").length > 2) break;
  }
  control.abort();
  const [history, figures] = [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => JSON.parse(data!));
  expect(history).toBeInstanceOf(Array);
  expect(figures).toMatchObject({ connections: expect.any(Number), bytesIn: expect.any(Number) });
  expect(figures.requests).toBeGreaterThan(0);
});

test("a taken port is one clear line", async () => {
  const taken = createServer().listen(0);
  const { port } = taken.address() as { port: number };
  const { output, code } = await runProgram("showcase", { PORT: String(port) });
  taken.close();
  expect(output.trim()).toBe(`Port ${port} is taken. Choose another: PORT=${port + 1}`);
  expect(code).toBe(1);
});

test("so is a PORT that is none", async () => {
  const { output, code } = await runProgram("showcase", { PORT: "eighty" });
  expect(output.trim()).toBe('PORT is a number from 0 to 65535, not "eighty".');
  expect(code).toBe(1);
});

test("a stop lets an upload that is under way finish", async () => {
  const own = await startProgram("showcase");
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  async function* slow() {
    yield "first,";
    await held;
    yield "second";
  }
  const answer = request(`${own.url}/echo`, { method: "POST", body: Readable.from(slow()) });
  await expect.poll(async () => (await request(`${own.url}/`)).statusCode).toBe(200);
  const stopped = own.stop();
  await expect
    .poll(() =>
      fetch(own.url).then(
        () => "open",
        () => "closed",
      ),
    )
    .toBe("closed");
  release();
  const { statusCode, body } = await answer;
  expect([statusCode, await body.text()]).toEqual([200, "first,second"]);
  expect(await stopped).toBe(0);
  expect(own.output()).toContain("Stopped: ");
});
