import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  realpath,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SourceBody } from "../../src/server/body/response-body.ts";
import { type SendFileOptions, sendFile } from "../../src/server/files/file.ts";
import { fileBufferSize } from "../../src/server/files/file-body.ts";
import { openedPathByName, toFileError } from "../../src/server/files/open-file.ts";
import { contentOf, descriptorsBelow, drain, fakeRequest, lengthOf } from "./file-request.ts";

// For machines with other things to do.
const patience = { timeout: 10_000 };

const changed = new Date("2026-01-02T03:04:05.678Z");
const lastModified = "Fri, 02 Jan 2026 03:04:05 GMT";
const text = "0123456789".repeat(100);
const large = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i % 251));

let directory: string;
let root: string;
const at = (name: string) => join(directory, name);

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "mist-file-")));
  root = at("root");
  await mkdir(join(root, "sub"), { recursive: true });
  await mkdir(join(root, ".well-known"));
  await mkdir(at("root-sibling"));
  await writeFile(at("text.txt"), text);
  await writeFile(at("large.bin"), large);
  await writeFile(at("empty.html"), "");
  await writeFile(at("secret.txt"), "secret");
  await writeFile(at("root-sibling/secret.txt"), "secret");
  await writeFile(join(root, "index.html"), "<p>");
  await writeFile(join(root, "sub/a b.txt"), "spaced");
  await writeFile(join(root, ".env"), "hidden");
  await writeFile(join(root, ".well-known/security.txt"), "known");
  await symlink(at("secret.txt"), join(root, "out.txt"));
  await symlink("../root-sibling", join(root, "out-dir"));
  await symlink("sub/a b.txt", join(root, "in.txt"));
  await symlink("loop", join(root, "loop"));
  execFileSync("mkfifo", [join(root, "fifo")]);
  await utimes(at("text.txt"), changed, changed);
  await utimes(at("large.bin"), changed, changed);
});

afterAll(() => rm(directory, { recursive: true }));

function get(name: string, headers: Record<string, string> = {}, options: SendFileOptions = {}) {
  return sendFile(at(name), { ...options, request: fakeRequest(`/${name}`, headers) });
}

const etagOf = async (name: string) => (await get(name)).getHeader("etag")!;

describe("a whole file", () => {
  it.each([
    ["text.txt", "text/plain; charset=utf-8", () => Buffer.from(text)],
    ["large.bin", "application/octet-stream", () => large],
    ["empty.html", "text/html; charset=utf-8", () => Buffer.alloc(0)],
  ])("%s", async (name, type, content) => {
    const answer = await sendFile(at(name));
    expect(answer.status).toBe(200);
    expect(answer.getHeader("content-type")).toBe(type);
    expect(lengthOf(answer)).toBe(content().length);
    expect(await contentOf(answer)).toEqual(content());
  });

  it("has validators only for a request", async () => {
    const plain = await sendFile(at("text.txt"));
    expect(plain.headers).toEqual([["content-type", "text/plain; charset=utf-8"]]);
    const answer = await get("text.txt");
    expect(answer.getHeader("etag")).toMatch(/^W\/"[\x21\x23-\x7e]+"$/);
    expect(answer.getHeader("last-modified")).toBe(lastModified);
    expect(answer.getHeader("accept-ranges")).toBe("bytes");
  });

  it("sends no last-modified in the future", async () => {
    const future = new Date(Date.now() + 3_600_000);
    await writeFile(at("future.txt"), "x");
    await utimes(at("future.txt"), future, future);
    const date = (await get("future.txt")).getHeader("last-modified")!;
    expect(Date.parse(date)).toBeLessThanOrEqual(Date.now());
  });

  it.each<[SendFileOptions, string]>([
    [{ offset: 990 }, text.slice(990)],
    [{ limit: 7 }, text.slice(0, 7)],
    [{ offset: 5, limit: 3 }, text.slice(5, 8)],
    [{ offset: 995, limit: 100 }, text.slice(995)],
    [{ offset: 5000 }, ""],
    [{ limit: 0 }, ""],
  ])("sliced by %j", async (options, content) => {
    const answer = await sendFile(at("text.txt"), options);
    expect(answer.status).toBe(200);
    expect(lengthOf(answer)).toBe(content.length);
    expect(String(await contentOf(answer))).toBe(content);
  });

  it("takes another content type, and refuses a broken one", async () => {
    const answer = await sendFile(at("text.txt"), { contentType: "text/x-log" });
    expect(answer.getHeader("content-type")).toBe("text/x-log");
    await expect(sendFile(at("text.txt"), { contentType: "a\r\nb: c" })).rejects.toThrow(/field|value/);
  });

  it.each([{ offset: -1 }, { limit: 1.5 }, { offset: Number.NaN }])("refuses %j", async (options) => {
    await expect(sendFile(at("text.txt"), options)).rejects.toMatchObject({ name: "UsageError" });
  });

  it("answers HEAD with the length, and opens nothing", async () => {
    for (const name of ["text.txt", "large.bin"]) {
      const answer = await sendFile(at(name), { request: fakeRequest("/", { range: "bytes=0-1" }, "HEAD") });
      expect(answer.status).toBe(200);
      expect(lengthOf(answer)).toBe(name === "text.txt" ? text.length : large.length);
    }
  });
});

