// `mist.serve`: the builder with one options object.

import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as mist from "../src/index.ts";
import { Builder } from "../src/mist.ts";
import { serveOptionNames } from "../src/serve.ts";

const quiet = { port: 0, afterStart: () => {} };

test("every method of the builder is an option, and the other way round", () => {
  const methods = Object.getOwnPropertyNames(Builder.prototype)
    .filter((name) => !["constructor", "start", "supervised"].includes(name))
    .map((name) => name.replace(/^with(.)/, (_, first: string) => first.toLowerCase()));
  const places = ["path", "everyone", "fd", "systemd", "memory"]; // of `start`
  expect([...serveOptionNames].sort()).toEqual([...methods, ...places, "handler"].sort());
});

test("serves, with the options in force", async () => {
  const started: mist.ServerAddress[] = [];
  const errors: unknown[] = [];
  await using server = await mist.serve({
    port: 0,
    bind: "127.0.0.1",
    limits: { maxTarget: 64 },
    deadlines: undefined,
    afterStart: (address) => started.push(address),
    onError: ({ error }) => errors.push(error),
    handler(request) {
      if (request.path === "/fail") throw new Error("on purpose");
      return mist.text(request.path);
    },
  });
  expect(started).toEqual([server.address]);
  expect(await (await fetch(`${server.url}/a`)).text()).toBe("/a");
  expect((await fetch(`${server.url}/${"a".repeat(100)}`)).status).toBe(414);
  expect((await fetch(`${server.url}/fail`)).status).toBe(500);
  expect(errors).toEqual([new Error("on purpose")]);
});

test("reads bodies beforehand", async () => {
  await using server = await mist.serve({
    ...quiet,
    handler: (request: mist.Request<Buffer>) => mist.text(`${request.body.toString("latin1")}!`),
    readRequestBody: { bytesLimit: 5, failureResponse: mist.text("too long", { status: 413 }) },
  });
  const post = async (body: string) => (await fetch(server.url, { method: "POST", body })).text();
  expect(await post("hello")).toBe("hello!");
  expect(await post("hello, mist")).toBe("too long");
});

test("listens on a unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "serve-"));
  try {
    const path = join(folder, "socket");
    await using server = await mist.serve({ path, afterStart: () => {}, handler: () => mist.text("unix") });
    expect(server.url).toBe(`http+unix://${path}`);
    const status = await new Promise((resolve, reject) => {
      const asked = httpRequest({ socketPath: path }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.once("error", reject).end();
    });
    expect(status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("stops with its signal", async () => {
  const abort = new AbortController();
  const server = await mist.serve({ ...quiet, signal: abort.signal, handler: () => mist.text("a") });
  abort.abort();
  expect(await server.closed).toMatchObject({ type: "shutdown" });
});
