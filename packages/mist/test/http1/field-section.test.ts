// RFC 9112 §5, RFC 9110 §5: the fields.

import { describe, expect, test } from "vitest";
import { Http1Connection } from "../../src/http1/connection.ts";
import type { RequestHead } from "../../src/http1/request-head.ts";
import { fault, only, transcript } from "./transcript.ts";

function fieldsOf(lines: string): readonly (readonly [string, string])[] {
  return only(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`).fields.slice(1);
}

describe("§5.1 field lines", () => {
  test.each([
    ["X-Test: value", [["x-test", "value"]]],
    ["X-Test:value", [["x-test", "value"]]],
    ["X-Test: \t value \t ", [["x-test", "value"]]],
    ["X-Empty:", [["x-empty", ""]]],
    ["X-Empty:   \t", [["x-empty", ""]]],
    [
      "A: 1\r\nB: 2\r\nA: 3",
      [
        ["a", "1"],
        ["b", "2"],
        ["a", "3"],
      ],
    ],
    ["X: a: b :c", [["x", "a: b :c"]]],
    ["X: caf\xe9 \x80\xff", [["x", "caf\xe9 \x80\xff"]]],
    ["X: a\tb", [["x", "a\tb"]]],
    ["!#$%&'*+-.^_`|~09azAZ: 1", [["!#$%&'*+-.^_`|~09azaz", "1"]]],
    [
      "User-Agent: x\r\nACCEPT: y\r\nsec-ch-ua: z",
      [
        ["user-agent", "x"],
        ["accept", "y"],
        ["sec-ch-ua", "z"],
      ],
    ],
    [
      "__proto__: 1\r\nconstructor: 2",
      [
        ["__proto__", "1"],
        ["constructor", "2"],
      ],
    ],
    ["Transfer_Encoding: chunked", [["transfer_encoding", "chunked"]]],
  ])("%j", (lines, fields) => {
    expect(fieldsOf(lines)).toEqual(fields);
  });

  test.each([
    ["no colon", "NoColonHere"],
    ["an empty name", ": value"],
    ["only a colon", ":"],
    ["space before the colon", "X-Test : value"],
    ["tab before the colon", "X-Test\t: value"],
    ["space in the name", "X Test: value"],
    ["a separator in the name", "Bad[Name]: value"],
    ["@ in the name", "Fo@: value"],
    ["slash in the name", "a/b: value"],
    ["a quoted name", '"a": value'],
    ["a byte above 0x7f in the name", "X-T\xc3\xabst: value"],
    ["NUL in the name", "X\0Y: value"],
    ["DEL in the name", "X\x7f: value"],
    ["obs-fold", "X-Test: a\r\n b"],
    ["obs-fold with a tab", "X-Test: a\r\n\tb"],
    ["a fold between name and colon", "X-Test\r\n : a"],
    ["NUL in the value", "X: a\0b"],
    ["a bell in the value", "X: a\x07b"],
    ["a vertical tab in the value", "X: a\x0bb"],
    ["a form feed in the value", "X: a\x0cb"],
    ["escape in the value", "X: \x1b[0m"],
    ["DEL in the value", "X: a\x7fb"],
    ["bare CR in the value", "X: a\rb"],
    ["bare CR at the end of the value", "X: a\r\r\nB: c"],
    ["bare LF in the value", "X: a\nB: c"],
    ["bare LF behind an empty value", "X:\nTransfer-Encoding: chunked"],
    ["bare CR behind an empty value", "X:\rTransfer-Encoding: chunked"],
    ["bare CR in the name", "Content\rLength: 3"],
    ["bare LF in the name", "Content\nLength: 3"],
    ["bare CR before a line", "X: a\r\n\rZGET /evil: HTTP/1.1"],
    ["bare LF as the empty line", "X: a\r\n\n"],
  ])("%s: 400", (_, lines) => {
    expect(fault(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`)).toBe(400);
  });

  test("a fault is told before the head is complete", () => {
    expect(transcript(["GET / HTTP/1.1\r\nHost : a\r\n"]).end).toBe(400);
    expect(transcript(["GET / HTTP/1.1\r\nHost: a\0"]).end).toBe(400);
    expect(transcript(["GET / HTTP/1.1\r\nHost: a\r\n\rX"]).end).toBe(400);
  });
});

describe("reading fields by name", () => {
  const head = (lines: string): RequestHead => {
    const connection = new Http1Connection();
    connection.receive(Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`, "latin1"));
    return connection.next() as RequestHead;
  };

  test("several lines make one value (RFC 9110 §5.3), cookies with their own separator", () => {
    const request = head("X: 1\r\nY: 2\r\nx: 3\r\nCookie: a=1\r\nCookie: b=2");
    expect(request.get("x")).toBe("1, 3");
    expect(request.getAll("x")).toEqual(["1", "3"]);
    expect(request.get("y")).toBe("2");
    expect(request.get("cookie")).toBe("a=1; b=2");
    expect(request.get("z")).toBeUndefined();
    expect(request.getAll("z")).toEqual([]);
  });

  test("the list cannot be changed, as a connection's requests may share it", () => {
    const { fields } = head("X: 1");
    expect(() => (fields as unknown as unknown[]).push(["y", "2"])).toThrow(TypeError);
  });
});

