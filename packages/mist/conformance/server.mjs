// The server under test for conformance suites: node server.mjs PORT [timeouts]
//
// `timeouts` sets the head, body and idle deadlines to one second.

import * as mist from "@x/mist";

const port = Number(process.argv[2] ?? 8080);
const short = process.argv[3] === "timeouts";

// More than any suite sends. An announced length costs nothing before the bytes arrive.
const maxBodyLimit = 1024 * 1024 * 1024;

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/** @param {string | Uint8Array} body */
const text = (body) => mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(body));

/** @param {mist.Request} request */
const isUpgrade = (request) => request.getHeader("upgrade")?.toLowerCase() === "websocket";

const contextTakeover = { serverNoContextTakeover: false, clientNoContextTakeover: false };

/** @param {mist.Request} request */
function echoSocket(request) {
  return mist.websocket({
    request,
    compression: contextTakeover,
    onInit: () => undefined,
    handler(_state, message, conn) {
      if (message.type === "text") conn.sendText(message.data);
      else if (message.type === "binary") conn.sendBinary(message.data);
    },
  });
}

/** @type {Record<string, (request: mist.Request) => mist.Response>} */
const routes = {
  "/status/204": () => mist.response(204),
  "/status/304": () => mist.response(304),
  "/stream": () =>
    mist
      .response(200)
      .setHeader("content-type", "text/plain")
      .setBody(mist.chunked(["a", "b", "c"])),
  "/noread": () => text("noread"),
  "/close": () => text("bye").setHeader("connection", "close"),
  "/method": (request) => text(request.method),
  "/host": (request) => text(request.port === undefined ? request.host : `${request.host}:${request.port}`),
  "/crash": () => {
    throw new Error("crash, as requested");
  },
  "/ws": echoSocket,
  "/echo": (request) => text(request.headers.map(([name, value]) => `${name}: ${value}\n`).join("")),
  "/cookie": (request) => text(cookies(request.getHeader("cookie") ?? "")),
};

/** @param {string} header */
function cookies(header) {
  const lines = [];
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals > 0) lines.push(`${pair.slice(0, equals).trim()}=${pair.slice(equals + 1).trim()}\n`);
  }
  return lines.join("");
}

/** @param {mist.Request} request */
async function echoContent(request) {
  const content = await mist.readBody(request, { maxBodyLimit });
  if (request.method === "OPTIONS") return text(content).setHeader("allow", methods);
  if (content.length > 0) return text(content);
  return text(request.method === "GET" || request.method === "HEAD" ? "OK" : "");
}

/** @param {mist.Request} request */
function handle(request) {
  const { path } = request;
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route !== undefined) return route(request);
  if (isUpgrade(request)) return echoSocket(request);
  if (path.startsWith("/header/")) return text(request.getHeader(path.slice("/header/".length)) ?? "");
  if (path.startsWith("/url")) return text(request.query === undefined ? path : `${path}?${request.query}`);
  return echoContent(request);
}

const server = await mist
  .new(handle)
  .bind("127.0.0.1")
  .port(port)
  .onError(() => {}) // `/crash` fails on purpose
  .withDeadlines(short ? { headMs: 1000, bodyIdleMs: 1000, keepAliveMs: 1000 } : {})
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.stop({ deadlineMs: 1000 }));
