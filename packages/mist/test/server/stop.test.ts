// Stopping: answers in flight are finished, idle connections end, what is left at the deadline is destroyed.

import * as net from "node:net";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
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
    expect((await stopped).killed).toBe(0);
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

  it("is one stop, however often it is asked for", async () => {
    const { server } = await serve(ok);
    const [first, second] = await Promise.all([server.stop(), server.stop()]);
    expect(first).toEqual(second);
    await server.closed;
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
    expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
    await socket.close();
    expect((await stopped).killed).toBe(0);
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
