// `withForwarded` behind nginx and HAProxy, configured as their manuals say. Clients come from 127.0.0.2, proxies from
// 127.0.0.1 and 127.0.0.3.

import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { has } from "../relay/engine.ts";
import { serve } from "../server/serve.ts";
import { haproxy, nginx, type Place } from "./proxy.ts";

const trustedPeers = ["127.0.0.1", "127.0.0.3"];

/** What a handler sees, as text. */
function seen(request: mist.Request): string {
  const client = mist.ipAddressToString(mist.getConnectionInfo(request).ipAddress);
  return `${request.version} ${client} ${request.scheme} ${request.host} ${request.port}`;
}

const handler: mist.Handler = (request) => {
  if (request.path === "/ws") {
    return mist.websocket({
      request,
      onInit: (websocket) => void websocket.sendText(seen(request)),
      handler: () => undefined,
    });
  }
  return mist.text(seen(request));
};

async function upstream(headers: mist.ForwardedHeaders): Promise<number> {
  return (await serve(handler, (builder) => builder.withForwarded({ trustedPeers, headers }))).port;
}

/** A request from 127.0.0.2 that claims to come from elsewhere. */
async function get(url: string, headers: Record<string, string> = {}): Promise<string> {
  const claims = {
    ...{ "x-forwarded-for": "6.6.6.6, 127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "evil" },
    ...{ "x-forwarded-port": "1", forwarded: 'for=6.6.6.6;proto=https;host=evil, for="' },
  };
  const options = { localAddress: "127.0.0.2", agent: false, headers: { ...claims, ...headers } };
  const request = url.startsWith("https:")
    ? https.get(url, { ...options, rejectUnauthorized: false })
    : http.get(url, options);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const piece of response) text += piece;
  return text;
}

/** The first message of a WebSocket. */
async function hear(url: string): Promise<string> {
  const socket = new WebSocket(url, { localAddress: "127.0.0.2", headers: { "x-forwarded-for": "6.6.6.6" } });
  onTestFinished(() => socket.terminate());
  const [message] = (await once(socket, "message")) as [Buffer];
  return message.toString();
}

