// Compressed streams on real connections: a client sees what has been said so far, and its leaving is noticed.

import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { bytes, compress, response } from "../../src/index.ts";
import { iterableBody } from "../../src/server/body/response-body.ts";
import { readAnswer, serve } from "../server/serve.ts";

function html(chunks: AsyncIterable<string>) {
  return response(200).setHeader("content-type", "text/html").setBody(iterableBody(chunks));
}

function signal() {
  let fire = () => {};
  const fired = new Promise<void>((resolve) => {
    fire = resolve;
  });
  return { fire, fired };
}

describe("compressed streams on a connection", () => {
  it.each(["br", "gzip"])("show each piece through %s while the next is still being made", async (coding) => {
    const seen = signal();
    const handler = compress(() =>
      html(
        (async function* () {
          yield "first ";
          await seen.fired;
          yield "second";
        })(),
      ),
    );
    const { url } = await serve(handler);
    const answer = await fetch(url, { headers: { "accept-encoding": coding } });
    expect(answer.headers.get("content-encoding")).toBe(coding);
    let text = "";
    for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      seen.fire();
    }
    expect(text).toBe("first second");
  });

  it("tell a source that it is not wanted when a HEAD request asks for its head", async () => {
    const discarded = signal();
    const open = (): never => {
      throw new Error("a HEAD request opens nothing");
    };
    const source = { kind: "source", length: 100_000, open, discard: discarded.fire } as const;
    const page = response(200).setHeader("content-type", "text/html").setBody(source);
    const { url } = await serve(compress(() => page));
    await fetch(url, { method: "HEAD", headers: { "accept-encoding": "gzip" } });
    await discarded.fired;
  });

  it("end their producer when the client leaves", async () => {
    const ended = signal();
    const handler = compress(() =>
      html(
        (async function* () {
          try {
            for (;;) {
              yield Math.random().toString(36).repeat(1000);
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            ended.fire();
          }
        })(),
      ),
    );
    const { url, reports } = await serve(handler);
    const leaving = new AbortController();
    const answer = await fetch(url, { signal: leaving.signal });
    await answer.body!.getReader().read();
    leaving.abort();
    await ended.fired;
    expect(reports).toEqual([]);
  });

  it("break the message off when the producer fails", async () => {
    const handler = compress(() =>
      html(
        (async function* () {
          yield "first";
          throw new Error("out of words");
        })(),
      ),
    );
    const { url, reports } = await serve(handler);
    await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow();
    expect(reports).toMatchObject([{ during: "body", error: { message: "out of words" } }]);
  });

  it("have a length where the body is all there, the same for HEAD, on one connection", async () => {
    const text = "mist ".repeat(1000);
    const handler = compress(() =>
      response(200).setHeader("content-type", "text/plain").setBody(bytes(text)),
    );
    const { connect } = await serve(handler);
    const socket = await connect();
    const ask = async (method: string) => {
      await socket.send(`${method} / HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n`);
      return readAnswer(socket, method);
    };
    const head = await ask("HEAD");
    const get = await ask("GET");
    expect(String(gunzipSync(Buffer.from(get.body, "latin1")))).toBe(text);
    expect(head.headers.get("content-length")).toBe(String(get.body.length));
    await socket.close();
  });
});
