// Which answer belongs to which path.

import { fileURLToPath } from "node:url";
import * as mist from "@x/mist";
import { startRoom } from "./chat.ts";
import { countRequest, live } from "./figures.ts";
import { primes } from "./primes.ts";
import { progress, receive } from "./upload.ts";

const PUBLIC = fileURLToPath(new URL("../public", import.meta.url));
const SOURCE = fileURLToPath(new URL("../src", import.meta.url));

/** Most bytes of text to echo. */
const MAX_ECHO = 1 << 20;
const MAX_PRIMES = 5_000_000;

/** Handlers by method and path; everything else is a file of the page. */
export async function createRoutes(): Promise<{ handler: mist.Handler; close(): Promise<void> }> {
  const room = await startRoom();
  const handler: mist.Handler = (request) => {
    countRequest();
    switch (`${request.method} ${request.path}`) {
      case "POST /echo":
        return echo(request);
      case "PUT /upload":
      case "POST /upload":
        return receive(request);
      case "GET /upload/progress":
        return progress(request);
      case "GET /primes":
        return streamPrimes(request);
      case "GET /live":
        return live(request);
      case "GET /chat":
        return room.join(request);
    }
    if (request.method === "GET" || request.method === "HEAD") return file(request);
    const headers = { allow: "GET, HEAD" };
    return mist.text(`${request.method} is not for ${request.path}\n`, { status: 405, headers });
  };
  return { handler, close: room.close };
}

async function echo(request: mist.Request): Promise<mist.ServerResponse> {
  const body = await mist.readBody(request, { maxBodyLimit: MAX_ECHO });
  const type = request.getHeader("content-type") ?? "application/octet-stream";
  return mist.response(200, { headers: { "content-type": type }, body });
}

function streamPrimes(request: mist.Request): mist.ServerResponse {
  const count = Number(new URLSearchParams(request.query).get("count") ?? 1_000);
  if (!Number.isInteger(count) || count < 1 || count > MAX_PRIMES)
    return mist.text(`count must be an integer from 1 to ${MAX_PRIMES}\n`, { status: 400 });
  return mist.response(200, {
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: mist.chunked(primes(count)),
  });
}

const page = mist.staticFiles({ root: PUBLIC, cacheControl: "no-cache" });

async function file(request: mist.Request): Promise<mist.ServerResponse> {
  const [first, ...rest] = request.pathSegments;
  // By its extension the source of this program would be a video.
  if (first === "files")
    return mist.sendFile(`/${rest.join("/")}`, {
      root: SOURCE,
      request,
      contentType: "text/plain; charset=utf-8",
    });
  return (await page(request))
    .setHeader("content-security-policy", "default-src 'self'; frame-ancestors 'none'")
    .setHeader("x-content-type-options", "nosniff");
}
