// `download`: files to be saved, under the name they are meant to have.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "content-disposition";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FileError, UsageError } from "../../src/errors.ts";
import { type DownloadOptions, download } from "../../src/server/files/download.ts";
import { contentOf, fakeRequest } from "./file-request.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mist-"));
  await writeFile(join(root, "plan.txt"), "0123456789");
  await writeFile(join(root, "pläne 1.txt"), "p");
});
afterAll(() => rm(root, { recursive: true }));

const field = async (options: DownloadOptions, path = "plan.txt") =>
  (await download(path, { root, ...options })).getHeader("content-disposition");

test("sends the file with its own name", async () => {
  const response = await download(join(root, "plan.txt"));
  expect(response.status).toBe(200);
  expect(response.getHeader("content-disposition")).toBe("attachment; filename=plan.txt");
  expect(response.getHeader("content-type")).toBe("text/plain; charset=utf-8");
  expect(String(await contentOf(response))).toBe("0123456789");
});

test("the path of a URL is decoded for its name", async () => {
  expect(parse((await field({}, "/pl%C3%A4ne%201.txt"))!).parameters.filename).toBe("pläne 1.txt");
});

describe("the name", () => {
  // RFC 6266 §5, RFC 8187 §3.2
  test.each([
    ["EURO rates.txt", 'attachment; filename="EURO rates.txt"'],
    ["€ rates.txt", "attachment; filename=\"? rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt"],
    ['the "plan".txt', 'attachment; filename="the \\"plan\\".txt"'],
    ["a;b=c.txt", 'attachment; filename="a;b=c.txt"'],
    ["50%41.txt", "attachment; filename=50%41.txt; filename*=UTF-8''50%2541.txt"],
    ["../../etc/passwd", "attachment; filename=passwd"],
    ["C:\\autoexec.bat", "attachment; filename=autoexec.bat"],
    ["a\r\nset-cookie: x=1", 'attachment; filename="a__set-cookie: x=1"'],
    ["a\u0000\u007f\u0085b", "attachment; filename=a___b"],
    ["half \ud800.txt", 'attachment; filename="half _.txt"'],
    ["", "attachment; filename=download"],
    ["folder/", "attachment; filename=download"],
  ])("%j", async (filename, expected) => {
    expect(await field({ filename })).toBe(expected);
  });

  test("inline", async () => {
    expect(await field({ disposition: "inline" })).toBe("inline; filename=plan.txt");
  });
});

test("ranges and preconditions as with sendFile", async () => {
  const whole = await download("plan.txt", { root, request: fakeRequest("/") });
  const part = await download("plan.txt", { root, request: fakeRequest("/", { range: "bytes=2-4" }) });
  expect([part.status, String(await contentOf(part))]).toEqual([206, "234"]);
  expect(part.getHeader("content-disposition")).toBe("attachment; filename=plan.txt");
  const request = fakeRequest("/", { "if-none-match": whole.getHeader("etag")! });
  const same = await download("plan.txt", { root, request });
  expect([same.status, same.getHeader("content-disposition")]).toEqual([304, undefined]);
});

test.each([
  ["a misspelt option", { fileName: "a" }, UsageError],
  ["a name that is no text", { filename: 7 }, UsageError],
  ["another disposition", { disposition: "form-data" }, UsageError],
  ["a wrong option of sendFile", { offset: -1 }, UsageError],
])("refuses %s", async (_name, options, error) => {
  await expect(download("plan.txt", { root, ...options } as never)).rejects.toThrow(error);
});

test("a file that is missing", async () => {
  await expect(download("none.txt", { root })).rejects.toThrow(FileError);
});
