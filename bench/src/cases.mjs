// What is measured, case by case: the job, the contestants, and the limits of our share of what others take.

/** @import { Extent, Figure, Job, LoadJob, Task, TaskJob } from "./figures.mjs" */
/** @import { ServerProcess } from "./server-process.mjs" */

import * as figures from "./figures.mjs";
import { openFiles } from "./machine.mjs";

/**
 * What must hold. `atMost` limits the ratio of the first contestant's figure to that of `against`, `apartAtMost` their
 * difference; with `spreadOf`, `atMost` limits the ratio of the largest to the smallest figure of one contestant.
 *
 * @typedef {{ against: string, atMost: number, apartAtMost?: undefined, spreadOf?: undefined }
 *   | { against: string, apartAtMost: number, atMost?: undefined, spreadOf?: undefined }
 *   | { spreadOf: string, atMost: number, apartAtMost?: undefined, against?: undefined }} Target
 */

/**
 * Takes a figure. A method, so that each way may name the kind of job it can do.
 *
 * @typedef {{ measure(server: ServerProcess, job: Job, extent: Extent): Promise<Figure> }["measure"]} Measure
 */

/**
 * @typedef {object} Case
 * @property {string} id
 * @property {string} group
 * @property {string} title
 * @property {string} unit
 * @property {{ name: string, server: string, job: Job }[]} contestants `server` names one of contestants.mjs
 * @property {Measure} measure
 * @property {Target[]} targets
 * @property {boolean} [peer] the contestants are clients and need a peer
 */

/**
 * A case as it stands below: a contestant may be just its name, and `cases` fills in what is left out.
 *
 * @typedef {Omit<Case, "group" | "unit" | "contestants" | "measure"> & {
 *   unit?: string,
 *   job: Job,
 *   measure?: Measure,
 *   contestants: (string | { name: string, server: string, job?: Partial<LoadJob> | Partial<TaskJob> })[],
 * }} Declaration
 */

/** @type {LoadJob} */
const http = { protocol: "http", connections: 64 };
/** @type {LoadJob} */
const get = { ...http, exchange: "get", wrk: true };
const everyone = ["mist", "floor", "node:http", "fastify", "@hono/node-server", "Bun", "uWebSockets.js"];
const cpu = "µs CPU";

/**
 * @param {number} limit
 * @param {string} against
 * @returns {Target}
 */
const atMost = (limit, against) => ({ against, atMost: limit });
/**
 * @param {number} limit
 * @param {string} against
 * @returns {Target}
 */
const apart = (limit, against) => ({ against, apartAtMost: limit });

