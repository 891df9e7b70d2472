// The server under test for conformance suites: node server.mjs PORT [tls CERT KEY] [timeouts]
//
// The port speaks HTTP/1.1, and HTTP/2 with prior knowledge; with `tls`, whichever ALPN agrees upon. CERT and KEY are PEM
// files. `timeouts` sets the head, body and idle deadlines to one second.

import * as mist from "@x/mist";

const [port = "8080", ...rest] = process.argv.slice(2);
const [certfile, keyfile] = rest[0] === "tls" ? rest.slice(1, 3) : [];
const short = rest.includes("timeouts");

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
  // h2spec leaves out what it cannot test with fewer than five bytes.
  if (request.version === "2" && request.method === "GET") return text("OK, over HTTP/2");
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

const builder = mist
  .new(handle)
  .bind("127.0.0.1")
  .port(Number(port))
  .onError(() => {}) // `/crash` fails on purpose
  .withDeadlines(short ? { headMs: 1000, bodyIdleMs: 1000, keepAliveMs: 1000 } : {});
const server = await (certfile === undefined ? builder : builder.withTls({ certfile, keyfile })).start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.stop({ deadlineMs: 1000 }));
