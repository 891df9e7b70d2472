import { test, expect } from "vitest";
import { selector, subject } from "@x/glisten/actor";
import * as mist from "../../src/index.ts";
test("sse smoke", async () => {
  const ticks = subject<number>();
  let closed = 0;
  const server = await mist.new((request) => mist.serverSentEvents({ request, init: (s) => { s.sendComment("hi"); return [0, selector<number>().select(ticks)]; }, loop(n, tick: number, stream) { stream.sendEvent(mist.event(`${tick}\nx`).eventId(`${n}`)); return mist.continue(n + 1); }, onClose: () => { closed++; } })).port(0).afterStart(() => {}).start();
  const r = await fetch(`http://127.0.0.1:${server.port}/`);
  expect(r.headers.get("content-type")).toBe("text/event-stream");
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
  console.log(JSON.stringify((await reader.read()).value));
  ticks.send(5);
  console.log(JSON.stringify((await reader.read()).value));
  const stopping = server.stop({ deadlineMs: 1000 });
  let rest = ""; for (;;) { const x = await reader.read(); if (x.done) break; rest += x.value; }
  console.log(JSON.stringify(rest), await stopping, closed);
});