/** @type {Declaration[]} */
const httpCases = [
  {
    id: "get",
    title: "keep-alive GET, 64 connections",
    unit: `${cpu}/request`,
    contestants: everyone,
    job: get,
    targets: [atMost(1.15, "floor"), atMost(0.55, "node:http")],
  },
  {
    id: "pipelined",
    title: "16 GETs pipelined, 64 connections",
    unit: `${cpu}/request`,
    contestants: everyone,
    job: { ...get, inFlight: 16 },
    targets: [atMost(2.5, "floor"), atMost(0.15, "node:http"), atMost(1, "uWebSockets.js")],
  },
  {
    id: "post",
    title: "POST 1 KiB echo, 64 connections",
    unit: `${cpu}/request`,
    contestants: everyone.with(1, "floor (POST)"),
    job: { ...http, exchange: "post-echo", wrk: true },
    targets: [atMost(0.6, "node:http")],
  },
  {
    id: "upload",
    title: "1 MiB upload streamed to a hash",
    unit: `${cpu}/MiB`,
    contestants: ["mist", "node:http"],
    job: { ...http, connections: 8, exchange: "upload" },
    targets: [atMost(1, "node:http")],
  },
  {
    id: "download",
    title: "100 MiB download in chunks",
    unit: `${cpu}/MiB`,
    contestants: ["mist", "node:http"],
    job: { ...http, connections: 2, exchange: "download", unitsPerAnswer: 100 },
    targets: [atMost(1, "node:http")],
  },
  {
    id: "file",
    title: "1 MiB file, 8 connections",
    unit: `${cpu}/file`,
    contestants: ["mist", "floor (file)", "node:http", "nginx"],
    job: { ...http, connections: 8, exchange: "file" },
    targets: [atMost(0.8, "node:http")],
  },
  {
    id: "small-file",
    title: "4 KiB file, 32 connections",
    unit: `${cpu}/file`,
    contestants: ["mist", "floor (small file)", "node:http", "nginx"],
    job: { ...http, connections: 32, exchange: "small-file" },
    targets: [atMost(0.8, "node:http")],
  },
  {
    id: "close",
    title: "GET without keep-alive, 32 at a time",
    unit: `${cpu}/request`,
    contestants: ["mist", "floor (close)", "node:http"],
    job: { ...http, connections: 32, exchange: "get-once", mode: "once", serverCloses: true, wrk: true },
    targets: [atMost(0.8, "node:http")],
  },
  {
    id: "tls",
    title: "keep-alive GET over TLS, 64 connections",
    unit: `${cpu}/request`,
    contestants: ["mist (TLS)", "floor (TLS)", "node:https"],
    job: { ...http, exchange: "get", tls: true },
    targets: [atMost(0.7, "node:https")],
  },
  {
    id: "fields",
    title: "20 request fields instead of 3",
    unit: `${cpu}/request`,
    contestants: [
      { name: "mist, 20 fields", server: "mist", job: { exchange: "get-twenty" } },
      { name: "mist, 3 fields", server: "mist" },
      { name: "node:http, 20 fields", server: "node:http", job: { exchange: "get-twenty" } },
      { name: "node:http, 3 fields", server: "node:http" },
    ],
    job: get,
    targets: [atMost(1.5, "mist, 3 fields"), atMost(1, "node:http, 20 fields")],
  },
  ...[64, 1000].map((connections) => ({
    id: `p99-${connections}`,
    title: `GET, 99th percentile, ${connections} connections`,
    unit: "ms",
    contestants: ["mist", "floor", "node:http"],
    job: { ...get, connections },
    measure: figures.p99,
    targets: [atMost(1, "node:http")],
  })),
  {
    id: "growth",
    title: "GET, by the number of connections",
    unit: `${cpu}/request`,
    contestants: ["mist", "floor", "node:http"].flatMap((server) =>
      [10, 100, 1000, 10_000].map((connections) => ({
        name: `${server}, ${connections}`,
        server,
        job: { connections },
      })),
    ),
    job: { ...http, exchange: "get" },
    targets: [{ spreadOf: "mist", atMost: 1.3 }],
  },
  {
    id: "http-memory",
    title: "idle HTTP connection, memory",
    unit: "bytes of heap",
    contestants: ["mist", "floor", "node:http"],
    job: { ...http, exchange: "get", connections: 4000, kind: "heap" },
    measure: figures.memoryPerConnection,
    targets: [atMost(1, "node:http")],
  },
];

/** @type {LoadJob} */
const http2 = { protocol: "http2", connections: 16, inFlight: 32, exchange: "get", wrk: true };
const overTls = [
  { name: "mist", server: "mist (TLS)" },
  { name: "floor", server: "floor (HTTP/2, TLS)" },
  { name: "nghttpd", server: "nghttpd (TLS)" },
  { name: "node:http2", server: "node:http2 (TLS)" },
];
const overTcp = ["mist", { name: "floor", server: "floor (HTTP/2)" }, "nghttpd", "node:http2"];

