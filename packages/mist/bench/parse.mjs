// What the HTTP/1.1 core costs per request, without sockets: `node bench/parse.mjs`.
//
// Every row checks its own result once before it is timed. "fresh fields" changes a field value in every request, so that
// no request equals the previous one.

/** @import { Fields } from "../src/http/fields.ts" */
/** @import { WholeResponse } from "../src/http1/events.ts" */

import { importSource } from "../../../scripts/from-source.mjs";

/** @type {WholeResponse} */
const bare = { type: "response", status: 204, fields: [], body: "", close: false, date: "" };

const { Http1Connection } = /** @type {typeof import("../src/http1/connection.ts")} */ (
  await importSource(new URL("../src/http1/connection.ts", import.meta.url))
);

const ROUNDS = 7;
const TARGET_MS = 150;
const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";

const THREE = ["Host: localhost:4000", "User-Agent: bench/1.0", "Accept: */*"];
const TWENTY = [
  "Host: www.example.com",
  "Connection: keep-alive",
  "Cache-Control: max-age=0",
  'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/128.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-User: ?1",
  "Sec-Fetch-Dest: document",
  "Referer: https://www.example.com/start",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9",
  "Cookie: session=0123456789abcdef; theme=dark",
  'If-None-Match: W/"5e-18c7d"',
  "DNT: 1",
  "X-Request-Id: 4f9b0c12",
];

/**
 * Requests with a chunked body of `chunks` chunks of `size` bytes.
 *
 * @param {number} chunks
 * @param {number} size
 */
function chunkedRequests(chunks, size) {
  const chunk = `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`;
  const head = ["POST /upload HTTP/1.1", ...THREE, "Transfer-Encoding: chunked"].join("\r\n");
  return Array.from({ length: 16 }, () => `${head}\r\n\r\n${chunk.repeat(chunks)}0\r\n\r\n`);
}

/**
 * Requests of one shape: their targets differ, and with `fresh` their last field does.
 *
 * @param {string[]} fields
 */
function requests(fields, { fresh = false, count = 64, body = "" } = {}) {
  const texts = [];
  for (let i = 0; i < count; i++) {
    const lines = fresh ? [...fields.slice(0, -1), `${fields.at(-1)}${String(i).padStart(4, "0")}`] : fields;
    const start = body === "" ? `GET /users/${1000 + i}/posts?page=2 HTTP/1.1` : "POST /upload HTTP/1.1";
    const length = body === "" ? [] : [`Content-Length: ${body.length}`];
    texts.push(`${[start, ...lines, ...length].join("\r\n")}\r\n\r\n${body}`);
  }
  return texts;
}

/**
 * One row: packets go in, requests come out and are answered without an encoded byte.
 *
 * @param {string} name
 * @param {string[]} texts
 */
function parseRow(name, texts, { pipelined = 1, copy = false } = {}) {
  /** @type {Buffer[]} */
  const packets = [];
  for (let i = 0; i < texts.length; i += pipelined)
    packets.push(Buffer.from(texts.slice(i, i + pipelined).join("")));
  const connection = new Http1Connection();
  let sum = 0;

  /** @param {Buffer} packet */
  function one(packet) {
    // The core joins tiny chunks inside the packet that it was given.
    connection.receive(copy ? Buffer.from(packet) : packet);
    let seen = 0;
    for (;;) {
      const event = connection.next();
      if (event.type === "need-data") return seen;
      if (event.type === "request") {
        sum += event.method.length + event.path.length;
        seen++;
      } else if (event.type === "data") sum += event.data.length;
      if (connection.requestComplete) connection.send(bare);
    }
  }

  if (one(/** @type {Buffer} */ (packets[0])) !== pipelined)
    throw new Error(`${name}: wrong number of requests`);
  report(name, packets.length * pipelined, () => {
    for (const packet of packets) one(packet);
  });
  return sum;
}

/**
 * One row: responses encoded for a request that has been read.
 *
 * @param {string} name
 * @param {(n: number) => WholeResponse} makeResponse
 */
function headRow(name, makeResponse) {
  const connection = new Http1Connection();
  const packet = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const out = Buffer.allocUnsafe(1024);
  let n = 0;
  /** @param {boolean} make */
  const cycle = (make) => {
    connection.receive(packet);
    connection.next();
    if (make) {
      for (const piece of connection.send(makeResponse(n++)))
        n += out.write(/** @type {string} */ (piece), "latin1") & 1;
    } else {
      connection.send(bare);
    }
  };
  const all = report(null, 1000, () => {
    for (let i = 0; i < 1000; i++) cycle(true);
  });
  const without = report(null, 1000, () => {
    for (let i = 0; i < 1000; i++) cycle(false);
  });
  print(name, all - without);
}

/**
 * @param {string | null} name
 * @param {number} requestsPerRun
 * @param {() => void} run
 */
function report(name, requestsPerRun, run) {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    // CPU time, so that other programs do not count.
    const start = process.cpuUsage();
    let runs = 0;
    let elapsed = 0;
    do {
      for (let i = 0; i < 10; i++) run();
      runs += 10;
      const { user, system } = process.cpuUsage(start);
      elapsed = (user + system) * 1e3;
    } while (elapsed < TARGET_MS * 1e6);
    best = Math.min(best, elapsed / (runs * requestsPerRun));
  }
  if (name !== null) print(name, best);
  return best;
}

/**
 * @param {string} name
 * @param {number} ns
 */
function print(name, ns) {
  console.log(`${name.padEnd(44)} ${ns.toFixed(0).padStart(6)} ns`);
}

parseRow("GET, 3 fields", requests(THREE));
parseRow("GET, 3 fields, 16 pipelined", requests(THREE), { pipelined: 16 });
parseRow("GET, 3 fields, fresh fields", requests(THREE, { fresh: true }));
parseRow("GET, 3 fields, fresh fields, 16 pipelined", requests(THREE, { fresh: true }), { pipelined: 16 });
parseRow("GET, 20 fields", requests(TWENTY));
parseRow("GET, 20 fields, 16 pipelined", requests(TWENTY), { pipelined: 16 });
parseRow("GET, 20 fields, fresh fields", requests(TWENTY, { fresh: true }));
parseRow("POST, 4 fields, 1 KiB", requests(THREE, { body: "x".repeat(1024) }));
parseRow("POST chunked, 4 chunks of 4 KiB", chunkedRequests(4, 4096));
parseRow("POST chunked, 256 chunks of 4 bytes", chunkedRequests(256, 4), { copy: true });

const body = "Hello, world!";
/** @type {Fields} */
const fields = [["content-type", "text/plain; charset=utf-8"]];
/**
 * @param {Fields} given
 * @returns {WholeResponse}
 */
const response = (given) => ({
  type: "response",
  status: 200,
  fields: given,
  body,
  close: false,
  date: DATE,
});
headRow("response, 1 field, and its write", () => response(fields));
headRow("response, 3 fields, one fresh, and its write", (n) =>
  response([
    ["content-type", "text/plain; charset=utf-8"],
    ["cache-control", "no-store"],
    ["x-request-id", `id-${n}`],
  ]),
);