describe("a section that repeats on a connection", () => {
  const request = (lines: string, path = "/"): string =>
    `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;

  test.each([
    ["the same", "X: 1", "X: 1"],
    ["same length, other value", "X: 1", "X: 2"],
    ["same length, other name", "X: 1", "Y: 1"],
    ["same length, other case of the name", "Xy: 1", "xY: 1"],
    ["longer", "X: 1", "X: 1\r\nY: 2"],
    ["shorter", "X: 1\r\nY: 2", "X: 1"],
    ["an empty line earlier, at the same distance", "X: 1\r\nY: 2", "X: 1"],
  ])("%s", (_, first, second) => {
    const both = transcript([request(first, "/1"), request(second, "/2"), request(first, "/3")]).requests;
    const alone = [first, second, first].map((lines) => transcript([request(lines)]).requests[0]?.fields);
    expect(both.map(({ fields }) => fields)).toEqual(alone);
    expect(both.map(({ path }) => path)).toEqual(["/1", "/2", "/3"]);
  });

  test("a body's bytes that look like the section are a body", () => {
    const section = "Host: a\r\nContent-Length: 30\r\n\r\n";
    const text = `POST / HTTP/1.1\r\n${section}${section.slice(0, 30)}`;
    expect(transcript([text + text]).requests.map(({ body }) => body)).toEqual([
      section.slice(0, 30),
      section.slice(0, 30),
    ]);
  });

  test("is judged anew by the version above it", () => {
    const chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const { requests, end } = transcript([
      `POST / HTTP/1.1\r\n${chunked}0\r\n\r\nPOST / HTTP/1.0\r\n${chunked}0\r\n\r\n`,
    ]);
    expect(requests).toHaveLength(1);
    expect(end).toBe(400);
    const expecting =
      "Host: a\r\nContent-Length: 1\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n";
    const versions = transcript([
      `POST / HTTP/1.1\r\n${expecting}x`,
      `POST / HTTP/1.0\r\n${expecting}x`,
      `POST / HTTP/1.1\r\n${expecting}x`,
    ]);
    expect(versions.requests.map(({ expectContinue }) => expectContinue)).toEqual([true, false, true]);
  });

  test("a Host that repeats over other fields is the same host", () => {
    const { requests } = transcript([
      request("X: 1"),
      request("Y: 22"),
      `GET / HTTP/1.1\r\nHost: b\r\n\r\n`,
      request("Z: 333"),
    ]);
    expect(requests.map(({ host }) => host)).toEqual(["a", "a", "b", "a"]);
  });
});
