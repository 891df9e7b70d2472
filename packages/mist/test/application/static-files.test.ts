import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Response } from "../../src/http/response.ts";
import {
  type StaticFile,
  type StaticFilesOptions,
  staticFiles,
} from "../../src/server/files/static-files.ts";
import { contentOf, descriptorsBelow, fakeRequest } from "../server/file-request.ts";

const script = "console.log(1);".repeat(20);
let directory: string;
let root: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mist-static-"));
  root = join(directory, "public");
  await mkdir(join(root, "docs/deep"), { recursive: true });
  await mkdir(join(root, "bare"));
  await mkdir(join(directory, "outside"));
  await writeFile(join(directory, "outside/index.html"), "outside");
  await symlink("../outside", join(root, "link"));
  await writeFile(join(root, "index.html"), "home");
  await writeFile(join(root, "docs/index.html"), "docs");
  await writeFile(join(root, "docs/index.htm"), "old docs");
  await writeFile(join(root, "bare/file.txt"), "bare");
  await writeFile(join(root, "photo.jpg"), "photo");
  await writeFile(join(root, "photo.jpg.gz"), gzipSync("photo"));
  await writeFile(join(root, "app.js"), script);
  await writeFile(join(root, "app.js.br"), brotliCompressSync(script));
  await writeFile(join(root, "app.js.gz"), gzipSync(script));
  await writeFile(join(root, "plain.css"), "p{}");
  await writeFile(join(root, ".htpasswd"), "hidden");
});

afterAll(() => rm(directory, { recursive: true }));

function fetchFrom(
  options: Omit<StaticFilesOptions, "root">,
  target: string,
  headers: Record<string, string> = {},
  method = "GET",
) {
  return staticFiles({ root, ...options })(fakeRequest(target, headers, method));
}