/** @type {Declaration[]} */
const http2Cases = [
  {
    id: "http2",
    title: "HTTP/2 GET, 1 stream, 64 connections",
    unit: `${cpu}/request`,
    contestants: overTcp,
    job: { ...http2, connections: 64, inFlight: 1 },
    targets: [atMost(1.15, "floor")],
  },
  {
    id: "http2-32",
    title: "HTTP/2 GET, 32 streams, 16 connections",
    unit: `${cpu}/request`,
    contestants: overTcp,
    job: http2,
    targets: [atMost(0.7, "nghttpd"), atMost(0.12, "node:http2")],
  },
  {
    id: "http2-tls",
    title: "HTTP/2 GET over TLS, 1 stream, 64 connections",
    unit: `${cpu}/request`,
    contestants: overTls,
    job: { ...http2, connections: 64, inFlight: 1, tls: true },
    targets: [atMost(1.2, "nghttpd")],
  },
  {
    id: "http2-tls-32",
    title: "HTTP/2 GET over TLS, 32 streams, 16 connections",
    unit: `${cpu}/request`,
    contestants: overTls,
    job: { ...http2, tls: true },
    targets: [atMost(1.2, "nghttpd"), atMost(0.2, "node:http2")],
  },
  {
    id: "http2-post",
    title: "HTTP/2 POST 1 KiB echo, 32 streams",
    unit: `${cpu}/request`,
    contestants: ["mist", "node:http2"], // nghttpd writes what it echoes to a file
    job: { ...http2, exchange: "post-echo" },
    targets: [atMost(0.25, "node:http2")],
  },
  ...[1, 8].map((inFlight) => ({
    id: inFlight === 1 ? "http2-download" : `http2-download-${inFlight}`,
    title: `HTTP/2 100 MiB download, ${inFlight} stream${inFlight === 1 ? "" : "s"}`,
    unit: `${cpu}/MiB`,
    contestants: ["mist", "nghttpd", "node:http2"],
    job: { ...http2, connections: 2, inFlight, exchange: "download", wrk: false, unitsPerAnswer: 100 },
    targets: [atMost(1, "node:http2"), atMost(1.3, "nghttpd")],
  })),
  {
    id: "http2-upload",
    title: "HTTP/2 10 MiB upload, counted",
    unit: `${cpu}/MiB`,
    contestants: ["mist", "node:http2"],
    job: { ...http2, connections: 2, inFlight: 1, exchange: "large-upload", wrk: false, unitsPerAnswer: 10 },
    targets: [atMost(1, "node:http2")],
  },
  // node:http2 keeps its state in C++, where no figure of the heap has it: only RSS can be compared.
  ...[
    { what: "connection", title: "idle HTTP/2 connection", job: { connections: 4000, inFlight: 1 } },
    {
      what: "stream",
      title: "open HTTP/2 stream",
      job: {
        connections: 100,
        inFlight: 100,
        exchange: "post-held",
        each: /** @type {const} */ ("stream"),
      },
    },
  ].flatMap(({ what, title, job }) =>
    /** @type {const} */ (["heap", "rss"]).map((kind) => ({
      id: `http2-${what}-${kind}`,
      title: `${title}, ${kind === "rss" ? "RSS" : "heap"}`,
      unit: kind === "rss" ? "bytes of RSS" : "bytes of heap",
      contestants: ["mist", "node:http2"],
      job: { ...http2, ...job, kind },
      measure: figures.memoryPerConnection,
      targets: kind === "rss" ? [atMost(1, "node:http2")] : [],
    })),
  ),
];

/** @type {LoadJob} */
const echo = { protocol: "echo", connections: 64, size: 64 };

