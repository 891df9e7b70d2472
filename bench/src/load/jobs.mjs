// Turns the plain description of a job into what a connection needs: the bytes of a batch, and a reader that checks the
// answers.

/** @import { LoadJob } from "../figures.mjs" */

import { createHash } from "node:crypto";
import * as requests from "../requests.mjs";
import { AnswerReader, Expected } from "./answer-reader.mjs";
import { EchoReader } from "./echo-reader.mjs";
import { Http2Talker } from "./http2.mjs";
import { answers, eventChunks, frame, handshake, MessageReader } from "./websocket.mjs";

/**
 * Checks what comes: `push` returns how many answers the bytes complete, and throws if they are wrong. Where batches
 * differ, `batch` makes the next.
 *
 * @typedef {{ push(bytes: Buffer): number, batch?(): Buffer }} Reader
 */

/**
 * What a client says first, what looks at the answer, the last of the answer (by default an empty line), and what follows.
 *
 * @typedef {{ request: string, check: (head: string) => void, last?: RegExp, next?: Handshake }} Handshake
 */

/**
 * What the connections of one job send and how they check the answers.
 *
 * @typedef {object} Conversation
 * @property {Buffer} batch what a connection sends at a time, or as much; empty for connections that only listen
 * @property {(write: (bytes: Buffer) => void) => Reader} reader `write`: for what it has to say between batches
 * @property {string} [alpn] the protocol to ask for over TLS; HTTP/1.1 by default
 * @property {() => Handshake} [handshake]
 */

/** @typedef {Conversation & { port: number, tls: boolean, perBatch: number }} PreparedJob */

const sha256 = Buffer.from(createHash("sha256").update(requests.upload).digest("hex"));

/**
 * HTTP: a request, and the body of its response.
 *
 * @type {Record<string, { request: Buffer, pattern: Buffer, length?: number }>}
 */
const exchanges = {
  get: { request: requests.get, pattern: requests.hello },
  "get-twenty": { request: requests.getTwenty, pattern: requests.hello },
  "get-once": { request: requests.getOnce, pattern: requests.hello },
  "get-stream": { request: requests.getStream, pattern: requests.streamed },
  "post-echo": { request: requests.postEcho, pattern: requests.kibi },
  "post-json": { request: requests.postJson, pattern: requests.json },
  upload: { request: requests.postUpload, pattern: sha256 },
  download: {
    request: requests.getDownload,
    pattern: requests.chunk,
    length: requests.chunk.length * requests.chunkCount,
  },
  file: { request: requests.getFile, pattern: Buffer.from(requests.fileFill), length: requests.fileBytes },
  "small-file": {
    request: requests.getSmallFile,
    pattern: Buffer.from(requests.fileFill),
    length: requests.smallFileBytes,
  },
};

const largeUpload = Buffer.alloc(10 * 1024 * 1024, "x");

/**
 * HTTP/2: the same.
 *
 * @type {Record<string, { path: string, body?: Buffer, held?: boolean, pattern: Buffer, length?: number }>}
 */
const http2Exchanges = {
  get: { path: "/", pattern: requests.hello },
  "post-echo": { path: "/echo", body: requests.kibi, pattern: requests.kibi },
  "post-held": { path: "/echo", body: requests.kibi, held: true, pattern: requests.kibi },
  "large-upload": {
    path: "/count",
    body: largeUpload,
    pattern: Buffer.from(String(largeUpload.length)),
  },
  download: {
    path: "/download",
    pattern: requests.chunk,
    length: requests.chunk.length * requests.chunkCount,
  },
};

/** @param {string} name */
export function http2Exchange(name) {
  const known = http2Exchanges[name];
  if (known === undefined) throw new Error(`there is no exchange "${name}"`);
  return known;
}

/**
 * @param {Buffer} bytes
 * @param {number} times
 */
function repeat(bytes, times) {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}

/** @param {LoadJob} job */
function http({ exchange = "", inFlight = 1 }) {
  const known = exchanges[exchange];
  if (known === undefined) throw new Error(`there is no exchange "${exchange}"`);
  const { request, pattern, length = pattern.length } = known;
  const expected = new Expected(pattern);
  return {
    batch: repeat(request, inFlight),
    reader: () => new AnswerReader({ expected, length, together: inFlight }),
  };
}

