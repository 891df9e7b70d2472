// The clock and figures that the page shows, once a second to everyone who listens.

import { selector } from "@x/glisten/actor";
import * as mist from "@x/mist";

/** One reading. Instants in milliseconds since 1970, amounts in bytes. */
export interface Figures {
  readonly now: number;
  readonly uptimeSeconds: number;
  readonly requests: number;
  readonly connections: number;
  /** Requests over HTTP/2 that are being answered, WebSockets and event streams included. */
  readonly streams: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly memory: number;
  readonly processorPercent: number;
}

/** Readings that are kept for pages that open, one a second. */
const KEPT = 61;
const history: Figures[] = [];

const listeners = new Set<(figures: Figures) => void>();
const readings = {
  subscribe(receiver: (figures: Figures) => void): () => void {
    listeners.add(receiver);
    return () => listeners.delete(receiver);
  },
};

let requests = 0;

export function countRequest(): void {
  requests++;
}

/** Reads the server once a second; the returned function ends that. */
export function watch(server: mist.Server): () => void {
  let before = { at: performance.now(), usage: process.cpuUsage() };
  const timer = setInterval(() => {
    const now = { at: performance.now(), usage: process.cpuUsage() };
    const busyMs = (now.usage.user + now.usage.system - before.usage.user - before.usage.system) / 1_000;
    const processorPercent = Math.round((busyMs / (now.at - before.at)) * 100);
    before = now;
    const figures = read(server, processorPercent);
    history.push(figures);
    if (history.length > KEPT) history.shift();
    for (const listener of listeners) listener(figures);
  }, 1_000);
  return () => clearInterval(timer);
}

function read(server: mist.Server, processorPercent: number): Figures {
  const info = server.info();
  return {
    now: Date.now(),
    uptimeSeconds: process.uptime(),
    requests,
    connections: info.connections,
    streams: info.streams,
    bytesIn: info.bytesRead,
    bytesOut: info.bytesWritten,
    memory: process.memoryUsage.rss(),
    processorPercent,
  };
}

/** An event stream of the readings. It begins with those of the last minute, so that a new page has a full chart. */
export function live(request: mist.Request): mist.ServerResponse {
  return mist.serverSentEvents({
    request,
    init: (stream) => {
      stream.sendEvent(mist.event(JSON.stringify(history)).eventName("history"));
      return [undefined, selector<Figures>().select(readings)];
    },
    // A page that does not keep up misses readings; it never piles them up here.
    maxMailbox: 1,
    overflow: "drop-oldest",
    loop: (_state, figures: Figures, stream) => {
      stream.sendEvent(mist.event(JSON.stringify(figures)).eventName("figures"));
    },
  });
}
