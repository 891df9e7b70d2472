// ARCHITECTURE.md, "One request": how often the shell asks the core.

import { readdirSync, readFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { Http1Connection } from "../../src/http1/connection.ts";
import * as mist from "../../src/index.ts";
import { readAnswer, serve } from "./serve.ts";

/** Notes every public method and getter of the core that is used from outside of it, until the test is over. */
function noteCalls(): string[] {
  const calls: string[] = [];
  let depth = 0;
  const noting = (name: string, call: (...given: unknown[]) => unknown) =>
    function (this: unknown, ...given: unknown[]): unknown {
      if (depth === 0) calls.push(name);
      depth += 1;
      try {
        return Reflect.apply(call, this, given);
      } finally {
        depth -= 1;
      }
    };
  const { prototype } = Http1Connection;
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === "constructor") continue;
    const { get, value } = property;
    const noted = get === undefined ? { value: noting(name, value) } : { get: noting(name, get) };
    Object.defineProperty(prototype, name, { ...property, ...noted });
    onTestFinished(() => void Object.defineProperty(prototype, name, property));
  }
  return calls;
}

it("a keep-alive GET enters the core four times", async () => {
  const { connect } = await serve(() => mist.response(200).setBody(mist.bytes("ok")));
  const socket = await connect();
  const calls = noteCalls();
  for (let i = 0; i < 3; i++) {
    calls.length = 0;
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect((await readAnswer(socket)).body).toBe("ok");
    expect(calls).toEqual(["receive", "next", "send", "next"]);
  }
});

it("a chunk of an upload enters it five times", async () => {
  const pieces: number[] = [];
  const { connect, server } = await serve(async (request) => {
    for await (const piece of mist.stream(request)) pieces.push(piece.length);
    return mist.response(200);
  });
  const socket = await connect();
  const head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300\r\n\r\n";
  await socket.send(head);
  await expect.poll(() => server.info().bytesRead).toBe(head.length);
  await new Promise((resolve) => setImmediate(resolve));
  const calls = noteCalls();
  for (let sent = 1; sent <= 2; sent++) {
    calls.length = 0;
    await socket.send("x".repeat(100));
    await expect.poll(() => pieces.length).toBe(sent);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toEqual(["receive", "next", "retainedBytes", "next", "continueDue"]);
  }
});

it("every name in the walks of ARCHITECTURE.md is there", () => {
  const text = readFileSync(new URL("../../../../ARCHITECTURE.md", import.meta.url), "utf8");
  const walks = text.slice(text.indexOf("### A keep-alive GET"), text.indexOf("### The end"));
  const names = [...walks.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);
  const src = new URL("../../src/", import.meta.url);
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  const code = files.map((path) => readFileSync(new URL(path, src), "utf8")).join("\n");
  expect(names.length).toBeGreaterThan(30);
  const missing = names.filter((name) =>
    name.endsWith(".ts")
      ? !files.includes(name)
      : name.split(".").some((part) => !new RegExp(`(?<![\\w#])${part}\\b`).test(code)),
  );
  expect(missing).toEqual([]);
});
