// Peers that are too slow. Time is virtual, but for a peer that takes nothing: that is asked of the operating system.

import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { stopTime } from "../stop-time.ts";
import { readAnswer, serve } from "./serve.ts";

const ok = () => mist.response(200).setBody(mist.bytes("ok"));
const readAll: mist.Handler = async (request) => {
  await mist.readBody(request, { maxBodyLimit: 1 << 20 });
  return ok();
};

describe("deadlines", () => {
  it("a head that does not end is answered 408, however it dribbles", async () => {
    const clock = stopTime();
    const { connect } = await serve(ok, (builder) => builder.withDeadlines({ headMs: 30_000 }));
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\nx: ");
    for (let passed = 0; passed < 30_200; passed += 100) {
      await socket.send("x").catch(() => {});
      await clock.advance(100);
    }
    const answer = await readAnswer(socket);
    expect([answer.status, answer.headers.get("connection")]).toEqual([408, "close"]);
  });

  it("a connection that never says a word is closed without one", async () => {
    const clock = stopTime();
    const { connect } = await serve(ok, (builder) => builder.withDeadlines({ headMs: 30_000 }));
    const socket = await connect();
    await clock.advance(30_200);
    expect((await socket.receiveToEnd()).length).toBe(0);
  });

  it("an idle connection is closed without a word", async () => {
    const clock = stopTime();
    const { connect } = await serve(ok, (builder) => builder.withDeadlines({ keepAliveMs: 600_000 }));
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await readAnswer(socket);
    await clock.advance(600_200);
    expect((await socket.receiveToEnd()).length).toBe(0);
  });

  it("a body that stalls is answered 408", async () => {
    const clock = stopTime();
    const { connect, reports } = await serve(readAll, (builder) =>
      builder.withDeadlines({ bodyIdleMs: 30_000 }),
    );
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
    await clock.advance(30_200);
    expect((await readAnswer(socket)).status).toBe(408);
    expect(reports).toEqual([]);
  });

  it("a handler that takes its time is not hurried", async () => {
    const clock = stopTime();
    const hour = new Promise<void>((resolve) => clock.setTimer(resolve, 3_600_000));
    const { connect } = await serve(
      async (request) => {
        await mist.readBody(request, { maxBodyLimit: 10 });
        await hour;
        return ok();
      },
      (builder) => builder.withDeadlines({ bodyIdleMs: 100, headMs: 100, keepAliveMs: 100 }),
    );
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na");
    await clock.advance(3_600_000);
    expect((await readAnswer(socket)).status).toBe(200);
  });

  it("a peer that takes nothing of its answer is cut off, and its producer closed", async () => {
    let closed = false;
    const { connect, server } = await serve(
      () =>
        mist.response(200).setBody(
          mist.chunked(
            (function* () {
              try {
                for (;;) yield new Uint8Array(64 * 1024);
              } finally {
                closed = true;
              }
            })(),
          ),
        ),
      (builder) => builder.withDeadlines({ sendMs: 300 }),
    );
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await expect.poll(() => closed, { timeout: 10_000 }).toBe(true);
    await expect.poll(() => server.info().connections, { timeout: 10_000 }).toBe(0);
  });
});

describe("a peer that takes a large answer slowly", () => {
  it.each([
    ["bytes", "close"],
    ["bytes", "keep-alive"],
    ["text", "keep-alive"],
    ["chunks", "keep-alive"],
  ])("is not cut off while it goes on (%s, %s)", async (kind, connection) => {
    const clock = stopTime();
    const size = 24 * 1024 * 1024;
    const whole = Buffer.alloc(size, "x");
    const { connect } = await serve(
      () =>
        mist
          .response(200)
          .setBody(
            kind === "chunks"
              ? mist.chunked([whole])
              : mist.bytes(kind === "text" ? whole.toString() : whole),
          ),
      (builder) => builder.withDeadlines({ sendMs: 10_000 }),
    );
    const socket = await connect();
    await socket.send(`GET / HTTP/1.1\r\nhost: a\r\nconnection: ${connection}\r\n\r\n`);
    let received = 0;
    while (received < size) {
      received += (await socket.receiveExact(1024 * 1024, { timeout: 5000 })).length;
      await clock.advance(1_000);
    }
  });
});

describe("a connection whose peer still takes a response is not idle", () => {
  it.each([
    ["headMs", "the first response"],
    ["keepAliveMs", "a later one"],
  ])("%s does not end it: %s", async (deadline, which) => {
    const clock = stopTime();
    const size = 24 * 1024 * 1024;
    const whole = Buffer.alloc(size, "x");
    const { connect } = await serve(
      (request) => (request.path === "/large" ? mist.response(200, { body: whole }) : ok()),
      (builder) => builder.withDeadlines({ [deadline]: 4_000 }),
    );
    const socket = await connect();
    if (which === "a later one") {
      await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await readAnswer(socket);
    }
    await socket.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
    for (let received = 0; received < size; received += 1024 * 1024) {
      await socket.receiveExact(1024 * 1024, { timeout: 5000 });
      if (received < size / 2) await clock.advance(600);
    }
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect((await readAnswer(socket)).body).toBe("ok");
  });
});

describe("a pipelining peer that reads no answers", () => {
  it("is not read on without bound, and is served when it reads", async () => {
    let handled = 0;
    const body = "x".repeat(64 * 1024);
    const { connect } = await serve(() => {
      handled += 1;
      return mist.response(200).setBody(mist.bytes(body));
    });
    const socket = await connect();
    const count = 500;
    void socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(count)).catch(() => {});
    await expect.poll(() => handled).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(handled).toBeLessThan(count);
    for (let i = 0; i < count; i++) expect((await readAnswer(socket)).body.length).toBe(body.length);
  });
});