describe.skipIf(!has("nginx", "-v"))("nginx", () => {
  const customary = `
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;`;
  const pass = (to: string, fields: string) => `
    location / {
      proxy_pass http://${to}; proxy_http_version 1.1; proxy_bind 127.0.0.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      ${fields}
    }`;
  const upgrades = 'map $http_upgrade $connection_upgrade { default upgrade; "" ""; }';
  const front = (to: string, fields: string) => (place: Place) =>
    `${upgrades} server { listen 127.0.0.1:${place.port}; ${pass(to, fields)} }`;

  test("X-Forwarded-*: requests and WebSockets", async () => {
    const port = await nginx(front(`127.0.0.1:${await upstream("x-forwarded")}`, customary));
    const expected = `1.1 127.0.0.2 http localhost ${port}`;
    expect(await get(`http://127.0.0.1:${port}/`, { host: `localhost:${port}` })).toBe(expected);
    expect(await hear(`ws://127.0.0.1:${port}/ws`)).toBe(`1.1 127.0.0.2 http 127.0.0.1 ${port}`);
  });

  test("TLS ends there; a fetch app has the URL that the client asked for", async () => {
    const { cert, key } = await certificate();
    const app = fromFetch((request, { mist: below }) => new Response(`${request.url} ${seen(below)}`));
    const served = await serve(app, (builder) =>
      builder.withForwarded({ trustedPeers, headers: "x-forwarded" }),
    );
    const port = await nginx(
      (place) => `${upgrades} server {
        listen 127.0.0.1:${place.port} ssl;
        ssl_certificate ${place.directory}/cert; ssl_certificate_key ${place.directory}/key;
        ${pass(`127.0.0.1:${served.port}`, customary)}
      }`,
      { cert: String(cert), key: String(key) },
    );
    expect(await get(`https://127.0.0.1:${port}/a?b`, { host: "example.org" })).toBe(
      `https://example.org:${port}/a?b 1.1 127.0.0.2 https example.org ${port}`,
    );
  });

  // https://www.nginx.com/resources/wiki/start/topics/examples/forwarded/: what a client sends is kept if it is well-formed.
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const quoted = String.raw`\"([\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*\"`;
  const pair = `(${token}=(${token}|${quoted}))?`;
  const element = `${pair}(;${pair})*`;
  const wellFormed = String.raw`^(,[ \t]*)*${element}([ \t]*,([ \t]*${element})?)*$`;
  const addForwarded = (place: Place, to: string) => `
    map $remote_addr $proxy_forwarded_elem {
      ~^[0-9.]+$ "for=$remote_addr"; ~^[0-9A-Fa-f:.]+$ "for=\\"[$remote_addr]\\""; default "for=unknown";
    }
    map $http_forwarded $proxy_add_forwarded {
      "~${wellFormed}" "$http_forwarded, $proxy_forwarded_elem";
      default "$proxy_forwarded_elem";
    }
    ${front(to, 'proxy_set_header Forwarded "$proxy_add_forwarded;proto=$scheme;host=\\"$http_host\\"";')(place)}`;

  test("Forwarded", async () => {
    const to = `127.0.0.1:${await upstream("forwarded")}`;
    const port = await nginx((place) => addForwarded(place, to));
    const expected = "1.1 127.0.0.2 http example.org 8080";
    const host = "example.org:8080";
    expect(await get(`http://127.0.0.1:${port}/`, { host })).toBe(expected);
    expect(await get(`http://127.0.0.1:${port}/`, { host, forwarded: "for=127.0.0.1;proto=https" })).toBe(
      expected,
    );
  });

  test("a unix socket", async () => {
    let path = "";
    const port = await nginx((place) => {
      path = join(place.directory, "upstream");
      return `server { listen 127.0.0.1:${place.port}; location / { proxy_pass http://unix:${path}:; ${customary} } }`;
    });
    const builder = mist.new(handler).withForwarded({ trustedPeers: ["unix"], headers: "x-forwarded" });
    const server = await builder.afterStart(() => {}).start({ path });
    onTestFinished(() => server[Symbol.asyncDispose]());
    expect(await get(`http://127.0.0.1:${port}/`, { host: "example.org" })).toBe(
      `1.0 127.0.0.2 http example.org ${port}`,
    );
  });

  test.skipIf(!has("haproxy", "-v"))("behind HAProxy: two hops of ours", async () => {
    const to = await upstream("forwarded");
    const inner = await nginx((place) => addForwarded(place, `127.0.0.1:${to}`));
    const outer = await haproxy(
      ({ port }) => `
frontend f
  bind 127.0.0.1:${port}
  http-request set-header Forwarded for=%[src];proto=https;host=%[req.hdr(host)]
  default_backend b
backend b
  server nginx 127.0.0.1:${inner} source 127.0.0.3`,
    );
    expect(await get(`http://127.0.0.1:${outer}/`, { host: "example.org" })).toBe(
      "1.1 127.0.0.2 https example.org undefined",
    );
  });
});

describe.skipIf(!has("haproxy", "-v"))("HAProxy", () => {
  const front = (port: number, fields: string, server: string) => `
frontend f
  bind 127.0.0.1:${port}
${fields}
  default_backend b
backend b
  server mist ${server} source 127.0.0.1`;
  const customary = `
  option forwardfor
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]`;

  test.each(["", " proto h2"])("X-Forwarded-*%s: requests and WebSockets", async (protocol) => {
    const to = await upstream("x-forwarded");
    const port = await haproxy((place) => front(place.port, customary, `127.0.0.1:${to}${protocol}`));
    const version = protocol === "" ? "1.1" : "2";
    expect(await get(`http://127.0.0.1:${port}/`, { host: "example.org" })).toBe(
      `${version} 127.0.0.2 http example.org ${port}`,
    );
    expect(await hear(`ws://127.0.0.1:${port}/ws`)).toBe(`${version} 127.0.0.2 http 127.0.0.1 ${port}`);
  });

  test("Forwarded, appended to what clients send", async () => {
    const to = await upstream("forwarded");
    const add = "  http-request add-header Forwarded for=%[src];proto=http;host=%[req.hdr(host)]";
    const port = await haproxy((place) => front(place.port, add, `127.0.0.1:${to}`));
    expect(await get(`http://127.0.0.1:${port}/`, { host: "example.org" })).toBe(
      "1.1 127.0.0.2 http example.org undefined",
    );
  });

  test("one that is not in the list is a stranger", async () => {
    const { port: to } = await serve(handler, (builder) =>
      builder.withForwarded({ trustedPeers: ["127.0.0.9"], headers: "x-forwarded" }),
    );
    const port = await haproxy((place) => front(place.port, customary, `127.0.0.1:${to}`));
    expect(await get(`http://127.0.0.1:${port}/`, { host: "example.org" })).toBe(
      "1.1 127.0.0.1 http example.org undefined",
    );
  });
});
