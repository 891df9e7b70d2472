// What the operator learns of a connection that a deadline has ended: its name, in the close reason.

import diagnostics_channel from "node:diagnostics_channel";
import type { CloseEvent, CloseReason } from "@x/glisten";
import type * as mug from "@x/mug";
import { expect, it, onTestFinished, vi } from "vitest";
import * as mist from "../../src/index.ts";
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

async function dribble(socket: mug.Socket): Promise<void> {
  const timer = setInterval(() => void socket.send("x").catch(() => {}), 50);
  onTestFinished(() => clearInterval(timer));
  await socket.send(post);
}

async function stop(_socket: mug.Socket, { server }: Served): Promise<void> {
  await vi.waitUntil(() => server.info().bytesRead > 0);
  void server.stop();
}

const send = (text: string) => (socket: mug.Socket) => socket.send(text);

type Act = (socket: mug.Socket, served: Served) => Promise<void>;

it.each<[name: string, deadline: string, ms: number, handler: mist.Handler, act: Act, then?: Act]>([
  ["a connection that says nothing", "headMs", 100, ok, silence],
  ["half a head", "headMs", 100, ok, send("GET / HT")],
  ["an idle connection", "keepAliveMs", 100, ok, send(get)],
  ["a body that stalls", "bodyIdleMs", 100, readAll, send(post)],
  ["a body that nobody reads, and that stalls", "bodyIdleMs", 100, ok, send(post)],
  ["a body that dribbles", "minBodyRate", 1_000_000, readAll, dribble],
  ["half a head while the server stops", "stopGraceMs", 100, ok, send("GET / HT"), stop],
  ["a client that takes nothing", "sendMs", 300, endless, send(get)],
])("%s: %s", { timeout: 15_000 }, async (_name, deadline, value, handler, act, then) => {
  const heard = reasons();
  const served = await serve(handler, (builder) => builder.withDeadlines({ [deadline]: value }));
  const socket = await served.connect();
  await act(socket, served);
  await then?.(socket, served);
  if (deadline !== "sendMs") {
    await socket.receiveToEnd({ timeout: 10_000 });
    await socket.close();
  }
  await vi.waitUntil(() => heard.length > 0, { timeout: 10_000 });
  // What a peer does not take is glisten's to watch, and has glisten's name.
  const named = deadline === "sendMs" ? "send" : deadline;
  expect(heard).toEqual([{ type: "deadline", deadline: named }]);
});