describe("files and directories", () => {
  it.each([
    ["/", "home", "text/html; charset=utf-8"],
    ["/index.html", "home", "text/html; charset=utf-8"],
    ["/docs/", "docs", "text/html; charset=utf-8"],
    ["/docs/?a=b", "docs", "text/html; charset=utf-8"],
    ["/bare/file.txt", "bare", "text/plain; charset=utf-8"],
    ["/photo.jpg", "photo", "image/jpeg"],
  ])("serves %s", async (target, content, type) => {
    const answer = await fetchFrom({}, target);
    expect(answer.status).toBe(200);
    expect(answer.getHeader("content-type")).toBe(type);
    expect(String(await contentOf(answer))).toBe(content);
  });

  it.each([
    ["/docs", "/docs/"],
    ["/docs?a=b&c", "/docs/?a=b&c"],
    ["/docs?", "/docs/?"],
    ["/d%6Fcs", "/d%6Fcs/"],
    ["/docs/deep", "/docs/deep/"],
    ["/bare", "/bare/"],
  ])("redirects %s to %s", async (target, location) => {
    const answer = await fetchFrom({}, target);
    expect([answer.status, answer.getHeader("location")]).toEqual([301, location]);
  });

  it.each([
    "//docs",
    "//example.org/..%2f",
    "//example.org/%2e%2e",
    "/\\example.org",
    "/%5cexample.org",
    "/%2fexample.org",
    "/docs//deep",
    "/docs/../docs",
    "/../outside/index.html",
    "/%2e%2e/outside/index.html",
    "/bare/",
    "/docs/deep/",
    "/index.html/",
    "/.htpasswd",
    "/nothing",
    "/nothing/",
  ])("knows no %s", async (target) => {
    const answer = await fetchFrom({}, target);
    expect(answer.status).toBe(404);
    expect(answer.getHeader("location")).toBeUndefined();
  });

  it.each(["/link", "/link/", "/link/index.html"])("follows no link out: %s", async (target) => {
    expect((await fetchFrom({}, target)).status).toBe(403);
  });

  it("takes other index names, several, or none", async () => {
    const index = ["missing.html", "index.htm"];
    expect(String(await contentOf(await fetchFrom({ index }, "/docs/")))).toBe("old docs");
    for (const target of ["/", "/docs", "/docs/"]) {
      expect((await fetchFrom({ index: false }, target)).status).toBe(404);
    }
    expect((await fetchFrom({ index: false }, "/index.html")).status).toBe(200);
  });

  it("treats hidden names by the policy", async () => {
    expect((await fetchFrom({ dotfiles: "deny" }, "/.htpasswd")).status).toBe(403);
    expect((await fetchFrom({ dotfiles: "allow" }, "/.htpasswd")).status).toBe(200);
  });

  it.each([
    ["/assets/docs/", 200],
    ["/assets/docs", 301],
    ["/assets", 301],
    ["/assets/", 200],
    ["/assetsdocs/", 404],
    ["/docs/", 404],
    ["/assets//docs/", 404],
    ["/assets/../docs/", 404],
  ])("below a prefix, %s gives %d", async (target, status) => {
    for (const prefix of ["/assets", "/assets/"]) {
      const answer = await fetchFrom({ prefix }, target);
      expect(answer.status).toBe(status);
      if (status === 301) expect(answer.getHeader("location")).toBe(`${target}/`);
    }
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "get"])("refuses %s", async (method) => {
    const answer = await fetchFrom({}, "/", {}, method);
    expect([answer.status, answer.getHeader("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("leaves to the fallback what it has no file for", async () => {
    const fallback = () => new Response(299, [], { kind: "empty" as const });
    expect((await fetchFrom({ fallback }, "/nothing")).status).toBe(299);
    expect((await fetchFrom({ fallback }, "/", {}, "POST")).status).toBe(299);
    expect((await fetchFrom({ fallback }, "/")).status).toBe(200);
    expect((await fetchFrom({ fallback }, "/link/")).status).toBe(403);
  });

  it("answers conditions and ranges", async () => {
    const etag = (await fetchFrom({}, "/app.js")).getHeader("etag")!;
    expect((await fetchFrom({}, "/app.js", { "if-none-match": etag })).status).toBe(304);
    const part = await fetchFrom({}, "/app.js", { range: "bytes=0-6" });
    expect([part.status, String(await contentOf(part))]).toEqual([206, "console"]);
  });

  it.each([
    [{ root: "" }, "root"],
    [{ root: ".", prefix: "assets" }, "prefix"],
    [{ root: ".", prefix: "//example.org" }, "prefix"],
    [{ root: ".", index: "../index.html" }, "index"],
    [{ root: ".", precompressed: ["rar"] as never }, "precompressed"],
  ])("refuses the options %j", (options, message) => {
    expect(() => staticFiles(options)).toThrow(message);
  });
});

describe("cache-control", () => {
  it("is sent with what a cache keeps", async () => {
    const cacheControl = "public, max-age=60";
    const whole = await fetchFrom({ cacheControl }, "/app.js");
    expect(whole.getHeader("cache-control")).toBe(cacheControl);
    const conditions = { "if-none-match": whole.getHeader("etag")! };
    expect((await fetchFrom({ cacheControl }, "/app.js", conditions)).getHeader("cache-control")).toBe(
      cacheControl,
    );
    expect((await fetchFrom({ cacheControl }, "/nothing")).getHeader("cache-control")).toBeUndefined();
  });

  it("may depend on the file", async () => {
    const seen: StaticFile[] = [];
    const cacheControl = (file: StaticFile) => {
      seen.push(file);
      return file.path.endsWith(".html") ? "no-cache" : undefined;
    };
    expect((await fetchFrom({ cacheControl }, "/docs/")).getHeader("cache-control")).toBe("no-cache");
    expect((await fetchFrom({ cacheControl }, "/bare/file.txt")).getHeader("cache-control")).toBeUndefined();
    expect(seen[0]).toMatchObject({
      path: "docs/index.html",
      size: 4,
      contentType: "text/html; charset=utf-8",
    });
    expect(seen[0]!.modified).toBeInstanceOf(Date);
  });

  it("gives the descriptor back when the function throws", async () => {
    const cacheControl = () => {
      throw new Error("no idea");
    };
    await expect(fetchFrom({ cacheControl }, "/app.js")).rejects.toThrow("no idea");
    expect(descriptorsBelow(directory)).toBe(0);
  });
});

describe("precompressed siblings", () => {
  it.each([
    [undefined, undefined],
    ["br, gzip", "br"],
    ["gzip, br", "br"],
    ["br;q=0.5, gzip", "gzip"],
    ["zstd", undefined],
    ["zstd, gzip;q=0.1", "gzip"],
    ["zstd, gzip;q=0.1, identity;q=0", "gzip"],
    ["identity, gzip;q=0.5", undefined],
    ["gzip;q=0", undefined],
    ["*", "br"],
  ])("accept-encoding %s gives %s", async (accept, coding) => {
    const headers: Record<string, string> = accept === undefined ? {} : { "accept-encoding": accept };
    const answer = await fetchFrom({ precompressed: true }, "/app.js", headers);
    expect(answer.status).toBe(200);
    expect(answer.getHeader("content-encoding")).toBe(coding);
    expect(answer.getHeader("vary")).toBe("accept-encoding");
    expect(answer.getHeader("content-type")).toBe("text/javascript; charset=utf-8");
    const codings = { br: brotliCompressSync(script), gzip: gzipSync(script), identity: Buffer.from(script) };
    expect(await contentOf(answer)).toEqual(codings[(coding ?? "identity") as keyof typeof codings]);
  });

  it("are tagged each on its own, and 304 varies too", async () => {
    const tags = new Set<string>();
    for (const accept of ["br", "gzip", "identity"]) {
      const headers = { "accept-encoding": accept };
      const etag = (await fetchFrom({ precompressed: true }, "/app.js", headers)).getHeader("etag")!;
      tags.add(etag);
      const conditions = { ...headers, "if-none-match": etag };
      const again = await fetchFrom({ precompressed: true }, "/app.js", conditions);
      expect([again.status, again.getHeader("vary")]).toEqual([304, "accept-encoding"]);
    }
    expect(tags.size).toBe(3);
  });

  it("are not for a client that did not ask, by a tag of another variant", async () => {
    const headers = { "accept-encoding": "br" };
    const etag = (await fetchFrom({ precompressed: true }, "/app.js", headers)).getHeader("etag")!;
    expect((await fetchFrom({ precompressed: true }, "/app.js", { "if-none-match": etag })).status).toBe(200);
  });

  it("follow the configured order, and only what is configured", async () => {
    const headers = { "accept-encoding": "br, gzip" };
    const gzipFirst = await fetchFrom({ precompressed: ["gzip", "br"] }, "/app.js", headers);
    expect(gzipFirst.getHeader("content-encoding")).toBe("gzip");
    const off = await fetchFrom({}, "/app.js", headers);
    expect([off.getHeader("content-encoding"), off.getHeader("vary")]).toEqual([undefined, undefined]);
  });

  it("are not looked for beside images", async () => {
    const answer = await fetchFrom({ precompressed: true }, "/photo.jpg", { "accept-encoding": "gzip" });
    expect([answer.getHeader("content-encoding"), answer.getHeader("vary")]).toEqual([undefined, undefined]);
  });

  it.each([
    ["/plain.css", "identity;q=0", 406],
    ["/plain.css", "br, *;q=0", 406],
    ["/nothing.css", "identity;q=0", 404],
    ["/docs", "identity;q=0", 301],
    ["/plain.css", "br", 200],
  ])("%s for %s gives %d", async (target, accept, status) => {
    const answer = await fetchFrom({ precompressed: true }, target, { "accept-encoding": accept });
    expect(answer.status).toBe(status);
  });

  it("have ranges of their own bytes", async () => {
    const headers = { "accept-encoding": "gzip", range: "bytes=0-1" };
    const answer = await fetchFrom({ precompressed: true }, "/app.js", headers);
    expect([answer.status, answer.getHeader("content-encoding")]).toEqual([206, "gzip"]);
    expect(await contentOf(answer)).toEqual(Buffer.from([0x1f, 0x8b]));
  });
});
