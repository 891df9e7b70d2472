// Files on real connections: what the writer makes of their bodies, and what is left behind when a client leaves.

import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compress, type Request, sendFile, staticFiles } from "../../src/index.ts";
import { descriptorsBelow } from "./file-request.ts";
import { readAnswer, type Served, serve, statuses } from "./serve.ts";

// For machines with other things to do.
const patience = { timeout: 10_000 };

const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 10)) % 256));
const sparse = 64 * 1024 * 1024;
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mist-file-sockets-"));
  await writeFile(join(root, "large.bin"), large);
  await writeFile(join(root, "large.txt"), large.toString("base64"));
  await writeFile(join(root, "small.txt"), "small");
  // More than all the buffers between two ends of a connection can hold; sparse, so that it costs no disk.
  await writeFile(join(root, "sparse.bin"), "");
  await truncate(join(root, "sparse.bin"), sparse);
});

afterAll(() => rm(root, { recursive: true }));

const fromRoot = (request: Request) => sendFile(request.path, { root, request });

function get(path: string, ...fields: string[]): string {
  return `${[`GET ${path} HTTP/1.1`, "host: localhost", ...fields].join("\r\n")}\r\n\r\n`;
}

describe("files on a connection", () => {
  it("arrive whole, large and small, many at once", async () => {
    const { url } = await serve(fromRoot);
    const fetchLarge = async () => {
      const answer = await fetch(new URL("/large.bin", url));
      expect(answer.headers.get("content-length")).toBe(String(large.length));
      expect(Buffer.from(await answer.arrayBuffer()).equals(large)).toBe(true);
    };
    const fetchSmall = async () => {
      const answer = await fetch(new URL("/small.txt", url));
      expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      expect(await answer.text()).toBe("small");
    };
    await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? fetchLarge() : fetchSmall())));
  });

  it("come in order when pipelined", async () => {
    const { ask } = await serve(fromRoot);
    const answers = await ask(get("/large.bin") + get("/small.txt") + get("/large.bin") + get("/small.txt"));
    expect(statuses(answers)).toEqual([200, 200, 200, 200]);
    expect(answers.length).toBeGreaterThan(2 * large.length);
    expect(answers.endsWith("\r\n\r\nsmall")).toBe(true);
  });

  it("send a head and nothing else for HEAD, and keep the connection", async () => {
    const { connect } = await serve(fromRoot);
    const socket = await connect();
    for (const name of ["large.bin", "small.txt"]) {
      await socket.send(get(`/${name}`).replace("GET", "HEAD"));
      const answer = await readAnswer(socket, "HEAD");
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-length")).toBe(name === "large.bin" ? String(large.length) : "5");
    }
    await socket.send(get("/small.txt"));
    expect((await readAnswer(socket)).body).toBe("small");
    await socket.close();
  });

  it("answer ranges and conditions to a real client", async () => {
    const { url } = await serve(fromRoot);
    const target = new URL("/large.bin", url);
    const part = await fetch(target, { headers: { range: "bytes=1000000-1999999" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([
      206,
      `bytes 1000000-1999999/${large.length}`,
    ]);
    expect(Buffer.from(await part.arrayBuffer()).equals(large.subarray(1_000_000, 2_000_000))).toBe(true);
    const several = await fetch(target, { headers: { range: "bytes=0-0,1000000-1999999,-1" } });
    const content = await several.arrayBuffer();
    expect([several.status, several.headers.get("content-length")]).toEqual([
      206,
      String(content.byteLength),
    ]);
    const etag = part.headers.get("etag")!;
    const unchanged = await fetch(target, { headers: { "if-none-match": etag } });
    expect([unchanged.status, await unchanged.text()]).toEqual([304, ""]);
  });

  it.each([
    ["/missing", 404],
    ["/", 404],
    ["/../small.txt", 404],
    ["/%2e%2e/small.txt", 404],
    ["/%00", 404],
  ])("that cannot be had are refused: %s", async (path, status) => {
    const { ask, reports } = await serve(fromRoot);
    expect(statuses(await ask(get(path)))).toEqual([status]);
    expect(reports).toEqual([]);
  });

  it("that shrink under way break the message off", async () => {
    await writeFile(join(root, "shrinking.bin"), large);
    const { connect, reports } = await serve(fromRoot);
    const socket = await connect();
    await socket.send(get("/shrinking.bin"));
    await socket.receiveUntil("\r\n\r\n", patience);
    await truncate(join(root, "shrinking.bin"), 1000);
    let received = 0;
    await expect(
      (async () => {
        while (received < large.length) received += (await socket.receive({ timeout: 10_000 })).length;
      })(),
    ).rejects.toThrow();
    expect(received).toBeLessThan(large.length);
    await expect.poll(() => reports.length, patience).toBe(1);
    expect(reports[0]).toMatchObject({ during: "body", error: { name: "FileError" } });
  });
});

describe("clients that leave", () => {
  const descriptors = () => descriptorsBelow(root);

  async function leaveMidway(served: Served, path: string, ...fields: string[]): Promise<void> {
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const socket = await served.connect();
        await socket.send(get(path, ...fields));
        await socket.receiveUntil("\r\n\r\n", patience);
        if (i % 2 === 0) await socket.close();
        else await socket.reset();
      }),
    );
  }

  it("or read nothing cost two buffers each, and one descriptor until they leave", async () => {
    const served = await serve(fromRoot);
    const memoryBefore = process.memoryUsage().arrayBuffers;
    const sockets = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = await served.connect();
        await socket.send(get("/sparse.bin"));
        return socket;
      }),
    );
    if (process.platform === "linux") await expect.poll(descriptors, patience).toBe(20);
    // Another request through the same server is done when theirs have come to a standstill, or nearly so.
    expect(await (await fetch(new URL("/small.txt", served.url))).text()).toBe("small");
    expect(process.memoryUsage().arrayBuffers - memoryBefore).toBeLessThan(20 * 1024 * 1024);
    await Promise.all(sockets.map((socket) => socket.reset()));
    await expect.poll(descriptors, patience).toBe(0);
    expect(served.reports).toEqual([]);
  });

  it.each([
    ["a file", "/sparse.bin", fromRoot],
    ["a range", "/sparse.bin", fromRoot],
    ["a compressed file", "/large.txt", compress(fromRoot)],
  ])("leave no descriptor of %s behind", async (_name, path, handler) => {
    const served = await serve(handler);
    await leaveMidway(served, path, "accept-encoding: gzip", "range: bytes=1-999999,2000000-");
    await leaveMidway(served, path, "accept-encoding: gzip");
    await expect.poll(descriptors, patience).toBe(0);
    const answer = await fetch(new URL("/small.txt", served.url));
    expect(await answer.text()).toBe("small");
    expect(served.reports).toEqual([]);
  });
});

describe("handlers around files", () => {
  it("serve a directory, compressed, to a client that decodes", async () => {
    const { url } = await serve(compress(staticFiles({ root, cacheControl: "no-cache" })));
    const answer = await fetch(new URL("/large.txt", url));
    expect(answer.headers.get("content-encoding")).toMatch(/^(br|gzip)$/);
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    expect((await answer.text()) === large.toString("base64")).toBe(true);
  });

  it("give HEAD the fields of GET", async () => {
    const { connect } = await serve(compress(staticFiles({ root })));
    const socket = await connect();
    const ask = async (method: string) => {
      await socket.send(get("/large.txt", "accept-encoding: gzip").replace("GET", method));
      const { headers } = await readAnswer(socket, method);
      return [...headers].filter(([name]) => name !== "date" && name !== "transfer-encoding");
    };
    expect(await ask("HEAD")).toEqual(await ask("GET"));
    await socket.close();
  });
});