/** @type {Declaration[]} */
const glistenCases = [
  {
    id: "echo",
    title: "TCP echo 64 B, 1 in flight",
    contestants: ["glisten", "node:net"],
    job: echo,
    targets: [atMost(1.1, "node:net")],
  },
  {
    id: "echo-32",
    title: "TCP echo 64 B, 32 in flight",
    contestants: ["glisten", "node:net"],
    job: { ...echo, inFlight: 32 },
    targets: [atMost(1.1, "node:net")],
  },
  {
    id: "echo-64k",
    title: "TCP echo 64 KiB, 16 connections",
    contestants: ["glisten", "node:net"],
    job: { ...echo, connections: 16, size: 65_536 },
    targets: [atMost(1.1, "node:net")],
  },
  {
    id: "echo-64k-heap",
    title: "TCP echo 64 KiB beside 75 MB of objects",
    contestants: ["glisten", "node:net"],
    job: { ...echo, connections: 16, size: 65_536, ballast: 600_000 },
    targets: [atMost(1.1, "node:net")],
  },
  {
    id: "connect",
    title: "TCP connections, one message each",
    unit: `${cpu}/connection`,
    contestants: ["glisten", "node:net"],
    job: { ...echo, connections: 32, mode: "once", messages: 12_000 },
    targets: [atMost(1 / 0.85, "node:net")],
  },
  {
    id: "tls-echo",
    title: "TLS echo 64 B, 1 in flight",
    contestants: ["glisten (TLS)", "node:tls"],
    job: { ...echo, tls: true },
    targets: [atMost(1.1, "node:tls")],
  },
  {
    id: "tls-echo-64k",
    title: "TLS echo 64 KiB, 16 connections",
    contestants: ["glisten (TLS)", "node:tls"],
    job: { ...echo, connections: 16, size: 65_536, tls: true },
    targets: [atMost(1.1, "node:tls")],
  },
  {
    id: "tcp-memory",
    title: "idle TCP connection, memory",
    unit: "bytes of heap",
    contestants: ["glisten", "node:net"],
    job: { ...echo, connections: 4000, kind: "heap" },
    measure: figures.memoryPerConnection,
    targets: [apart(2048, "node:net")],
  },
];

/**
 * A message to an actor, and the ways beside it, in one process.
 *
 * @type {Declaration[]}
 */
const actorCases = [
  {
    id: "actor",
    title: "message to an actor",
    unit: `${cpu}/1 000 messages`,
    contestants: [
      { name: "actor subject", server: "actor process", job: { workload: "send" } },
      { name: "EventEmitter", server: "actor process", job: { workload: "emit" } },
      { name: "loop", server: "actor process", job: { workload: "deliver" } },
      { name: "loop, new state", server: "actor process", job: { workload: "deliverContinue" } },
      { name: "loop, async", server: "actor process", job: { workload: "deliverAsync" } },
      { name: "selector", server: "actor process", job: { workload: "select" } },
      { name: "mailbox", server: "actor process", job: { workload: "mailbox" } },
      { name: "ping-pong", server: "actor process", job: { workload: "pingPong" } },
    ],
    job: { workload: "send", units: 1_000_000, batches: 3, kind: "cpu", per: 1000 },
    measure: figures.taskCost,
    targets: [],
  },
  {
    id: "actor-life",
    title: "start and stop of a loop, supervised or not",
    unit: `${cpu}/1 000 loops`,
    contestants: [
      { name: "loop", server: "actor process", job: { workload: "lifecycle" } },
      { name: "supervised child", server: "actor process", job: { workload: "adopt" } },
    ],
    job: { workload: "lifecycle", units: 200_000, batches: 3, kind: "cpu", per: 1000 },
    measure: figures.taskCost,
    targets: [],
  },
];

/**
 * Two cases, wall-clock and CPU time, between mug and a bare socket.
 *
 * @param {string} id
 * @param {string} title
 * @param {Pick<Task, "workload" | "message" | "units">} job
 * @param {number} limit
 * @returns {Declaration[]}
 */
function mugCase(id, title, job, limit, side = "mug") {
  return /** @type {const} */ (["wall", "cpu"]).map((kind) => ({
    id: `${id}-${kind}`,
    title: `${title}, ${kind === "cpu" ? "CPU" : "time"}`,
    unit: kind === "cpu" ? `${cpu} each` : "µs each",
    contestants: [
      { name: "mug", server: "client process", job: { side } },
      { name: "node:net", server: "client process", job: { side: "bare" } },
    ],
    job: { ...job, kind, batches: 9 },
    peer: true,
    measure: figures.taskCost,
    targets: [atMost(limit, "node:net")],
  }));
}

const mugCases = [
  ...mugCase(
    "round-trip",
    "client round trip, 44 B",
    { workload: "echo", message: "small", units: 3000 },
    1.15,
  ),
  ...mugCase(
    "round-trip-timeout",
    "client round trip with a timeout",
    { workload: "echo", message: "small", units: 3000 },
    1.15,
    "mugWithTimeout",
  ),
  ...mugCase(
    "round-trip-64k",
    "client round trip, 64 KiB",
    { workload: "echo", message: "block", units: 600 },
    1.05,
  ),
  ...mugCase(
    "bulk",
    "client download, 64 KiB blocks",
    { workload: "download", message: "block", units: 2000 },
    1.05,
  ),
];

