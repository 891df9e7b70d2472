// Stopping: answers in flight are finished, idle connections end, what is left at the deadline is destroyed.

import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { stopTime } from "../stop-time.ts";
import { expectAbortError } from "./abort-error.ts";
import { readAnswer, serve } from "./serve.ts";

const ok = () => mist.response(200).setBody(mist.bytes("ok"));
const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/** A handler that answers when it is released, and says when it has been called. */
function heldHandler() {
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let handling: () => void = () => {};
  const inHandler = new Promise<void>((resolve) => {
    handling = resolve;
  });
  const handler = async () => {
    handling();
    await released;
    return ok();
  };
  return { handler, inHandler, release };
}

describe("stop", () => {
  it("finishes the answer in flight, with connection: close", async () => {
    const clock = stopTime();
    const { handler, inHandler, release } = heldHandler();
    const { connect, server } = await serve(handler);
    const socket = await connect();
    await socket.send(get);
    await inHandler;
    const stopped = server.stop({ deadlineMs: 10_000 });
    await expect
      .poll(() =>
        connect().then(
          () => "accepted",
          () => "refused",
        ),
      )
      .toBe("refused");
    release();
    const answer = await readAnswer(socket);
    expect([answer.body, answer.headers.get("connection")]).toEqual(["ok", "close"]);
    await socket.close();
    expect((await clock.until(stopped)).killed).toBe(0);
  });

  it("answers a request that reaches an idle connection during the grace, then closes", async () => {
    const { connect, server } = await serve(ok, (builder) => builder.withDeadlines({ stopGraceMs: 5000 }));
    const socket = await connect();
    await socket.send(get);
    await readAnswer(socket);
    const stopped = server.stop({ deadlineMs: 10_000 });
    await socket.send(get);
    expect((await readAnswer(socket)).headers.get("connection")).toBe("close");
    await socket.close();
    expect((await stopped).killed).toBe(0);
  });

  it("lets idle connections go", async () => {
    const { connect, server } = await serve(ok);
    const [used, fresh] = [await connect(), await connect()];
    await used.send(get);
    await readAnswer(used);
    const stopped = server.stop({ deadlineMs: 10_000 });
    expect((await used.receiveToEnd({ timeout: 5000 })).length).toBe(0);
    expect((await fresh.receiveToEnd({ timeout: 5000 })).length).toBe(0);
    await Promise.all([used.close(), fresh.close()]);
    expect((await stopped).killed).toBe(0);
  });

  it("destroys what is left at the deadline, and aborts its signal", async () => {
    const reasons: unknown[] = [];
    const { connect, server } = await serve(
      (request) =>
        new Promise((_, reject) => {
          request.signal.addEventListener("abort", () => {
            reasons.push(request.signal.reason);
            reject(request.signal.reason);
          });
        }),
    );
    const socket = await connect();
    await socket.send(get);
    await expect.poll(() => server.info().connections).toBe(1);
    const report = await server.stop({ deadlineMs: 200 });
    expect(report.killed).toBe(1);
    expect(reasons).toHaveLength(1);
    expectAbortError(reasons[0]);
  });

  it("waits for what was given to waitUntil", async () => {
    let done = false;
    const { ask, server } = await serve((request) => {
      const work = new Promise((resolve) => setTimeout(resolve, 300)).then(() => {
        done = true;
      });
      mist.waitUntil(request, work);
      return ok();
    });
    await ask(get);
    expect(done).toBe(false);
    await server.stop({ deadlineMs: 10_000 });
    expect(done).toBe(true);
  });

  it("waits for waitUntil no longer than a second call says, or kill", async () => {
    for (const end of ["stop", "kill"] as const) {
      const { ask, server } = await serve((request) => {
        mist.waitUntil(request, new Promise(() => {}));
        return ok();
      });
      await ask(get);
      const stopped = server.stop({ deadlineMs: Number.POSITIVE_INFINITY });
      await expect.poll(() => server.info().connections).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 20)); // nothing tells that it waits for the work alone
      if (end === "stop") void server.stop(0);
      else server.kill();
      expect((await stopped).killed).toBe(0);
    }
  });

  it("refuses times and options that cannot be meant, at the call", async () => {
    const { server } = await serve(ok);
    expect(() => server.stop(-1)).toThrow("deadlineMs must be a number of at least 0, got -1");
    expect(() => server.stop({ delayMs: Number.NaN })).toThrow(mist.UsageError);
    expect(() => server.stop({ deadline: 5 } as never)).toThrow(/stop has no option "deadline"/);
  });

  it("is one stop, however often it is asked for", async () => {
    const { server } = await serve(ok);
    const [first, second] = await Promise.all([server.stop(), server.stop()]);
    expect(first).toEqual(second);
    await server.closed;
  });
});

