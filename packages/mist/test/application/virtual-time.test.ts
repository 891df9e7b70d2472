// One virtual clock drives mist, glisten and mug, over real sockets: minutes pass at once.

import type * as mug from "@x/mug";
import { connect as connectPeer } from "@x/mug/testing";
import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, serve } from "../server/serve.ts";
import { stopTime } from "../stop-time.ts";

/** The wheel of deadlines is late by two turns at most. */
const grainMs = 200;

const ok = () => mist.response(200).setBody(mist.bytes("ok"));

/** Whether the server has ended the connection. */
async function isClosed(socket: mug.Socket): Promise<boolean> {
  return socket.receive({ timeout: 0 }).then(
    () => false,
    (error: mug.MugError) => error.code !== "timeout",
  );
}

async function getOnce(socket: mug.Socket): Promise<void> {
  await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  expect((await readAnswer(socket)).status).toBe(200);
}

test("an idle connection is kept for 75 seconds, and closed then", async () => {
  const clock = stopTime();
  const { connect } = await serve(ok);
  const socket = await connect();
  await getOnce(socket);
  await clock.advance(75_000 - 1);
  expect(await isClosed(socket)).toBe(false);
  await clock.advance(1 + grainMs);
  expect(await isClosed(socket)).toBe(true);
});

test("every request begins the 75 seconds anew", async () => {
  const clock = stopTime();
  const { connect } = await serve(ok);
  const socket = await connect();
  for (let i = 0; i < 5; i++) {
    await getOnce(socket);
    await clock.advance(70_000);
  }
  expect(await isClosed(socket)).toBe(false);
});

test("a head that does not end within its deadline is answered 408", async () => {
  const clock = stopTime();
  const { connect } = await serve(ok, (builder) => builder.withDeadlines({ headMs: 60_000 }));
  const socket = await connect();
  await socket.send("GET / HTTP/1.1\r\nhost: a\r\n");
  await clock.advance(60_000 - 1);
  expect(await isClosed(socket)).toBe(false);
  await clock.advance(1 + grainMs);
  expect((await readAnswer(socket)).status).toBe(408);
});

test("a quiet event stream sends a comment every 15 seconds", async () => {
  const clock = stopTime();
  const { connect } = await serve((request) =>
    mist.serverSentEvents({ request, init: () => undefined, loop: () => {} }),
  );
  const socket = await connect();
  await socket.send("GET / HTTP/1.0\r\n\r\n");
  await socket.receiveUntil("\r\n\r\n");
  for (let i = 0; i < 4; i++) {
    await clock.advance(15_000 + grainMs);
    expect((await socket.receive()).toString()).toBe(": \n\n");
  }
});

test("a stop drains for as long as its deadline says", async () => {
  const clock = stopTime();
  const { connect, server } = await serve(() => new Promise<never>(() => {}));
  const socket = await connect();
  await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await clock.settle();
  let report: mist.StopReport | undefined;
  void server.stop({ deadlineMs: 300_000, delayMs: 10_000 }).then((given) => {
    report = given;
  });
  await clock.advance(310_000 - 1);
  expect(report).toBeUndefined();
  await clock.advance(1);
  expect(report).toMatchObject({ drained: 0, killed: 1 });
});

test("a receive of mug's times out", async () => {
  const clock = stopTime();
  const { connect } = await serve(ok);
  const socket = await connect();
  const answer = socket.receive({ timeout: 9_000 });
  answer.catch(() => {});
  await clock.advance(9_000);
  await expect(answer).rejects.toMatchObject({ code: "timeout" });
});

test("a scripted peer dribbles a request over minutes", async () => {
  const clock = stopTime();
  const { port } = await serve(ok, (builder) => builder.withDeadlines({ headMs: 60_000 }));
  await using peer = await connectPeer("127.0.0.1", { port, expectTimeoutMs: 120_000 });
  const sent = peer.dribble("GET / HTTP/1.1\r\nhost: a\r\n\r\n", { size: 1, everyMs: 10_000 });
  sent.catch(() => {});
  await clock.advance(60_000 + grainMs);
  await peer.expectMatch(/^HTTP\/1\.1 408 /);
});

test("responses tell the virtual time of day", async () => {
  const clock = stopTime(Date.UTC(1994, 10, 6, 8, 49, 37));
  const { connect } = await serve(ok);
  const socket = await connect();
  const dates: (string | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    dates.push((await readAnswer(socket)).headers.get("date"));
    await clock.advance(500);
  }
  expect(dates).toEqual([
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:38 GMT",
  ]);
});

test("nothing of a server that has stopped waits in the clock", async () => {
  const clock = stopTime();
  const { connect, server } = await serve(ok);
  const socket = await connect();
  await getOnce(socket);
  await socket.close();
  await server.stop();
  await clock.runUntilIdle(5_000);
  expect(clock.pendingTimers).toEqual([]);
});
