// What the operator learns of a connection that a deadline has ended: its name, in the close reason.

import diagnostics_channel from "node:diagnostics_channel";
import type { CloseEvent, CloseReason } from "@x/glisten";
import type { VirtualClock } from "@x/glisten/testing";
import type * as mug from "@x/mug";
import { expect, it, onTestFinished, vi } from "vitest";
import * as mist from "../../src/index.ts";
import { stopTime } from "../stop-time.ts";
import { type Served, serve } from "./serve.ts";

const ok = () => mist.text("ok");
const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc";

const readAll: mist.Handler = async (request) => {
  await mist.readBody(request, { maxBodyLimit: 1 << 20 });
  return ok();
};
const endless: mist.Handler = () =>
  mist.response(200).setBody(
    mist.chunked(
      (function* () {
        for (;;) yield Buffer.alloc(65_536);
      })(),
    ),
  );

/** The reasons that connections of this process close for. */
function reasons(): CloseReason[] {
  const heard: CloseReason[] = [];
  const hear = (event: unknown) => void heard.push((event as CloseEvent).reason);
  diagnostics_channel.subscribe("glisten:connection:close", hear);
  onTestFinished(() => void diagnostics_channel.unsubscribe("glisten:connection:close", hear));
  return heard;
}

async function silence(): Promise<void> {}

async function dribble(socket: mug.Socket, _served: Served, clock: VirtualClock): Promise<void> {
  await socket.send(post);
  // The rate counts after five seconds.
  for (let passed = 0; passed <= 5_000; passed += 100) {
    await socket.send("x").catch(() => {});
    await clock.advance(100);
  }
}

async function stop(_socket: mug.Socket, { server }: Served): Promise<void> {
  await vi.waitUntil(() => server.info().bytesRead > 0);
  void server.stop({ deadlineMs: 60_000 });
}

const send = (text: string) => (socket: mug.Socket) => socket.send(text);

type Act = (socket: mug.Socket, served: Served, clock: VirtualClock) => Promise<void>;

it.each<[name: string, deadline: string, ms: number, handler: mist.Handler, act: Act, then?: Act]>([
  ["a connection that says nothing", "headMs", 30_000, ok, silence],
  ["half a head", "headMs", 30_000, ok, send("GET / HT")],
  ["an idle connection", "keepAliveMs", 75_000, ok, send(get)],
  ["a body that stalls", "bodyIdleMs", 30_000, readAll, send(post)],
  ["a body that nobody reads, and that stalls", "bodyIdleMs", 30_000, ok, send(post)],
  ["a body that dribbles", "minBodyRate", 1_000_000, readAll, dribble],
  ["half a head while the server stops", "stopGraceMs", 5_000, ok, send("GET / HT"), stop],
])("%s: %s", async (_name, deadline, value, handler, act, then) => {
  const clock = stopTime();
  const heard = reasons();
  const served = await serve(handler, (builder) => builder.withDeadlines({ [deadline]: value }));
  const socket = await served.connect();
  await act(socket, served, clock);
  await then?.(socket, served, clock);
  await clock.until(socket.receiveToEnd());
  await socket.close();
  await clock.until(vi.waitUntil(() => heard.length > 0));
  expect(heard).toEqual([{ type: "deadline", deadline }]);
});

// What a peer does not take is glisten's to watch, and has glisten's name. It is the system that knows, in real time.
it("a client that takes nothing: send", async () => {
  const heard = reasons();
  const { connect } = await serve(endless, (builder) => builder.withDeadlines({ sendMs: 300 }));
  const socket = await connect();
  await socket.send(get);
  await vi.waitUntil(() => heard.length > 0, { timeout: 10_000 });
  expect(heard).toEqual([{ type: "deadline", deadline: "send" }]);
});