/** @type {LoadJob} */
const websocket = { protocol: "websocket", connections: 64, size: 64, path: "/ws" };
// A bare TCP echo of the same frames.
const bareTcp = {
  name: "node:net",
  server: "node:net",
  job: /** @type {const} */ ({ protocol: "frame-echo" }),
};

// A message in each turn of the event loop, or the next when all clients have the last: writes can be shared or not.
/** @type {LoadJob} */
const broadcast = { ...websocket, connections: 1000, size: 128, path: "/room", times: 100 };
const bareRoom = {
  name: "node:net",
  server: "node:net (room)",
  job: /** @type {const} */ ({ protocol: "frame-room" }),
};
/** @type {Partial<LoadJob>} */
const frames = { protocol: "frame-room" };
const bareRedis = { name: "node-redis", server: "node:net (Redis)", job: frames };
const bareNats = { name: "nats.js", server: "node:net (NATS)", job: frames };
/** @type {{ name: string, server: string, job: Partial<LoadJob> }} */
const socketIo = { name: "socket.io", server: "socket.io (Redis)", job: { protocol: "socket.io" } };
const room = ["mist", bareRoom, "ws", "uWebSockets.js"];
/** @type {LoadJob} */
const events = { ...broadcast, protocol: "events", path: "/events" };
const bareEvents = { name: "node:net", server: "node:net (events)" };

/** @type {Declaration[]} */
const websocketCases = [
  {
    id: "websocket",
    title: "WebSocket echo 64 B, 1 in flight",
    contestants: ["mist", bareTcp, "ws", "uWebSockets.js"],
    job: websocket,
    targets: [atMost(1.05, "node:net"), atMost(1, "ws")],
  },
  {
    id: "websocket-32",
    title: "WebSocket echo 64 B, 32 in flight",
    contestants: ["mist", bareTcp, "ws", "uWebSockets.js"],
    job: { ...websocket, inFlight: 32 },
    targets: [atMost(0.1, "ws")],
  },
  {
    id: "websocket-ping",
    title: "WebSocket pings 64 B, 32 in flight",
    contestants: ["mist", "ws", "uWebSockets.js"],
    job: { ...websocket, payload: "ping", inFlight: 32 },
    targets: [atMost(0.1, "ws")],
  },
  {
    id: "websocket-64k-text",
    title: "WebSocket echo 64 KiB of text",
    contestants: ["mist", bareTcp, "ws", "uWebSockets.js"],
    job: { ...websocket, connections: 16, size: 65_536 },
    targets: [atMost(0.4, "ws")],
  },
  {
    id: "websocket-64k",
    title: "WebSocket echo 64 KiB, 16 connections",
    contestants: ["mist", bareTcp, "ws", "uWebSockets.js"],
    job: { ...websocket, connections: 16, size: 65_536, payload: "binary" },
    targets: [atMost(0.4, "ws")],
  },
  {
    id: "broadcast",
    title: "WebSocket broadcast to 1 000, each turn",
    contestants: room,
    job: broadcast,
    measure: figures.broadcastCost,
    targets: [atMost(0.5, "ws")],
  },
  {
    id: "broadcast-single",
    title: "WebSocket broadcast to 1 000, one at a time",
    contestants: room,
    job: { ...broadcast, oneByOne: true },
    measure: figures.broadcastCost,
    targets: [atMost(0.5, "ws")],
  },
  {
    id: "events",
    title: "events to 1 000 streams, each turn",
    contestants: ["mist", bareEvents],
    job: events,
    measure: figures.broadcastCost,
    targets: [atMost(0.5, "node:net")],
  },
  {
    id: "events-single",
    title: "events to 1 000 streams, one at a time",
    contestants: ["mist", bareEvents],
    job: { ...events, oneByOne: true },
    measure: figures.broadcastCost,
    targets: [atMost(1.5, "node:net")],
  },
  {
    id: "relay",
    title: "WebSocket room of 10, by a broker",
    contestants: ["mist (Redis)", "mist (Redis streams)", "mist (NATS)", bareRedis, bareNats, socketIo],
    job: { ...broadcast, connections: 10, times: 5000 },
    measure: figures.broadcastCost,
    // A write to each of ten sockets is half of what Socket.IO takes; bare node-redis takes as much.
    targets: [atMost(0.7, "socket.io"), atMost(1.5, "node-redis")],
  },
  {
    id: "relay-large",
    title: "WebSocket room of 1 000, by a broker",
    contestants: ["mist (Redis)", "mist (NATS)", bareRedis, socketIo],
    job: broadcast,
    measure: figures.broadcastCost,
    targets: [atMost(0.3, "socket.io")],
  },
  {
    id: "deflate",
    title: "WebSocket echo 1 KiB JSON, deflated",
    contestants: ["mist", "ws"],
    job: { ...websocket, path: "/ws-deflate", payload: "json", size: 1024, deflate: true },
    targets: [atMost(0.6, "ws")],
  },
  {
    id: "websocket-memory",
    title: "idle WebSocket, memory",
    unit: "bytes of heap",
    contestants: ["mist", bareTcp, "ws"],
    job: { ...websocket, connections: 2000, kind: "heap" },
    measure: figures.memoryPerConnection,
    targets: [atMost(0.7, "ws")],
  },
  {
    id: "deflate-memory",
    title: "idle WebSocket with deflate, memory",
    unit: "bytes of heap",
    contestants: ["mist", "ws"],
    job: {
      ...websocket,
      path: "/ws-deflate",
      payload: "json",
      size: 1024,
      deflate: true,
      connections: 1000,
      kind: "heap",
    },
    measure: figures.memoryPerConnection,
    targets: [atMost(0.5, "ws")],
  },
];

