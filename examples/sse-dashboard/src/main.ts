// A dashboard that draws what the server feels: event-loop delay, memory and processor, twice a second over
// Server-Sent Events. A browser that lost its connection says which event it saw last and gets what it missed.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Receiver, selector } from "@x/glisten/actor";
import * as mist from "@x/mist";
import { PAGE } from "./page.ts";

interface Sample {
  readonly id: number;
  readonly delayMs: number;
  readonly memoryMiB: number;
  readonly processorPercent: number;
}

const EVERY_MS = 500;
/** Samples kept for browsers that come back. */
const KEPT = 240;

const samples: Sample[] = [];
const listeners = new Set<Receiver<Sample>>();
const delays = monitorEventLoopDelay({ resolution: 10 });
delays.enable();
let usage = process.cpuUsage();

const timer = setInterval(() => {
  const { user, system } = process.cpuUsage(usage);
  usage = process.cpuUsage();
  const sample: Sample = {
    id: (samples.at(-1)?.id ?? 0) + 1,
    delayMs: round(delays.percentile(99) / 1e6),
    memoryMiB: round(process.memoryUsage.rss() / 2 ** 20),
    processorPercent: round((user + system) / 10 / EVERY_MS),
  };
  delays.reset();
  samples.push(sample);
  if (samples.length > KEPT) samples.shift();
  for (const listener of listeners) listener(sample);
}, EVERY_MS);

const server = await mist
  .new((request) => {
    if (request.path === "/feed") return feed(request);
    if (request.path === "/") return mist.html(PAGE);
    return mist.response(404);
  })
  .port(Number(process.env["PORT"] ?? 4003))
  .afterStart(({ port }) => console.log(`dashboard on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    clearInterval(timer);
    await server.stop();
  });

function feed(request: mist.Request): mist.ServerResponse {
  const seen = Number(request.getHeader("last-event-id") ?? 0);
  return mist.serverSentEvents({
    request,
    init: () => [undefined, selector<Sample>().select({ subscribe: (receiver) => listen(receiver, seen) })],
    loop: (_state, { id, ...values }: Sample, stream) => {
      stream.sendEvent(mist.event(JSON.stringify(values)).eventId(String(id)));
    },
  });
}

/** What came after `seen`, and then everything new. */
function listen(receiver: Receiver<Sample>, seen: number): () => void {
  for (const sample of samples) if (sample.id > seen) receiver(sample);
  listeners.add(receiver);
  return () => listeners.delete(receiver);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
