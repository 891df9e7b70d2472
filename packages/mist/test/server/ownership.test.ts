// Who may read the connection's bytes, and when: the handler its own request's content until the response is
// complete, the connection everything else.

import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { stopTime } from "../stop-time.ts";
import { readAnswer, serve, statuses } from "./serve.ts";

const text = (body: string) => mist.response(200).setBody(mist.bytes(body));
const next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/** Handlers that answer early and go on reading, and what their reading comes to. */
function lateReader(read: (request: mist.Request) => Promise<unknown>) {
  const outcomes: unknown[] = [];
  const handler: mist.Handler = (request) => {
    if (request.path === "/next") return text("next");
    read(request).then(
      (value) => outcomes.push(value),
      (error) => outcomes.push(error),
    );
    return text("early");
  };
  return { outcomes, handler };
}

const readAll = (request: mist.Request) => mist.readBody(request, { maxBodyLimit: 1 << 20 });
const turns = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("a reader left behind by its own response", () => {
  it("that begins later does not get the next request's bytes", async () => {
    const { outcomes, handler } = lateReader(async (request) => {
      await turns();
      return readAll(request);
    });
    const { ask } = await serve(handler);
    const answers = await ask(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello${next}`);
    expect(statuses(answers)).toEqual([200, 200]);
    expect(answers).toMatch(/early.*next$/s);
    await expect.poll(() => outcomes).toEqual([expect.any(mist.UsageError)]);
  });

  it("that waits for content is told, and the connection closes", async () => {
    const { outcomes, handler } = lateReader(readAll);
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello");
    expect((await readAnswer(socket)).body).toBe("early");
    await expect.poll(() => outcomes).toEqual([expect.any(mist.UsageError)]);
    expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
  });

  it("that is between two pieces gets no third", async () => {
    const { outcomes, handler } = lateReader(async (request) => {
      const body = mist.stream(request);
      const first = await body.consume(2);
      await turns();
      return [first, await body.consume(1000)];
    });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
    expect((await readAnswer(socket)).body).toBe("early");
    await socket.send(`2\r\ncd\r\n0\r\n\r\n${next}`);
    expect((await readAnswer(socket)).body).toBe("next");
    await expect.poll(() => outcomes).toEqual([expect.any(mist.UsageError)]);
  });

  it("whose response was broken off is told", async () => {
    const outcomes: unknown[] = [];
    const { connect } = await serve((request) => {
      readAll(request).catch((error) => outcomes.push(error));
      return mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            yield "a";
            throw new Error("boom");
          })(),
        ),
      );
    });
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello");
    await socket.receiveToEnd({ timeout: 5000 });
    await expect.poll(() => outcomes).toEqual([expect.any(mist.TransportError)]);
  });
});

describe("content", () => {
  it("is read by one reader at a time", async () => {
    const { ask } = await serve(async (request) => {
      const both = await Promise.allSettled([readAll(request), readAll(request)]);
      return text(both.map(({ status }) => status).join());
    });
    const answer = await ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    expect(statuses(answer)).toEqual([200]);
  });

  it("that trickles in unread holds the connection no longer than one deadline", async () => {
    const clock = stopTime();
    const { connect, server } = await serve(
      () => text("no, thank you"),
      (builder) => builder.withDeadlines({ bodyIdleMs: 30_000 }),
    );
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n");
    expect((await readAnswer(socket)).body).toBe("no, thank you");
    // The deadline, and the lingering close behind it.
    for (let passed = 0; passed <= 33_000; passed += 1_000) {
      await socket.send("x").catch(() => {});
      await clock.advance(1_000);
    }
    expect(server.info().connections).toBe(0);
  });

  it("refused early does not cost the client the answer (RFC 9112 §9.6)", async () => {
    const { connect } = await serve(async (request) => {
      await mist.readBody(request, { maxBodyLimit: 1000 });
      return text("");
    });
    const socket = await connect();
    const size = 8 * 1024 * 1024;
    const sending = socket.send([
      `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${size}\r\n\r\n`,
      Buffer.alloc(size),
    ]);
    const answer = await readAnswer(socket);
    expect([answer.status, answer.headers.get("connection")]).toEqual([413, "close"]);
    expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
    await sending;
  });
});

describe("an upgrade", () => {
  const handshake =
    "host: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const websocket: mist.Handler = (request) =>
    request.path === "/next"
      ? text("next")
      : mist.websocket({ request, onInit: () => undefined, handler: () => {} });

  it.each([
    ["of a length", `GET / HTTP/1.1\r\n${handshake}content-length: 5\r\n\r\nhello`],
    ["in chunks", `GET / HTTP/1.1\r\n${handshake}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ])("asked for with content %s is the client's fault, and nobody else hears of it", async (_, request) => {
    const { ask, reports } = await serve(websocket);
    const answer = await ask(request + next);
    expect(statuses(answer)).toEqual([400, 200]);
    expect(reports).toEqual([]);
  });
});

describe("buffers", () => {
  it("pipelined requests behind a slow one are not collected without bound", async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let answered = 0;
    const { connect, server } = await serve(async (request) => {
      if (request.path === "/slow") await released;
      answered += 1;
      return text("");
    });
    const socket = await connect();
    const count = 100_000;
    await socket.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    const sending = socket.send(next.repeat(count));
    await turns();
    await turns();
    expect(server.info().bytesRead).toBeLessThan(1024 * 1024);
    release();
    let [received, cut] = [0, ""];
    while (received < count + 1) {
      const bytes = cut + (await socket.receive({ timeout: 5000 })).toString("latin1");
      received += bytes.split("\r\n\r\n").length - 1;
      cut = /\r?\n?\r?$/.exec(bytes)?.[0] ?? "";
    }
    await sending;
    expect(answered).toBe(count + 1);
  });

  it("pipelined requests behind answers nobody takes are not collected without bound", async () => {
    const { connect, server } = await serve(() => text("x".repeat(64 * 1024)));
    const socket = await connect();
    socket.send(next.repeat(500_000)).catch(() => {});
    let before = -1;
    await expect
      .poll(
        () => {
          const same = server.info().bytesRead === before;
          before = server.info().bytesRead;
          return same && before > 0;
        },
        { interval: 200, timeout: 10_000 },
      )
      .toBe(true);
    expect(server.info().bytesRead).toBeLessThan(2 * 1024 * 1024);
    await socket.reset();
    await expect.poll(() => server.info().connections).toBe(0);
  });
});