/** @type {Declaration[]} */
const fetchCases = [
  {
    id: "fetch",
    title: "Hono's hello world",
    unit: `${cpu}/request`,
    contestants: ["Hono on mist", "@hono/node-server", "mist", "Bun"],
    job: get,
    targets: [atMost(0.8, "@hono/node-server")],
  },
  {
    id: "fetch-json",
    title: "JSON posted to Hono",
    unit: `${cpu}/request`,
    contestants: ["Hono on mist", "@hono/node-server"],
    job: { ...http, exchange: "post-json" },
    targets: [atMost(0.8, "@hono/node-server")],
  },
  {
    id: "fetch-stream",
    title: "Hono streams three words",
    unit: `${cpu}/request`,
    contestants: ["Hono on mist", "@hono/node-server"],
    job: { ...http, exchange: "get-stream" },
    targets: [atMost(0.8, "@hono/node-server")],
  },
];

const groups = {
  HTTP: httpCases,
  "HTTP/2": http2Cases,
  glisten: glistenCases,
  actor: actorCases,
  mug: mugCases,
  WebSocket: websocketCases,
  fetch: fetchCases,
};

/** @type {Case[]} */
export const cases = Object.entries(groups).flatMap(([group, all]) =>
  all.map(({ unit = `${cpu}/message`, measure = figures.cpuPerUnit, job, contestants, ...one }) => ({
    ...one,
    group,
    unit,
    measure,
    contestants: contestants.map((each) => {
      const named = typeof each === "string" ? { name: each, server: each } : each;
      return { ...named, job: /** @type {Job} */ ({ ...job, ...named.job }) };
    }),
  })),
);

/**
 * Why this job cannot be done here; undefined if it can.
 *
 * @param {Job} job
 * @param {Extent} extent
 */
export function beyond(job, extent) {
  const sized = scaled(job, extent);
  const connections = "connections" in sized ? sized.connections : 0;
  return connections + 100 > openFiles() ? `it needs ${connections} open files` : undefined;
}

/**
 * The job with as many connections as the extent of this run allows.
 *
 * @param {Job} job
 * @param {Extent} extent
 */
export function scaled(job, { scale }) {
  if (!("connections" in job)) return job;
  return { ...job, connections: Math.max(2, Math.ceil(job.connections * scale)) };
}
