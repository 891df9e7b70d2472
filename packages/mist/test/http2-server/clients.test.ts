// The clients people have, each with everything it can do: what arrives is compared by hash.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Agent, request as undici } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

const run = promisify(execFile);

/** 8 MiB that no part of the way can compress, repeat or lose without being seen. */
const LARGE = Buffer.alloc(8 * 1024 * 1024);
for (let i = 0, state = 1; i < LARGE.length; i += 4) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  LARGE.writeInt32LE(state, i);
}
const hash = (...pieces: readonly Uint8Array[]): string => {
  const sum = createHash("sha256");
  for (const piece of pieces) sum.update(piece);
  return sum.digest("hex");
};
const LARGE_HASH = hash(LARGE);

interface Running {
  readonly url: string;
  /** Resolves when the request for `/never` has been cancelled. */
  readonly cancelled: Promise<void>;
}

/** Everything the clients ask for; over TLS unless the client can only do without. */
async function everything(overTls: boolean): Promise<Running> {
  let cancel = () => {};
  const cancelled = new Promise<void>((resolve) => {
    cancel = resolve;
  });
  const handler: mist.Handler = async (request) => {
    switch (request.path) {
      case "/download":
        return mist.response(200).setBody(mist.chunked(slices(LARGE, 50_000)));
      case "/upload": {
        const sum = createHash("sha256");
        for await (const piece of mist.stream(request)) sum.update(piece);
        return mist.text(sum.digest("hex"));
      }
      case "/304":
        return mist.response(304).setHeader("etag", '"x"');
      case "/trailers":
        return mist
          .response(200)
          .setBody(mist.chunked(["a", "b"]))
          .withTrailers(() => [["x-sum", "2"]]);
      case "/hints":
        mist.sendInformational(request, 103, [["link", "</a.css>; rel=preload"]]);
        return mist.text("hinted");
      case "/never":
        request.signal.addEventListener("abort", cancel);
        return await new Promise<never>(() => {});
      default:
        return mist.text(`${request.method} ${request.version} ${request.getHeader("x-client") ?? ""}`);
    }
  };
  const pem = overTls ? await certificate() : undefined;
  const { url } = await serve(handler, (builder) => (pem === undefined ? builder : builder.withTls(pem)));
  return { url, cancelled };
}

function* slices(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** What a client has got. */
interface Got {
  readonly status: number;
  readonly body: Buffer;
  /** Everything else it shows: fields, trailers, informational responses. */
  readonly said: string;
}

interface Client {
  readonly overTls: boolean;
  readonly cannot?: readonly string[];
  fetch(url: string, method?: string, body?: Buffer, fields?: Record<string, string>): Promise<Got>;
  /** Asks, and goes before it is answered. */
  leave(url: string): Promise<unknown>;
}

/** A file that is gone when the test is over. */
function fileWith(content: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), "mist-clients-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "content");
  writeFileSync(file, content);
  return file;
}

const maxBuffer = LARGE.length * 2;
const flags = (fields: Record<string, string>) =>
  Object.entries(fields).flatMap(([n, v]) => ["-H", `${n}: ${v}`]);

const curl: Client = {
  overTls: true,
  async fetch(url, method = "GET", body, fields = {}) {
    const folder = fileWith(body ?? Buffer.alloc(0));
    const heads = `${folder}.heads`;
    const args = ["-sk", "--http2", "--max-time", "30", "-D", heads, ...flags(fields)];
    if (method === "HEAD") args.push("--head", "-o", "/dev/null");
    if (body !== undefined) args.push("-X", method, "--data-binary", `@${folder}`);
    const { stdout } = await run("curl", [...args, url], { encoding: "buffer", maxBuffer });
    const said = (await run("cat", [heads])).stdout;
    return { status: Number([...said.matchAll(/^HTTP\/2 (\d+)/gm)].at(-1)?.[1]), body: stdout, said };
  },
  leave: (url) => run("curl", ["-sk", "--http2", "--max-time", "0.3", url]).catch(() => {}),
};

const nghttp: Client = {
  overTls: false,
  cannot: ["expect"],
  async fetch(url, method = "GET", body, fields = {}) {
    const args = ["--timeout=30", "-w", "20", "-W", "20", "-H", `:method: ${method}`, ...flags(fields)];
    if (body !== undefined) args.push("-d", fileWith(body));
    const { stdout } = await run("nghttp", [...args, url], { encoding: "buffer", maxBuffer });
    const shown = await run("nghttp", ["-nv", ...args, url], { maxBuffer: 4 * maxBuffer });
    const status = [...shown.stdout.matchAll(/recv \(stream_id=\d+\) :status: (\d+)/g)].at(-1)?.[1];
    return { status: Number(status), body: stdout, said: shown.stdout };
  },
  leave: (url) => run("nghttp", ["--timeout=1", url]).catch(() => {}),
};

function dispatcherForTest(): Agent {
  const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
  onTestFinished(() => dispatcher.destroy());
  return dispatcher;
}