/** @param {LoadJob} job */
function http2({ exchange = "", inFlight = 1, tls = false }) {
  const { pattern, length = pattern.length, ...request } = http2Exchange(exchange);
  const expected = new Expected(pattern);
  const described = { ...request, expected, length, tls };
  /** @param {(bytes: Buffer) => void} write */
  const reader = (write) => new Http2Talker(described, inFlight, write);
  return { batch: reader(() => {}).batch(), reader, alpn: "h2" };
}

/**
 * Messages that come back as they are.
 *
 * @param {Buffer} message
 * @param {number} inFlight
 */
function echoed(message, inFlight) {
  return {
    batch: repeat(message, inFlight),
    reader: () => new EchoReader({ pattern: message, size: message.length }),
  };
}

const pingOpcode = 9;
const pongOpcode = 10;

/** @param {LoadJob} job */
function websocket({ payload, size = 0, inFlight = 1, path = "/", deflate = false, listen = false }) {
  const opcode = payload === "ping" ? pingOpcode : payload === "binary" ? 2 : 1;
  const data = payload === "json" ? json(size) : listen ? Buffer.alloc(size, "x") : requests.content(size);
  const batch = listen ? Buffer.alloc(0) : repeat(frame(opcode, data, { deflate }), inFlight);
  const frames = answers(payload === "ping" ? pongOpcode : opcode, data, inFlight);
  return {
    batch,
    handshake: () => handshake(path, { deflate }),
    reader: () => new MessageReader({ frames, payload: data, deflate }),
  };
}

/**
 * Events that all listeners get, each in a chunk of its own.
 *
 * @param {LoadJob} job
 */
function events({ size = 0, inFlight = 1, path = "/" }) {
  const frames = eventChunks(Buffer.alloc(size, "x"), inFlight);
  /** @param {string} head */
  const check = (head) => {
    if (!head.startsWith("HTTP/1.1 200 ") || !/^content-type: text\/event-stream$/im.test(head))
      throw new Error(`no event stream: ${head}`);
  };
  return {
    batch: Buffer.alloc(0),
    handshake: () => ({ request: `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, check }),
    reader: () => new MessageReader({ frames, payload: Buffer.alloc(0), deflate: false }),
  };
}

/**
 * Socket.IO 4 on a WebSocket from the start, in its default namespace; a message is the event `m`.
 *
 * @param {LoadJob} job
 */
function socketIo({ size = 0, inFlight = 1 }) {
  const data = Buffer.from(`42${JSON.stringify(["m", "x".repeat(size)])}`);
  const connect = frame(1, Buffer.from("40")).toString("latin1");
  // It ignores what comes with the handshake.
  const next = { request: connect, check: () => {}, last: /40\{"sid":"[^"]+"\}/ };
  return {
    batch: Buffer.alloc(0),
    handshake: () => ({ ...handshake("/socket.io/?EIO=4&transport=websocket"), next }),
    reader: () => new MessageReader({ frames: answers(1, data, inFlight), payload: data, deflate: false }),
  };
}

/** @type {Record<LoadJob["protocol"], (job: LoadJob) => Conversation>} */
const protocols = {
  http,
  http2,
  echo: ({ size = 0, inFlight = 1 }) => echoed(requests.content(size), inFlight),
  websocket,
  // The same frames from a server that accepts anything as a handshake.
  "frame-room": (job) => ({
    ...websocket(job),
    handshake: () => ({ request: "hello\r\n\r\n", check: () => {} }),
  }),
  events,
  "socket.io": socketIo,
  // The same frames to a server that sends back what it receives.
  "frame-echo": ({ size = 0, inFlight = 1 }) => echoed(frame(2, requests.content(size)), inFlight),
};

/** @param {number} size */
function json(size) {
  const rows = Array.from({ length: 40 }, (_, i) => ({ id: i * 7919, user: `user${i}`, score: i / 7 }));
  return Buffer.from(JSON.stringify(rows)).subarray(0, size);
}

/**
 * Prepares a job for connections to `port`.
 *
 * @param {LoadJob & { port: number }} description
 * @returns {PreparedJob}
 */
export function prepare(description) {
  const { protocol, port, tls = false, inFlight = 1 } = description;
  return { port, tls, perBatch: inFlight, ...protocols[protocol](description) };
}