describe("RFC 9110 §13 preconditions", () => {
  it("gives 304 with the fields a cache updates by, for its own tag", async () => {
    const etag = await etagOf("text.txt");
    const answer = await get("text.txt", { "if-none-match": `"other", ${etag}` });
    expect(answer.status).toBe(304);
    expect(answer.body.kind).toBe("empty");
    expect(answer.getHeader("etag")).toBe(etag);
    expect(answer.getHeader("content-type")).toBeUndefined();
  });

  it.each([
    [{ "if-modified-since": lastModified }, 304],
    [{ "if-modified-since": "Fri, 02 Jan 2026 03:04:04 GMT" }, 200],
    [{ "if-none-match": '"other"', "if-modified-since": lastModified }, 200],
    [{ "if-unmodified-since": lastModified }, 200],
    [{ "if-unmodified-since": "Thu, 01 Jan 2026 00:00:00 GMT" }, 412],
    [{ "if-match": '"other"' }, 412],
    [{ "if-match": "*" }, 200],
    [{ "if-none-match": "*" }, 304],
    [{ "if-none-match": "*", range: "bytes=0-1" }, 304],
    [{ "if-match": '"other"', range: "bytes=0-1" }, 412],
  ])("%j gives %d", async (headers, status) => {
    const answer = await get("text.txt", headers as Record<string, string>);
    expect(answer.status).toBe(status);
    if (status === 412) expect(answer.headers).toEqual([]);
  });

  it("leaves them alone for other methods", async () => {
    const request = fakeRequest("/", { "if-none-match": "*", range: "bytes=0-1" }, "POST");
    const answer = await sendFile(at("text.txt"), { request });
    expect([answer.status, lengthOf(answer)]).toEqual([200, text.length]);
  });

  it("gives a changed file another tag", async () => {
    await writeFile(at("changing.txt"), "one");
    const before = await etagOf("changing.txt");
    await writeFile(at("changing.txt"), "two!");
    expect(await etagOf("changing.txt")).not.toBe(before);
  });

  it("gives a slice another tag", async () => {
    const sliced = await get("text.txt", {}, { offset: 5, limit: 10 });
    expect(sliced.getHeader("etag")).not.toBe(await etagOf("text.txt"));
  });
});

