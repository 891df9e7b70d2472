// `request.url`: the absolute URL that was asked for.

import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "./serve.ts";

const show = (request: mist.Request) => mist.text(request.url.href);

describe("is made of scheme, host, port, path and query", () => {
  test.each([
    ["GET /a?b=1&c HTTP/1.1\r\nhost: Example.ORG:8080", "http://example.org:8080/a?b=1&c"],
    ["GET / HTTP/1.1\r\nhost: example.org:80", "http://example.org/"],
    ["GET /a/../b/%2e%2e/c HTTP/1.1\r\nhost: a", "http://a/c"],
    ["GET http://b.example/x?y HTTP/1.1\r\nhost: b.example", "http://b.example/x?y"],
    ["OPTIONS * HTTP/1.1\r\nhost: a", "http://a/*"],
    ["GET //evil.example/x HTTP/1.1\r\nhost: a", "http://a//evil.example/x"],
  ])("%s", async (head, expected) => {
    const { ask } = await serve(show);
    expect(await ask(`${head}\r\nconnection: close\r\n\r\n`)).toMatch(
      new RegExp(`\r\n\r\n${escaped(expected)}$`),
    );
  });

  test("HTTP/1.0 without a host asks for the address it has connected to", async () => {
    const { ask, port } = await serve(show);
    expect(await ask("GET /a HTTP/1.0\r\n\r\n")).toContain(`http://127.0.0.1:${port}/a`);
  });

  test("TLS, HTTP/2, and a new URL each time", async () => {
    const handler = (request: mist.Request) => {
      request.url.searchParams.set("a", "changed");
      return mist.text(`${request.url.searchParams.get("a")} ${request.setPath("/p").url.href}`);
    };
    const pem = await certificate();
    const server = await mist.test(mist.new(handler).withTls(pem));
    onTestFinished(() => server[Symbol.asyncDispose]());
    const answer = await server.fetch("https://example.org/x?a=1", { httpVersion: 2 });
    expect(await answer.text()).toBe("1 https://example.org/p");
  });

  test("a host that no URL has is answered 400", async () => {
    const { ask, reports } = await serve(show);
    expect(await ask("GET / HTTP/1.1\r\nhost: 1.2.3.999\r\nconnection: close\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 /,
    );
    expect(reports).toEqual([]);
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[.?*+/$^()|[\]{}\\]/g, "\\$&");
}
