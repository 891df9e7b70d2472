// RFC 9112 §6: where a request ends. Every ambiguity is refused; that is what keeps smugglers out.

import { describe, expect, test } from "vitest";
import { fault, only, transcript } from "./transcript.ts";

const post = (lines: string, body = "", version = "1.1"): string =>
  `POST / HTTP/${version}\r\nHost: a\r\n${lines}\r\n\r\n${body}`;
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

describe("§6.2 Content-Length", () => {
  test.each([
    ["5", "hello"],
    ["  5 ", "hello"],
    ["\t5\t", "hello"],
    ["005", "hello"],
    ["0", ""],
    ["00", ""],
    [String(SMUGGLED.length), SMUGGLED],
  ])("%j", (length, body) => {
    expect(only(post(`Content-Length: ${length}`, body)).body).toBe(body);
  });

  test.each([
    "",
    "-1",
    "-0",
    "+5",
    "5 5",
    "1 0",
    "5, 5",
    "5,5",
    "5, 10",
    "5,",
    ",5",
    "5;",
    "0x5",
    "0o5",
    "5e1",
    "5.0",
    "1_0",
    "1,000",
    "abc",
    "5a",
    "\xb2",
    '"5"',
    "9007199254740992",
    "99999999999999999999",
    "18446744073709551621",
    "0".repeat(17),
    "NaN",
    "Infinity",
    "null",
  ])("%j: 400", (length) => {
    expect(fault(post(`Content-Length: ${length}`, "hello"))).toBe(400);
  });

  test("the largest length there is", () => {
    const { requests, end } = transcript([post("Content-Length: 9007199254740991", "x")]);
    expect([requests[0]?.framing, end]).toEqual([{ length: 9007199254740991 }, "need-data"]);
  });

  test.each([
    ["5", "5"],
    ["5", "10"],
    ["0", "5"],
    ["5", ""],
  ])("two, %j and %j: 400", (one, two) => {
    expect(fault(post(`Content-Length: ${one}\r\ncontent-LENGTH: ${two}`, "hello"))).toBe(400);
  });

  test("every method may have a body", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "QUERY"]) {
      expect(only(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi`)).toMatchObject({
        method,
        body: "hi",
      });
    }
  });

  test("none, with any method, is no body", () => {
    for (const method of ["GET", "POST", "PUT"]) {
      expect(only(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)).toMatchObject({ framing: "none", body: "" });
    }
  });

  test("bytes behind a body of length 0 are the next request", () => {
    expect(transcript([post("Content-Length: 0", "X")]).requests).toHaveLength(1);
    expect(
      transcript([post("Content-Length: 0", `X${SMUGGLED}`)]).requests.map(({ method }) => method),
    ).toEqual(["POST", "XGET"]);
  });
});

describe("§6.1 Transfer-Encoding", () => {
  test.each(["chunked", "Chunked", "CHUNKED", " chunked ", "\tchunked\t"])("%j is chunked", (coding) => {
    expect(only(post(`Transfer-Encoding: ${coding}`, "5\r\nhello\r\n0\r\n\r\n"))).toMatchObject({
      framing: "chunked",
      body: "hello",
    });
  });

  test.each([
    ["chunked, chunked", 400],
    ["chunked,chunked", 400],
    ["chunked, gzip", 400],
    ["chunked, identity", 400],
    ["chunked, gzip, chunked", 400],
    ["chunked,", 400],
    [", chunked", 400],
    [",", 400],
    ["", 400],
    ["chunked;q=1", 400],
    ["chunked ; a=b", 400],
    ["gzip, chunked;a=b", 400],
    ["chunked foo", 400],
    ['"chunked"', 400],
    ["chunked\xa0", 400],
    ["chu nked", 400],
    ["gzip", 501],
    ["identity", 501],
    ["pigeons", 501],
    ["xchunked", 501],
    ["chunkedx", 501],
    ["chunkedchunked", 501],
    ["gzip, chunked", 501],
    ["deflate, chunked", 501],
    ["identity, chunked", 501],
    ["gzip;q=1, chunked", 501],
  ])("%j: %i", (coding, status) => {
    expect(fault(post(`Transfer-Encoding: ${coding}`, "0\r\n\r\n"))).toBe(status);
  });

  test.each([
    ["chunked", "chunked", 400],
    ["chunked", "identity", 400],
    ["chunked", "gzip", 400],
    ["chunked", "", 400],
    ["", "chunked", 400],
    ["gzip", "chunked", 501],
  ])("on two lines, %j and %j: %i", (one, two, status) => {
    expect(fault(post(`Transfer-Encoding: ${one}\r\nTransfer-Encoding: ${two}`, "0\r\n\r\n"))).toBe(status);
  });

  test.each(["\x0bchunked", "\x0cchunked", "chunked\0", "\r\n chunked", "chunked\r\n foo", "chunked\x7f"])(
    "%j: 400",
    (coding) => {
      expect(fault(post(`Transfer-Encoding: ${coding}`, "0\r\n\r\n"))).toBe(400);
    },
  );

  test("in HTTP/1.0: 400", () => {
    expect(fault(post("Transfer-Encoding: chunked", "0\r\n\r\n", "1.0"))).toBe(400);
    expect(fault(post("Transfer-Encoding: chunked\r\nConnection: keep-alive", "0\r\n\r\n", "1.0"))).toBe(400);
  });
});

describe("§6.3 message body length", () => {
  const both = [
    "chunked",
    "Chunked",
    "chunked ",
    "xchunked",
    "identity",
    "",
    ", chunked",
    "gzip",
    "chunked, chunked",
  ];
  test.each(both)("Content-Length beside Transfer-Encoding %j: 400, nothing behind is read", (coding) => {
    for (const length of ["0", "5", "6", "+6", "6x", String(5 + SMUGGLED.length)]) {
      const lines = [`Content-Length: ${length}`, `Transfer-Encoding: ${coding}`];
      for (const order of [lines, lines.toReversed()]) {
        const { requests, end } = transcript([post(order.join("\r\n"), `0\r\n\r\n${SMUGGLED}`)]);
        expect([requests, end]).toEqual([[], 400]);
      }
    }
  });

  test("a chunk that holds a request is a body", () => {
    const chunk = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;
    expect(only(post("Transfer-Encoding: chunked", chunk)).body).toBe(SMUGGLED);
  });
});