describe("RFC 9110 §14 ranges", () => {
  it.each([
    ["bytes=0-9", "bytes 0-9/1000", text.slice(0, 10)],
    ["bytes=990-", "bytes 990-999/1000", text.slice(990)],
    ["bytes=-3", "bytes 997-999/1000", text.slice(997)],
    ["bytes=-5000", "bytes 0-999/1000", text],
    ["bytes=5-6,0-4", "bytes 0-6/1000", text.slice(0, 7)],
  ])("%s", async (range, contentRange, content) => {
    const answer = await get("text.txt", { range });
    expect(answer.status).toBe(206);
    expect(answer.getHeader("content-range")).toBe(contentRange);
    expect(lengthOf(answer)).toBe(content.length);
    expect(String(await contentOf(answer))).toBe(content);
  });

  it.each(["bytes=1000-", "bytes=-0", "bytes=5000-6000"])("%s is 416", async (range) => {
    const answer = await get("text.txt", { range });
    expect(answer.status).toBe(416);
    expect(answer.headers).toEqual([["content-range", "bytes */1000"]]);
    expect(lengthOf(answer)).toBe(0);
  });

  it.each(["lines=0-1", "bytes=9-1", "bytes=x", `bytes=${"0-0,500-500,".repeat(50)}`])(
    "%s is ignored",
    async (range) => {
      const answer = await get("text.txt", { range });
      expect([answer.status, lengthOf(answer)]).toEqual([200, 1000]);
    },
  );

  it("reach behind four gigabytes", async () => {
    const size = 5 * 2 ** 30;
    const file = await open(at("huge.bin"), "w"); // sparse
    await file.truncate(size);
    await file.write("here", size - 10);
    await file.close();
    const answer = await get("huge.bin", { range: `bytes=${size - 10}-${size - 7}` });
    expect(answer.getHeader("content-range")).toBe(`bytes ${size - 10}-${size - 7}/${size}`);
    expect(String(await contentOf(answer))).toBe("here");
    expect(lengthOf(await get("huge.bin"))).toBe(size);
  });

  it("can be turned off", async () => {
    const answer = await get("text.txt", { range: "bytes=0-0" }, { maxRanges: 0 });
    expect(answer.status).toBe(200);
    expect(answer.getHeader("accept-ranges")).toBeUndefined();
  });

  it.each([
    [lastModified, 206],
    ["Fri, 02 Jan 2026 03:04:06 GMT", 200],
    ['"other"', 200],
  ])("if-range %s gives %d", async (ifRange, status) => {
    expect((await get("text.txt", { range: "bytes=0-0", "if-range": ifRange })).status).toBe(status);
  });

  it("never takes a weak tag for if-range", async () => {
    const ifRange = await etagOf("text.txt");
    expect((await get("text.txt", { range: "bytes=0-0", "if-range": ifRange })).status).toBe(200);
  });

  it("counts within offset and limit", async () => {
    const answer = await get("text.txt", { range: "bytes=2-" }, { offset: 100, limit: 5 });
    expect(answer.getHeader("content-range")).toBe("bytes 2-4/5");
    expect(String(await contentOf(answer))).toBe(text.slice(102, 105));
  });

  it.each([
    ["text.txt", "bytes=0-9,500-509,-5"],
    ["large.bin", "bytes=0-149999,399999-,200000-299999"],
  ])("several of %s: the parts and the exact length", async (name, range) => {
    const whole = name === "text.txt" ? Buffer.from(text) : large;
    const answer = await get(name, { range });
    expect(answer.status).toBe(206);
    expect(answer.getHeader("content-range")).toBeUndefined();
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(answer.getHeader("content-type")!)![1]!;
    const content = await contentOf(answer);
    expect(content.length).toBe(lengthOf(answer));
    const parts = content.toString("latin1").split(`--${boundary}`);
    expect([parts[0], parts.at(-1)]).toEqual(["", "--\r\n"]);
    expect(parts).toHaveLength(5);
    for (const part of parts.slice(1, -1)) {
      const [head, ...rest] = part.split("\r\n\r\n");
      const [, first, last] = /content-range: bytes (\d+)-(\d+)\/\d+/.exec(head!)!;
      const expected = whole.subarray(Number(first), Number(last) + 1).toString("latin1");
      expect(rest.join("\r\n\r\n") === `${expected}\r\n`).toBe(true);
      expect(head).toContain(
        `content-type: ${name === "text.txt" ? "text/plain" : "application/octet-stream"}`,
      );
    }
  });
});

