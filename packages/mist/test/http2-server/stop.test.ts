// A stop over HTTP/2: GOAWAY twice, streams under way finish, and the report counts them.

import { once } from "node:events";
import { constants } from "node:http2";
import { selector, subject } from "@x/glisten/actor";
import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { stopTime } from "../stop-time.ts";
import { answerOf, ask, session } from "./client.ts";

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test("streams under way finish; the client is told twice which ones count", async () => {
  const [begun, held] = [gate(), gate()];
  const { url, server } = await serve(async (request) => {
    if (request.path === "/slow") {
      begun.open();
      await held.opened;
    }
    return mist.text(request.path);
  });
  const client = await session(url);
  await ask(client, "/first");
  const lastIds: (number | undefined)[] = [];
  client.on("goaway", (code: number, lastId: number) => lastIds.push(code === 0 ? lastId : undefined));
  const slow = ask(client, "/slow");
  await begun.opened;
  expect(server.info().streams).toBe(1);
  const stopped = server.stop({ deadlineMs: 5000 });
  await expect.poll(() => lastIds.length).toBe(2);
  held.open();
  expect((await slow).body.toString()).toBe("/slow");
  expect(lastIds).toEqual([2 ** 31 - 1, 3]);
  const report = await stopped;
  expect(report.streams).toEqual({ drained: 1, killed: 0 });
  expect(report.byKind).toEqual({ http2: { drained: 1, killed: 0 } });
});

test("an idle connection, and one that has not said anything, end at once", async () => {
  const clock = stopTime();
  const { url, server, connect } = await serve(() => mist.text("ok"));
  const client = await session(url);
  await ask(client, "/");
  const silent = await connect();
  const closed = once(client, "close");
  const report = await clock.until(server.stop({ deadlineMs: 60_000 }));
  expect(report).toMatchObject({ drained: 2, killed: 0, streams: { drained: 0, killed: 0 } });
  await closed;
  await silent.close();
});

test("a client that acknowledges no PING is not waited for", async () => {
  const clock = stopTime();
  const { server, connect } = await serve(() => mist.text("ok"));
  const socket = await connect();
  await socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
  await socket.receiveExact(9, { timeout: 5000 });
  expect(await clock.until(server.stop({ deadlineMs: 60_000 }))).toMatchObject({ drained: 1, killed: 0 });
  await socket.close();
});

test("at the deadline, what is left is cut off and counted", async () => {
  const begun = gate();
  const aborted = gate();
  const { url, server } = await serve(async (request) => {
    request.signal.addEventListener("abort", () => aborted.open());
    begun.open();
    await aborted.opened;
    return mist.text("too late");
  });
  const client = await session(url);
  const answer = ask(client, "/").catch((error: Error) => error);
  await begun.opened;
  const report = await server.stop({ deadlineMs: 50 });
  expect(report.streams).toEqual({ drained: 0, killed: 1 });
  expect(await answer).toBeInstanceOf(Error);
  expect(server.info().streams).toBe(0);
});

test("under load with reconnects, every request that is answered is answered whole", async () => {
  const { url, server } = await serve(async (request) => {
    await new Promise((resolve) => setImmediate(resolve));
    return mist.response(200).setBody(mist.chunked([request.path, "-", "end"]));
  });
  let stopping = false;
  let answered = 0;
  const wrong: unknown[] = [];
  async function load(name: number): Promise<void> {
    for (let client = await session(url); ; ) {
      const lost: unknown[] = [];
      for (let n = 0; !client.closed && !client.destroyed; n++) {
        const stream = client.request({ ":path": `/${name}/${n}` });
        const answer = await answerOf(stream).catch((error: unknown) => error);
        if (answer instanceof Error) {
          // REFUSED_STREAM: behind the last one that counts. It may be asked again, and so may one that was never sent.
          const refused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
          if (!refused && stream.id !== undefined) lost.push(answer);
          break;
        }
        if ((answer as { body: Buffer }).body.toString() !== `/${name}/${n}-end`) wrong.push(answer);
        answered += 1;
      }
      wrong.push(...lost);
      if (stopping) return;
      client = await session(url);
    }
  }
  const loads = Array.from({ length: 8 }, (_, name) => load(name));
  await expect.poll(() => answered).toBeGreaterThan(200);
  stopping = true;
  const report = await server.stop({ deadlineMs: 5000 });
  await Promise.all(loads);
  expect(report.killed).toBe(0);
  expect(report.streams.killed).toBe(0);
  expect(wrong).toEqual([]);
});

test("an event stream hears of it and ends", async () => {
  const news = subject<string>();
  const { url, server } = await serve((request) =>
    mist.serverSentEvents<undefined, string>({
      request,
      init: () => [undefined, selector<string>().select(news)] as const,
      loop: (_state, message, stream) => void stream.sendEvent(mist.event(message)),
    }),
  );
  const client = await session(url);
  const stream = client.request({ ":path": "/" });
  const answer = answerOf(stream);
  await once(stream, "response");
  news.send("hello");
  await once(stream, "data");
  expect(await server.stop({ deadlineMs: 5000 })).toMatchObject({ killed: 0, streams: { drained: 1 } });
  expect((await answer).body.toString()).toMatch(/^data: hello\n\nretry: 1000\n/);
});
