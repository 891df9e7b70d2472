// Requests that must be refused, and how: every one gets an answer with the right status, then the connection
// closes, and nothing behind it is taken for a request.

import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { serve, statuses } from "./serve.ts";

const requests: string[] = [];

const start = () =>
  serve(async (request) => {
    requests.push(`${request.method} ${request.target}`);
    await mist.readBody(request, { maxBodyLimit: 1 << 20 });
    return mist.response(200).setBody(mist.bytes("ok"));
  });

const behind = "GET /behind HTTP/1.1\r\nhost: a\r\n\r\n";
const long = (n: number) => "a".repeat(n);

describe("refused with an answer, and nothing behind it is read", () => {
  it.each<[name: string, status: number, request: string]>([
    ["no Host", 400, "GET / HTTP/1.1\r\n\r\n"],
    ["two Hosts", 400, "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"],
    ["an invalid Host", 400, "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"],
    ["HTTP/1.2", 505, "GET / HTTP/1.2\r\nhost: a\r\n\r\n"],
    ["nearly HTTP/2.0's preface", 505, "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n"],
    ["HTTP/0.9", 400, "GET /\r\n\r\n"],
    ["garbage", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
    ["a space before the colon", 400, "GET / HTTP/1.1\r\nhost : a\r\n\r\n"],
    ["obs-fold", 400, "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n"],
    ["a bare LF", 400, "GET / HTTP/1.1\nhost: a\n\n"],
    ["a bare CR in a value", 400, "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r2\r\n\r\n"],
    ["NUL in a value", 400, "GET / HTTP/1.1\r\nhost: a\r\nx: 1\0\r\n\r\n"],
    ["two spaces in the request line", 400, "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["an empty field name", 400, "GET / HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n"],
    ["asterisk for GET", 400, "GET * HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["CONNECT", 501, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"],
    [
      "two equal Content-Lengths",
      400,
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    ],
    [
      "two Content-Lengths",
      400,
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
    ],
    ["a negative Content-Length", 400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n"],
    ["a signed Content-Length", 400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\nhi"],
    ["a hex Content-Length", 400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x2\r\n\r\nhi"],
    [
      "Content-Length with Transfer-Encoding",
      400,
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "an unknown transfer coding",
      501,
      "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "chunked twice",
      400,
      "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "Transfer-Encoding from HTTP/1.0",
      400,
      "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["a long target", 414, `GET /${long(8192)} HTTP/1.1\r\nhost: a\r\n\r\n`],
    ["a long head", 431, `GET / HTTP/1.1\r\nhost: a\r\nx: ${long(16384)}\r\n\r\n`],
    ["many fields", 431, `GET / HTTP/1.1\r\nhost: a\r\n${"x: 1\r\n".repeat(100)}\r\n`],
    [
      "an unknown expectation",
      417,
      "POST / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\ncontent-length: 0\r\n\r\n",
    ],
    ["a bad chunk size", 400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n"],
    [
      "a chunk without its CRLF",
      400,
      "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ],
  ])("%s: %i", async (_, status, request) => {
    requests.length = 0;
    const { ask, reports } = await start();
    const answer = await ask(request + behind);
    expect(statuses(answer)).toEqual([status]);
    expect(answer).toContain("connection: close\r\n");
    expect(requests).not.toContain("GET /behind");
    expect(reports).toEqual([]);
  });
});

describe("answered, although the originals hung up", () => {
  it.each<[name: string, request: string, seen: string]>([
    ["absolute-form", "GET http://b/x?y HTTP/1.1\r\nhost: a\r\n\r\n", "GET http://b/x?y"],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "OPTIONS *"],
    ["an empty line in front", "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET /"],
    ["a method nobody knows", "BREW / HTTP/1.1\r\nhost: a\r\n\r\n", "BREW /"],
    [
      "a chunk extension",
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;q="a b"\r\na\r\n0\r\n\r\n',
      "POST /",
    ],
  ])("%s", async (_, request, seen) => {
    requests.length = 0;
    const { ask } = await start();
    expect(statuses(await ask(request + behind))).toEqual([200, 200]);
    expect(requests).toEqual([seen, "GET /behind"]);
  });

  it("the authority of an absolute target goes before Host", async () => {
    const { ask } = await serve((request) =>
      mist
        .response(200)
        .setBody(mist.bytes(`${request.host}:${request.port}${request.path}?${request.query}`)),
    );
    expect(await ask("GET http://b:81/x?y HTTP/1.1\r\nhost: a\r\n\r\n")).toMatch(/b:81\/x\?y$/);
  });
});
