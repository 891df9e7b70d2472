// What lies around a connection of HTTP/2's: the PROXY protocol, client certificates, their replacement, diagnostics.

import diagnostics_channel from "node:diagnostics_channel";
import { once } from "node:events";
import * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate, makeCertificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

const client = (request: mist.Request) => {
  const { ipAddress, port } = mist.getConnectionInfo(request);
  return mist.text(`${request.version} ${request.scheme} ${mist.ipAddressToString(ipAddress)} ${port}`);
};

const header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";

describe("the PROXY protocol", () => {
  test("stands before the preface: each request knows the client", async () => {
    const { port } = await serve(client, (builder) =>
      builder.withProxyProtocol({ trustedPeers: ["127.0.0.1"] }),
    );
    const createConnection = () => {
      const socket = net.connect(port, "127.0.0.1");
      socket.write(header);
      return socket;
    };
    const opened = await session(`http://127.0.0.1:${port}`, { createConnection });
    for (const path of ["/a", "/b"])
      expect((await ask(opened, path)).body.toString()).toBe("2 http 192.0.2.7 40000");
  });

  test("stands before the handshake of TLS", async () => {
    const pem = await certificate();
    const { port } = await serve(client, (builder) =>
      builder.withTls(pem).withProxyProtocol({ trustedPeers: ["127.0.0.1"] }),
    );
    const socket = net.connect(port, "127.0.0.1");
    socket.write(header);
    const createConnection = () => tls.connect({ socket, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    const opened = await session(`https://127.0.0.1:${port}`, { createConnection });
    expect((await ask(opened, "/")).body.toString()).toBe("2 https 192.0.2.7 40000");
  });
});

test("client certificates: one that is known is served, a stranger is not", async () => {
  const pem = await certificate();
  const { url, server } = await serve(client, (builder) =>
    builder.withTls(pem).withClientVerification({ ca: pem.cert }),
  );
  const known = await session(url, pem);
  expect((await ask(known, "/")).body.toString()).toMatch(/^2 https 127\.0\.0\.1 /);
  const stranger = http2.connect(url, { rejectUnauthorized: false });
  onTestFinished(() => stranger.destroy());
  stranger.on("error", () => {});
  const asked = answerOf(stranger.request({ ":path": "/" }).on("error", () => {})).catch(() => "nothing");
  expect(await asked).toBe("nothing");
  // With TLS 1.3 the client is done with its handshake before it hears that it is turned away.
  await expect.poll(() => stranger.destroyed).toBe(true);
  expect(server.info()).toMatchObject({ connections: 1, streams: 0 });
});

test("a certificate that is replaced is shown to new connections; streams of the old one go on", async () => {
  const [first, second] = [await certificate(), await makeCertificate()];
  const gate: { open?: () => void } = {};
  const { url, server } = await serve(
    async (request) => {
      if (request.path === "/slow") await new Promise<void>((resolve) => (gate.open = resolve));
      return client(request);
    },
    (builder) => builder.withTls(first),
  );
  const shown = (opened: http2.ClientHttp2Session) =>
    (opened.socket as tls.TLSSocket).getPeerX509Certificate()?.fingerprint256;
  const old = await session(url);
  const slow = ask(old, "/slow");
  await expect.poll(() => gate.open).toBeDefined();
  await server.tls.update(second);
  const fresh = await session(url);
  expect(shown(fresh)).not.toBe(shown(old));
  expect((await ask(fresh, "/")).status).toBe(200);
  gate.open?.();
  expect((await slow).status).toBe(200);
  expect((await ask(old, "/")).status).toBe(200);
});

test("an update that names protocols which contradict withHttp2 is refused, and nothing has changed", async () => {
  const pem = await certificate();
  const { server, url } = await serve(client, (builder) => builder.withTls(pem).withHttp2(true));
  await expect(server.tls.update({ ...pem, alpnProtocols: ["http/1.1"] })).rejects.toThrow("must name h2");
  expect((await ask(await session(url), "/")).status).toBe(200);
  const without = await serve(client, (builder) => builder.withTls(pem).withHttp2(false));
  const refused = without.server.tls.update({ ...pem, alpnProtocols: ["h2", "http/1.1"] });
  await expect(refused).rejects.toThrow("must not name h2");
  await expect(server.tls.update(null as never)).rejects.toThrow("got null");
});

describe("diagnostics", () => {
  function listen<Message>(name: string): Message[] {
    const heard: Message[] = [];
    const listener = (message: unknown) => void heard.push(message as Message);
    diagnostics_channel.subscribe(name, listener);
    onTestFinished(() => void diagnostics_channel.unsubscribe(name, listener));
    return heard;
  }

  test("each request begins and ends, whole or broken off, with what it read and wrote", async () => {
    const starts = listen<mist.RequestStartEvent>("mist:request:start");
    const ends = listen<mist.RequestEndEvent>("mist:request:end");
    const errors = listen<mist.RequestErrorEvent>("mist:request:error");
    const { url } = await serve(async (request) => {
      if (request.path === "/fails") throw new Error("broken");
      if (request.path === "/slow")
        return mist.response(200).setBody(
          mist.chunked(
            (async function* () {
              yield "begun";
              await new Promise(() => {});
            })(),
          ),
        );
      return mist.text(String((await mist.readBody(request, { maxBodyLimit: 1000 })).length));
    });
    const opened = await session(url);
    await ask(opened, "/echo", { body: "12345" });
    await ask(opened, "/fails");
    const slow = opened.request({ ":path": "/slow" });
    slow.on("error", () => {});
    await once(slow, "data");
    slow.close(http2.constants.NGHTTP2_CANCEL);
    await expect.poll(() => ends.length).toBe(3);
    const path = ({ request }: { request: mist.Request<unknown> }) => request.path;
    expect(starts.map(path)).toEqual(["/echo", "/fails", "/slow"]);
    expect(errors.map(({ error }) => (error as Error).message)).toEqual(["broken"]);
    const summary = ends.map((end) => [path(end), end.status, end.bytesRead, end.bytesWritten, end.complete]);
    expect(summary).toEqual([
      ["/echo", 200, 5, 1, true],
      ["/fails", 500, 0, 26, true],
      ["/slow", 200, 0, 5, false],
    ]);
  });

  test("what is refused is told, with the clause: a head with its status, a connection without", async () => {
    const refused = listen<mist.RequestRefusedEvent>("mist:request:refused");
    const { url, server, connect } = await serve(client);
    const opened = await session(url);
    expect((await ask(opened, "/", { headers: { expect: "miracles" } })).status).toBe(417);
    const raw = await connect();
    await raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\u0001");
    await raw.receiveToEnd({ timeout: 5000 });
    expect(refused.map(({ status, section }) => [status, section])).toEqual([
      [417, "RFC 9110 §10.1.1"],
      [undefined, "RFC 9113 §6.5"],
    ]);
    expect(server.info()).toMatchObject({ refused: 2, refusedBy: { 417: 1, connection: 1 } });
  });

  test("the connection opens and closes once, whatever its streams do", async () => {
    const opens = listen("glisten:connection:open");
    const closes = listen<{ reason: { type: string } }>("glisten:connection:close");
    const { url } = await serve(client);
    const opened = await session(url);
    await Promise.all(Array.from({ length: 10 }, () => answerOf(opened.request({ ":path": "/" }))));
    opened.close();
    await expect.poll(() => closes.length).toBe(1);
    expect(opens.length).toBe(1);
    expect(closes[0]?.reason.type).toBe("normal");
  });
});
