// How a connection comes to speak HTTP/2: ALPN over TLS, prior knowledge over cleartext, and what turns it off.

import { execFile } from "node:child_process";
import * as https from "node:https";
import { promisify } from "node:util";
import { Agent, request as undici } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";
import { ask, session } from "./client.ts";

const run = promisify(execFile);

const answerVersion = (request: mist.Request) => mist.text(`${request.scheme} ${request.version}`);

async function secure(configure: (builder: mist.Builder) => mist.Builder = (builder) => builder, tls = {}) {
  const pem = await certificate();
  return serve(answerVersion, (builder) => configure(builder.withTls({ ...pem, ...tls })));
}

/** What an HTTPS client of HTTP/1.1 is told. */
function overHttps(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    https
      .get(url, { rejectUnauthorized: false, agent: false }, (response) => {
        response.setEncoding("utf8").once("data", resolve).once("error", reject);
      })
      .once("error", reject);
  });
}

describe("over TLS", () => {
  test("ALPN offers h2 and http/1.1", async () => {
    const { url } = await secure();
    const client = await session(url);
    expect(client.alpnProtocol).toBe("h2");
    expect((await ask(client, "/")).body.toString()).toBe("https 2");
    expect(await overHttps(url)).toBe("https 1.1");
  });

  test("withHttp2(false) offers http/1.1 alone, before withTls and behind it", async () => {
    const { url } = await secure((builder) => builder.withHttp2(false));
    await expect(session(url)).rejects.toThrow();
    expect(await overHttps(url)).toBe("https 1.1");
    const pem = await certificate();
    const other = await serve(answerVersion, (builder) => builder.withHttp2(false).withTls(pem));
    await expect(session(other.url)).rejects.toThrow();
  });

  test("undici with allowH2", async () => {
    const { url } = await secure();
    const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
    onTestFinished(() => dispatcher.destroy());
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => (await undici(url, { dispatcher })).body.text()),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, () => "https 2"));
  });
});

test("without HTTP/2, the preface of a cleartext client is refused", async () => {
  const { ask: send } = await serve(answerVersion, (builder) => builder.withHttp2(false));
  expect(await send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toContain("HTTP/1.1 505 ");
});

test("Upgrade: h2c is ignored", async () => {
  const { ask: send } = await serve(answerVersion);
  const fields = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n";
  expect(await send(`GET / HTTP/1.1\r\nhost: a\r\n${fields}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
});

describe("options that contradict each other are refused", () => {
  const builder = () => mist.new(answerVersion);
  const tls = { cert: "", key: "" };

  test.each([
    [
      "no HTTP/2, but h2 offered",
      () =>
        builder()
          .withHttp2(false)
          .withTls({ ...tls, alpnProtocols: ["h2"] }),
    ],
    [
      "the other way around",
      () =>
        builder()
          .withTls({ ...tls, alpnProtocols: ["h2"] })
          .withHttp2(false),
    ],
    [
      "HTTP/2, but no h2",
      () =>
        builder()
          .withHttp2(true)
          .withTls({ ...tls, alpnProtocols: ["http/1.1"] }),
    ],
  ])("%s", (_, build) => {
    expect(build).toThrow(/alpnProtocols must (not )?name h2/);
  });

  test("http2 must be a boolean", async () => {
    expect(() => builder().withHttp2("yes" as never)).toThrow("http2 must be true or false");
    await expect(mist.serve({ handler: answerVersion, port: 0, http2: 1 as never })).rejects.toThrow(
      "http2 must be true or false",
    );
  });

  test("alpnProtocols without h2 turn it off over TLS", async () => {
    const { url } = await secure(undefined, { alpnProtocols: ["http/1.1"] });
    await expect(session(url)).rejects.toThrow();
  });
});

const installed = async (command: string) =>
  run(command, ["--version"]).then(
    () => true,
    () => false,
  );

describe.skipIf(!(await installed("curl")))("curl", () => {
  test.each(["--http2-prior-knowledge", "--http2"])("%s", async (option) => {
    const { url } = option === "--http2" ? await secure() : await serve(answerVersion);
    const { stdout } = await run("curl", ["-sk", option, "-w", " %{http_version}", "--max-time", "10", url]);
    expect(stdout).toBe(`${url.startsWith("https") ? "https" : "http"} 2 2`);
  });
});

describe.skipIf(!(await installed("nghttp")))("nghttp", () => {
  test("cleartext and TLS", async () => {
    for (const { url } of [await serve(answerVersion), await secure()]) {
      const { stdout } = await run("nghttp", ["--no-verify-peer", "-y", url]).catch((error) => error);
      expect(stdout).toContain(url.startsWith("https") ? "https 2" : "http 2");
    }
  });
});

test("what looks like a preface and is none is told by GOAWAY", async () => {
  const { connect } = await serve(answerVersion);
  const socket = await connect();
  await socket.send("INVALID CONNECTION PREFACE\r\n\r\n");
  const frames = await socket.receiveToEnd({ timeout: 5000 });
  const goaway = frames.subarray(9 + frames.readUIntBE(0, 3));
  // Behind SETTINGS and WINDOW_UPDATE.
  expect([...frames.subarray(3, 4), goaway.at(3), goaway.at(9 + 4 + 3)]).toEqual([4, 8, 7]);
  expect(goaway.readUInt32BE(9 + 4 + 9 + 4)).toBe(1);
});

test.each([
  ["GARBAGE\r\n\r\n", 400],
  ["GET / BAD\r\n\r\n", 400],
  ["get the page\r\n\r\n", 400],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\n\r", 505],
])("every other mistake is answered in HTTP/1: %j", async (request, status) => {
  const { ask: send } = await serve(answerVersion);
  expect(await send(request)).toContain(`HTTP/1.1 ${status} `);
});