describe("a stop while half a request has come", () => {
  // Without a bound of its own the head deadline, an hour here, would hold up the stop.
  const patient = (builder: mist.Builder) => builder.withDeadlines({ headMs: 3_600_000, stopGraceMs: 50 });

  it.each([
    ["on a fresh connection", 0],
    ["behind an answer", 1],
  ])("ends the connection when the grace is over, %s", async (_, answers) => {
    const { connect, server } = await serve(ok, patient);
    const socket = await connect();
    for (let i = 0; i < answers; i++) {
      await socket.send(get);
      await readAnswer(socket);
    }
    await socket.send(get.slice(0, 20));
    await expect.poll(() => server.info().bytesRead).toBe(answers * get.length + 20);
    const stopped = server.stop({ deadlineMs: 60_000 });
    expect(await readAnswer(socket)).toMatchObject({ status: 408 });
    await socket.close();
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });

  it("ends one whose head begins during the grace, too", async () => {
    const { connect, server } = await serve(ok, patient);
    const socket = await connect();
    await socket.send(get);
    await readAnswer(socket);
    const stopped = server.stop({ deadlineMs: 60_000 });
    await socket.send(get.slice(0, 20));
    await socket.receiveToEnd({ timeout: 10_000 });
    await socket.close();
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });

  it("answers it when the rest comes, though the event loop was busy meanwhile", async () => {
    const { connect, server } = await serve(ok, patient);
    const socket = await connect();
    await socket.send(get.slice(0, 20));
    await expect.poll(() => server.info().bytesRead).toBe(20);
    const stopped = server.stop({ deadlineMs: 60_000 });
    await socket.send(get.slice(20));
    const busyUntil = performance.now() + 400;
    while (performance.now() < busyUntil);
    expect(await readAnswer(socket)).toMatchObject({ status: 200, body: "ok" });
    await socket.close();
    await stopped;
  });
});

describe("the stopping signal", () => {
  const ready = (request: mist.Request) => mist.response(request.stopping.aborted ? 503 : 200);

  it("turns a health check red while the server goes on accepting for delayMs", async () => {
    const { ask, connect, server } = await serve(ready);
    const socket = await connect();
    await socket.send(get);
    expect(await readAnswer(socket)).toMatchObject({ status: 200 });
    const delayed = server.stop({ delayMs: 3_600_000, deadlineMs: 10_000 });
    expect(server.stopping.aborted).toBe(true);
    for (const client of [socket, await connect()]) {
      await client.send(get);
      const answer = await readAnswer(client);
      expect([answer.status, answer.headers.get("connection")]).toEqual([503, undefined]);
      await client.close();
    }
    expect(await ask(get)).toMatch(/^HTTP\/1.1 503/);
    await server.stop({ deadlineMs: 10_000 });
    await delayed;
    await refused(connect);
  });

  it("is the server's, on every request", async () => {
    const seen: AbortSignal[] = [];
    const { ask, server } = await serve((request) => {
      seen.push(request.stopping, request.setHeader("x", "y").setPath("/").stopping);
      return ok();
    });
    await ask(get.repeat(2));
    expect(new Set([...seen, server.stopping]).size).toBe(1);
  });

  it("ends an endless answer that listens to it, long before the deadline", async () => {
    let beat = false;
    const { connect, server } = await serve(({ stopping }) => {
      const beats = async function* () {
        while (!stopping.aborted) {
          yield "beat";
          beat = true;
          await sleep(3_600_000, undefined, { signal: stopping }).catch(() => {});
        }
        yield "bye";
      };
      return mist.response(200).setBody(mist.chunked(beats()));
    });
    const socket = await connect();
    await socket.send(get);
    await expect.poll(() => beat).toBe(true);
    const stopped = server.stop({ deadlineMs: 3_600_000 });
    expect((await readAnswer(socket)).body).toBe("beatbye");
    await socket.close();
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });
});