describe("any part", () => {
  const edge = fc.integer({ min: 0, max: 1100 });
  const some = fc.option(edge, { nil: undefined });

  it("is what the same part of the whole would be", async () => {
    await fc.assert(
      fc.asyncProperty(some, some, some, some, async (offset, limit, first, last) => {
        const slice = { ...(offset !== undefined && { offset }), ...(limit !== undefined && { limit }) };
        const part = text.slice(offset ?? 0, (offset ?? 0) + (limit ?? text.length));
        const answer = await get("text.txt", { range: `bytes=${first ?? ""}-${last ?? ""}` }, slice);
        const content = String(await contentOf(answer));
        expect(content.length).toBe(lengthOf(answer));
        if (answer.status === 200) {
          expect(first === undefined ? last === undefined : (last ?? first) < first).toBe(true);
          expect(content).toBe(part);
        } else if (answer.status === 206) {
          const start = first ?? Math.max(0, part.length - last!);
          expect(content).toBe(part.slice(start, first === undefined ? undefined : (last ?? 1e9) + 1));
        } else {
          expect(answer.status).toBe(416);
          expect(first === undefined ? last === 0 || part === "" : first >= part.length).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("below a root", () => {
  const under = (path: string, options: SendFileOptions = {}) => sendFile(path, { ...options, root });

  it.each([
    ["/index.html", "<p>"],
    ["index.html", "<p>"],
    ["/sub/a%20b.txt", "spaced"],
    ["/sub/a b.txt", "spaced"],
    ["/%69ndex.html", "<p>"],
    ["/in.txt", "spaced"],
    ["/.well-known/security.txt", "known"],
  ])("serves %s", async (path, content) => {
    expect(String(await contentOf(await under(path)))).toBe(content);
  });

  it.each([
    "/../secret.txt",
    "/sub/../../secret.txt",
    "/sub/../index.html",
    "/./index.html",
    "/%2e%2e/secret.txt",
    "/.%2E/secret.txt",
    "/..%2fsecret.txt",
    "/sub%2fa%20b.txt",
    "/%252e%252e/secret.txt",
    "/..\\secret.txt",
    "/..%5csecret.txt",
    "/sub\\a b.txt",
    "/index.html\0.png",
    "/index.html%00.png",
    "/%00",
    "/c:/index.html",
    "/C:index.html",
    "/c%3a/index.html",
    "//index.html",
    "/sub//a b.txt",
    "/index.html/",
    "/%",
    "/%zz",
    "/%ff",
    "/%c0%ae%c0%ae/secret.txt",
    "/loop",
    `/${"a".repeat(5000)}`,
    "/.env",
    "/missing.txt",
    "*",
  ])("knows no %j", async (path) => {
    await expect(under(path)).rejects.toMatchObject({ name: "FileError", reason: "no-entry", status: 404 });
  });

  it.each(["/out.txt", "/out-dir/secret.txt", "/fifo"])("gives no access to %s", async (path) => {
    await expect(under(path)).rejects.toMatchObject({ name: "FileError", reason: "no-access", status: 403 });
  });

  it.each(["/", "", "/sub", "/sub/"])("says that %j is a directory", async (path) => {
    await expect(under(path)).rejects.toMatchObject({ name: "FileError", reason: "is-dir", status: 404 });
  });

  it("treats hidden names by the policy", async () => {
    await expect(under("/.env", { dotfiles: "deny" })).rejects.toMatchObject({ reason: "no-access" });
    expect(String(await contentOf(await under("/.env", { dotfiles: "allow" })))).toBe("hidden");
  });

  it("follows a root that is a link, also once it points elsewhere", async () => {
    for (const name of ["one", "two"]) {
      await mkdir(at(name));
      await writeFile(at(`${name}/file.txt`), name);
    }
    await symlink("one", at("current"));
    const read = async () => String(await contentOf(await sendFile("/file.txt", { root: at("current") })));
    expect(await read()).toBe("one");
    await symlink("two", at("next"));
    await rename(at("next"), at("current"));
    expect(await read()).toBe("two");
  });

  it("allows everything below /", async () => {
    expect(String(await contentOf(await sendFile(at("secret.txt"), { root: "/" })))).toBe("secret");
  });

  it("finds where a descriptor lies by its name, where the kernel cannot tell", async () => {
    const descriptor = openSync(join(root, "in.txt"), "r");
    try {
      expect(await openedPathByName(descriptor, join(root, "in.txt"))).toBe(join(root, "sub/a b.txt"));
      expect(await openedPathByName(descriptor, join(root, "index.html"))).toBeUndefined();
    } finally {
      closeSync(descriptor);
    }
  });
});

describe("what is no plain file", () => {
  it.each([
    ["missing.txt", "no-entry"],
    ["text.txt/more", "no-entry"],
    ["nul\0byte", "no-entry"],
    ["root", "is-dir"],
    ["root/fifo", "no-access"],
  ])("%j is %s", async (name, reason) => {
    await expect(sendFile(at(name))).rejects.toMatchObject({ name: "FileError", reason });
  });

  it("refuses devices and sockets without waiting for them", async () => {
    await expect(sendFile("/dev/zero")).rejects.toMatchObject({ reason: "no-access" });
    const server = createServer().listen(at("socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    await expect(sendFile(at("socket"))).rejects.toMatchObject({ reason: "no-access" });
    server.close();
  });

  it.each([
    ["EACCES", "no-access"],
    ["EPERM", "no-access"],
    ["EISDIR", "is-dir"],
    ["EMFILE", "unknown"],
    ["EIO", "unknown"],
  ])("reports %s as %s, with the cause", (code, reason) => {
    const cause = Object.assign(new Error(code), { code });
    expect(toFileError(cause, "file")).toMatchObject({ reason, path: "file", cause });
  });
});

describe("a streamed file", () => {
  const bodyOf = async (name: string) => (await sendFile(at(name))).body as SourceBody;

  it("uses two buffers, and fills one only after it was released", async () => {
    const source = await (await bodyOf("large.bin")).open();
    const first = await source.read();
    const second = await source.read();
    expect(first!.length).toBe(fileBufferSize);
    let third: Uint8Array | null | undefined;
    const waiting = Promise.resolve(source.read()).then((piece) => {
      third = piece;
    });
    // Another read through the thread pool is long done before this one, if this one was started at all.
    await contentOf(await sendFile(at("text.txt")));
    expect(third).toBeUndefined();
    const hash = createHash("sha1").update(second!).digest("hex");
    source.release!(first!);
    await waiting;
    expect(third!.buffer).toBe(first!.buffer);
    expect(createHash("sha1").update(second!).digest("hex")).toBe(hash);
    source.close();
  });

  it("fails when the file shrinks under way", async () => {
    await writeFile(at("shrinking.bin"), large);
    const body = await bodyOf("shrinking.bin");
    const source = await body.open();
    source.release!((await source.read())!);
    await truncate(at("shrinking.bin"), 10);
    await expect(drain(source)).rejects.toMatchObject({ name: "FileError", reason: "unknown" });
    source.close();
  });

  it("fails when the file is gone before it is sent", async () => {
    await writeFile(at("removed.bin"), large);
    const body = await bodyOf("removed.bin");
    await rm(at("removed.bin"));
    expect(() => body.open()).toThrow(expect.objectContaining({ name: "FileError", reason: "unknown" }));
  });

  it("sends no more than was announced when the file grows", async () => {
    await writeFile(at("growing.bin"), large);
    const answer = await sendFile(at("growing.bin"));
    await appendFile(at("growing.bin"), "more");
    expect(await contentOf(answer)).toHaveLength(large.length);
  });

  it("does not send another file under the head of the first", async () => {
    await writeFile(at("replaced.bin"), large);
    const body = await bodyOf("replaced.bin");
    await writeFile(at("replacement.bin"), large);
    await rename(at("replacement.bin"), at("replaced.bin"));
    expect(() => body.open()).toThrow(expect.objectContaining({ name: "FileError", reason: "unknown" }));
  });

  it("keeps no descriptor open, however an answer ends", async () => {
    await bodyOf("large.bin"); // never opened
    await get("large.bin", { "if-none-match": "*" });
    await get("large.bin", { "if-match": '"x"' });
    await get("large.bin", { range: "bytes=900000-" });
    await sendFile(at("large.bin"), { request: fakeRequest("/", {}, "HEAD") });
    await sendFile(root).catch(() => {});
    await sendFile("/out.txt", { root }).catch(() => {});
    await contentOf(await sendFile(at("large.bin")));
    const unread = await (await bodyOf("large.bin")).open();
    unread.close();
    const reading = await (await bodyOf("large.bin")).open();
    const pending = reading.read(); // the thread pool has the descriptor
    reading.close();
    reading.close();
    await pending;
    await expect.poll(() => descriptorsBelow(directory), patience).toBe(0);
  });

  it("serves many at once, each its own bytes, while others are broken off", async () => {
    const names = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(async (seed) => {
        const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * seed) % 253));
        await writeFile(at(`many-${seed}.bin`), content);
        return { name: `many-${seed}.bin`, content };
      }),
    );
    const whole = names.map(async ({ name, content }) => {
      expect((await contentOf(await sendFile(at(name)))).equals(content)).toBe(true);
    });
    const broken = names.map(async ({ name }) => {
      const source = await (await bodyOf(name)).open();
      source.release!((await source.read())!);
      source.close();
    });
    await Promise.all([...whole, ...broken]);
  });
});