const undiciClient: Client = {
  overTls: true,
  // Over HTTP/2 it shows neither trailers nor interim responses.
  cannot: ["expect", "trailers", "early hints"],
  async fetch(url, method = "GET", body, fields = {}) {
    const infos: unknown[] = [];
    const {
      statusCode,
      headers,
      trailers,
      body: content,
    } = await undici(url, {
      dispatcher: dispatcherForTest(),
      method: method as "GET",
      body: body ?? null,
      headers: fields,
      onInfo: (info) => infos.push(info),
    });
    const bytes = Buffer.from(await content.arrayBuffer());
    return { status: statusCode, body: bytes, said: JSON.stringify([headers, trailers, infos]) };
  },
  async leave(url) {
    const controller = new AbortController();
    const asked = undici(url, { dispatcher: dispatcherForTest(), signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(asked).rejects.toThrow();
  },
};

const nodeClient: Client = {
  overTls: false,
  async fetch(url, method = "GET", body, fields = {}) {
    const client = await session(url);
    const asked = body === undefined ? { method, headers: fields } : { method, headers: fields, body };
    const {
      status,
      headers,
      trailers,
      informational,
      body: content,
    } = await ask(client, new URL(url).pathname, asked);
    return { status, body: content, said: JSON.stringify([headers, trailers, informational]) };
  },
  async leave(url) {
    const client = await session(url);
    const stream = client.request({ ":path": new URL(url).pathname });
    stream.on("error", () => {});
    await new Promise((resolve) => client.ping(resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await once(stream, "close");
  },
};

const installed = async (command: string) =>
  run(command, ["--version"]).then(
    () => true,
    () => false,
  );

describe.each([
  ["curl", curl, await installed("curl")],
  ["nghttp", nghttp, await installed("nghttp")],
  ["undici", undiciClient, true],
  ["node:http2", nodeClient, true],
] as const)("%s", (_, client, isInstalled) => {
  const can = (what: string) => isInstalled && !client.cannot?.includes(what);

  test.runIf(isInstalled)("GET, HEAD and 304", async () => {
    const { url } = await everything(client.overTls);
    const got = await client.fetch(`${url}/`, "GET", undefined, { "x-client": "yes" });
    expect([got.status, got.body.toString()]).toEqual([200, "GET 2 yes"]);
    const head = await client.fetch(`${url}/`, "HEAD");
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.said).toMatch(/content-length\W+7/);
    const notModified = await client.fetch(`${url}/304`);
    expect([notModified.status, notModified.body.length]).toEqual([304, 0]);
  });

  test.runIf(isInstalled)("uploads and downloads of 8 MiB", async () => {
    const { url } = await everything(client.overTls);
    const upload = client.fetch(`${url}/upload`, "POST", LARGE);
    const downloads = [client.fetch(`${url}/download`), client.fetch(`${url}/download`)];
    expect((await upload).body.toString()).toBe(LARGE_HASH);
    for (const { body } of await Promise.all(downloads)) expect(hash(body)).toBe(LARGE_HASH);
  });

  test.runIf(can("trailers"))("trailers", async () => {
    const { url } = await everything(client.overTls);
    const trailed = await client.fetch(`${url}/trailers`);
    expect(trailed.body.toString()).toBe("ab");
    expect(trailed.said).toMatch(/x-sum\W+2/);
  });

  test.runIf(can("early hints"))("early hints", async () => {
    const { url } = await everything(client.overTls);
    const hinted = await client.fetch(`${url}/hints`);
    expect([hinted.status, hinted.body.toString()]).toEqual([200, "hinted"]);
    expect(hinted.said).toMatch(/103/);
    expect(hinted.said).toContain("</a.css>; rel=preload");
  });

  test.runIf(can("expect"))("an expectation of 100", async () => {
    const { url } = await everything(client.overTls);
    const got = await client.fetch(`${url}/upload`, "POST", LARGE.subarray(0, 5000), {
      expect: "100-continue",
    });
    expect(got.body.toString()).toBe(hash(LARGE.subarray(0, 5000)));
  });

  test.runIf(isInstalled)("a request that is cancelled", async () => {
    const { url, cancelled } = await everything(client.overTls);
    await client.leave(`${url}/never`);
    await cancelled;
  });
});

describe.skipIf(!(await installed("h2load")))("h2load", () => {
  test.each([
    ["ten thousand requests", [], 10_000],
    ["uploads", ["-d", "upload"], 500],
  ])("%s, all of them answered", async (_, more, count) => {
    const { url } = await everything(false);
    const args = more.length === 0 ? [] : ["-d", fileWith(LARGE.subarray(0, 100_000))];
    const path = more.length === 0 ? "/" : "/upload";
    const { stdout } = await run("h2load", ["-n", String(count), "-c", "8", "-m", "32", ...args, url + path]);
    expect(stdout).toContain(`${count} succeeded, 0 failed, 0 errored, 0 timeout`);
  });
});

describe("the priority field (RFC 9218)", () => {
  /** Two downloads of 8 MiB on one connection; which is there first? */
  async function race(first: string, second: string): Promise<{ order: string[]; overlap: boolean }> {
    const { url } = await everything(false);
    const client = await session(url, { settings: { initialWindowSize: 1 << 20 } });
    client.setLocalWindowSize(1 << 21);
    const order: string[] = [];
    let got = 0;
    const streams = [first, second].map((priority) => {
      const stream = client.request({ ":path": "/download", priority });
      stream.on("data", (piece: Buffer) => {
        if (priority === second && order.length === 0) got += piece.length;
      });
      return answerOf(stream).then(({ body }) => {
        expect(hash(body)).toBe(LARGE_HASH);
        order.push(priority);
      });
    });
    await Promise.all(streams);
    return { order, overlap: got > LARGE.length / 4 };
  }

  test("what is urgent overtakes what is not", async () => {
    expect((await race("u=7", "u=0")).order).toEqual(["u=0", "u=7"]);
  });

  test("incremental responses come side by side", async () => {
    expect((await race("u=3, i", "u=3, i=?1")).overlap).toBe(true);
  });
});