describe("a stop while clients wait in the kernel to be accepted", () => {
  it("answers them too", async () => {
    const { port, server } = await serve(ok);
    const ask = () =>
      new Promise<string>((resolve, reject) => {
        let answer = "";
        const socket = net.connect(port, "127.0.0.1", () => socket.end(get));
        socket.on("data", (data) => {
          answer += data.toString("latin1");
        });
        socket.on("error", reject).on("close", () => resolve(answer));
      });
    const asked = Array.from({ length: 60 }, ask);
    await expect.poll(() => server.info().accepted, { interval: 1 }).toBeGreaterThan(0);
    const stopped = server.stop({ deadlineMs: 10_000 });
    for (const answer of await Promise.all(asked)) expect(answer).toMatch(/^HTTP\/1\.1 200 .*ok$/s);
    expect((await stopped).killed).toBe(0);
  });
});

describe("a stop while requests wait behind one in work", () => {
  it("answers all that have come, and closes behind the last", async () => {
    const clock = stopTime();
    const { handler, inHandler, release } = heldHandler();
    const { connect, server } = await serve(handler);
    const socket = await connect();
    await socket.send(get.repeat(3));
    await inHandler;
    const stopped = server.stop({ deadlineMs: 10_000 });
    await refused(connect);
    release();
    const answers = [await readAnswer(socket), await readAnswer(socket), await readAnswer(socket)];
    expect(answers.map(({ headers }) => headers.get("connection"))).toEqual([undefined, undefined, "close"]);
    expect((await socket.receiveToEnd()).length).toBe(0);
    await socket.close();
    expect((await clock.until(stopped)).killed).toBe(0);
  });

  it.each([
    ["a length", "content-length: 3\r\n\r\nabc"],
    ["a chunked coding", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
  ])("does not take content with %s that nobody reads for a request", async (_, content) => {
    const { handler, inHandler, release } = heldHandler();
    const { connect, server } = await serve(handler);
    const socket = await connect();
    await socket.send(`POST / HTTP/1.1\r\nhost: a\r\n${content}`);
    await inHandler;
    const stopped = server.stop({ deadlineMs: 60_000 });
    release();
    expect((await readAnswer(socket)).headers.get("connection")).toBe("close");
    await socket.close();
    expect((await stopped).killed).toBe(0);
  });

  it("answers one behind content that nobody reads", async () => {
    const { handler, inHandler, release } = heldHandler();
    const { connect, server } = await serve(handler);
    const socket = await connect();
    await socket.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc${get}`);
    await inHandler;
    const stopped = server.stop({ deadlineMs: 60_000 });
    release();
    const answers = [await readAnswer(socket), await readAnswer(socket)];
    expect(answers.map(({ headers }) => headers.get("connection"))).toEqual([undefined, "close"]);
    await socket.close();
    await stopped;
  });

  it("does not serve for ever who never stops asking", async () => {
    const { connect, server } = await serve(async () => ok());
    const socket = await connect();
    let asking = true;
    const ask = async () => {
      while (asking) await socket.send(get.repeat(100));
    };
    const asked = ask().catch(() => {});
    const drained = socket.receiveToEnd({ timeout: 10_000, max: 64 * 1024 * 1024 }).catch(() => {});
    await expect.poll(() => server.info().bytesRead).toBeGreaterThan(10_000);
    expect((await server.stop({ deadlineMs: 10_000 })).killed).toBe(0);
    asking = false;
    await drained;
    await socket.reset();
    await asked;
  });
});

/** Resolves when nobody listens any more, which is when the connections have been told of the stop. */
async function refused(connect: () => Promise<unknown>): Promise<void> {
  await expect
    .poll(() =>
      connect().then(
        () => "accepted",
        () => "refused",
      ),
    )
    .toBe("refused");
}
