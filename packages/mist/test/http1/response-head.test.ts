// RFC 9112 §4, §6, §9; RFC 9110 §8.6, §15: response heads. The server owns the framing.

import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import type { Fields } from "../../src/http/fields.ts";
import {
  asked,
  GET,
  GET_10,
  GET_10_KEEP,
  HEAD,
  type Head,
  sendData,
  sendEnd,
  sendHead,
  sendInformational,
} from "./conversation.ts";

const answer = (
  request: string,
  response: Partial<Head>,
  date = "",
): [head: string, mode: string, persistent: boolean] => {
  const connection = asked(request);
  const head = sendHead(connection, { status: 200, fields: [], length: undefined, ...response }, date);
  return [head, connection.bodyMode, connection.persistent];
};

test.each<[string, string, Partial<Head>, string, string, boolean]>([
  ["a known length", GET, { length: 5 }, "content-length: 5\r\n", "length", true],
  ["no bytes", GET, { length: 0 }, "content-length: 0\r\n", "length", true],
  ["many bytes", GET, { length: 123456789 }, "content-length: 123456789\r\n", "length", true],
  ["no known length", GET, {}, "transfer-encoding: chunked\r\n", "chunked", true],
  ["closing", GET, { length: 5, close: true }, "content-length: 5\r\nconnection: close\r\n", "length", false],
  ["204", GET, { status: 204 }, "", "none", true],
  ["204, a length given", GET, { status: 204, length: 0 }, "", "none", true],
  [
    "204, a length among the fields",
    GET,
    { status: 204, fields: [["content-length", "0"]] },
    "",
    "none",
    true,
  ],
  ["205", GET, { status: 205, length: 0 }, "content-length: 0\r\n", "none", true],
  ["304", GET, { status: 304, length: 0 }, "", "none", true],
  [
    "304 telling a length",
    GET,
    { status: 304, length: 0, fields: [["content-length", "77"]] },
    "content-length: 77\r\n",
    "none",
    true,
  ],
  ["HEAD, a known length", HEAD, { length: 5 }, "content-length: 5\r\n", "none", true],
  ["HEAD, no known length", HEAD, {}, "", "none", true],
  [
    "HEAD telling a length",
    HEAD,
    { length: 0, fields: [["content-length", "77"]] },
    "content-length: 77\r\n",
    "none",
    true,
  ],
  [
    "HTTP/1.0, a known length",
    GET_10,
    { length: 5 },
    "content-length: 5\r\nconnection: close\r\n",
    "length",
    false,
  ],
  ["HTTP/1.0, no known length: never chunked", GET_10, {}, "connection: close\r\n", "until-close", false],
  [
    "HTTP/1.0 kept",
    GET_10_KEEP,
    { length: 5 },
    "content-length: 5\r\nconnection: keep-alive\r\n",
    "length",
    true,
  ],
  [
    "HTTP/1.0 cannot be kept without a length",
    GET_10_KEEP,
    {},
    "connection: close\r\n",
    "until-close",
    false,
  ],
  ["HTTP/1.0 kept, 204", GET_10_KEEP, { status: 204 }, "connection: keep-alive\r\n", "none", true],
  [
    "the user's length, the same",
    GET,
    { length: 5, fields: [["content-length", "5"]] },
    "content-length: 5\r\n",
    "length",
    true,
  ],
  [
    "the user's length, of a stream",
    GET,
    { fields: [["content-length", "5"]] },
    "content-length: 5\r\n",
    "length",
    true,
  ],
  [
    "the user's chunked",
    GET,
    { fields: [["transfer-encoding", "Chunked"]] },
    "transfer-encoding: chunked\r\n",
    "chunked",
    true,
  ],
  [
    "the user's chunked, length known",
    GET,
    { length: 5, fields: [["transfer-encoding", "chunked"]] },
    "content-length: 5\r\n",
    "length",
    true,
  ],
  [
    "the user closes",
    GET,
    { length: 0, fields: [["connection", "Close"]] },
    "content-length: 0\r\nconnection: close\r\n",
    "length",
    false,
  ],
  [
    "the user's keep-alive",
    GET,
    { length: 0, fields: [["connection", "keep-alive"]] },
    "content-length: 0\r\n",
    "length",
    true,
  ],
  [
    "the user keeps what must close",
    GET_10,
    { length: 0, fields: [["connection", "keep-alive"]] },
    "content-length: 0\r\nconnection: close\r\n",
    "length",
    false,
  ],
  [
    "the user's other options",
    GET,
    { length: 0, fields: [["connection", "Upgrade, x"]] },
    "content-length: 0\r\nconnection: upgrade, x\r\n",
    "length",
    true,
  ],
  [
    "other options and close",
    GET,
    { length: 0, close: true, fields: [["connection", "x"]] },
    "content-length: 0\r\nconnection: x, close\r\n",
    "length",
    false,
  ],
])("%s", (_, request, response, framing, mode, persistent) => {
  const status = { 200: "OK", 204: "No Content", 205: "Reset Content", 304: "Not Modified" }[
    response.status ?? 200
  ];
  expect(answer(request, response)).toEqual([
    `HTTP/1.1 ${response.status ?? 200} ${status}\r\n${framing}\r\n`,
    mode,
    persistent,
  ]);
});

test("fields stand in their order, duplicates too, names in lower case", () => {
  const fields: Fields = [
    ["Set-Cookie", "a=1"],
    ["x-b", ""],
    ["set-cookie", "b=2"],
    ["X-A", "caf\xe9\t~"],
  ];
  expect(answer(GET, { fields, length: 0 })[0]).toBe(
    "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nx-b: \r\nset-cookie: b=2\r\nx-a: caf\xe9\t~\r\ncontent-length: 0\r\n\r\n",
  );
});

test("the date is sent, unless the user sends one", () => {
  const dates = (fields: Fields, date: string): string[] =>
    answer(GET, { fields, length: 0 }, date)[0].match(/date: .*/g) ?? [];
  expect(dates([], "D1")).toEqual(["date: D1"]);
  expect(dates([], "D2")).toEqual(["date: D2"]);
  expect(dates([["date", "mine"]], "D2")).toEqual(["date: mine"]);
  expect(dates([], "")).toEqual([]);
  expect(answer(GET, { status: 404, length: 0 }, "D2")[0]).toMatch(
    /^HTTP\/1.1 404 Not Found\r\ndate: D2\r\n/,
  );
});

test.each([
  [200, "OK"],
  [299, ""],
  [418, "I'm a Teapot"],
  [599, ""],
  [999, ""],
])("status line of %i", (status, phrase) => {
  expect(answer(GET, { status, length: 0 })[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} ${phrase}\r\n`));
});

describe("the caller's mistakes are told to the caller", () => {
  test.each<[string, Partial<Head>]>([
    ["LF in a value", { fields: [["x", "a\nSet-Cookie: evil"]] }],
    ["CR LF in a value", { fields: [["x", "a\r\n\r\n<html>"]] }],
    ["CR in a value", { fields: [["x", "a\rb"]] }],
    ["NUL in a value", { fields: [["x", "a\0"]] }],
    ["DEL in a value", { fields: [["x", "\x7f"]] }],
    ["a character above 0xff in a value", { fields: [["x", "\u010a"]] }],
    ["a value that is no string", { fields: [["x", 5 as unknown as string]] }],
    ["LF in a name", { fields: [["x\ny", "a"]] }],
    ["colon in a name", { fields: [["x:", "a"]] }],
    ["space in a name", { fields: [["x y", "a"]] }],
    ["an empty name", { fields: [["", "a"]] }],
    ["a name that is no string", { fields: [[undefined as unknown as string, "a"]] }],
    ["a length that disagrees", { length: 5, fields: [["content-length", "6"]] }],
    [
      "two lengths that disagree",
      {
        fields: [
          ["content-length", "5"],
          ["content-length", "6"],
        ],
      },
    ],
    ["a length that is none", { fields: [["content-length", "5, 5"]] }],
    ["a negative length", { length: -1 }],
    ["a broken length", { length: 1.5 }],
    ["no number for a length", { length: Number.NaN }],
    ["another coding", { fields: [["transfer-encoding", "gzip, chunked"]] }],
    ["an interim status", { status: 100 }],
    ["101", { status: 101 }],
    ["no status", { status: 0 }],
    ["a status above 999", { status: 1000 }],
    ["a broken status", { status: 200.5 }],
    ["no number for a status", { status: Number.NaN }],
  ])("%s", (_, response) => {
    const connection = asked(GET);
    expect(() => sendHead(connection, { status: 200, fields: [], length: 0, ...response }, "D")).toThrow(
      UsageError,
    );
    // Nothing has happened: another answer can be sent.
    expect(sendHead(connection, { status: 500, fields: [], length: 0 }, "")).toBe(
      "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    );
  });

  test("out of turn", () => {
    const connection = asked(GET);
    expect(() => sendData(connection, 1)).toThrow(UsageError);
    expect(() => sendEnd(connection)).toThrow(UsageError);
    sendHead(connection, { status: 200, fields: [], length: 0 }, "");
    expect(() => sendHead(connection, { status: 200, fields: [], length: 0 }, "")).toThrow(UsageError);
    expect(() => sendInformational(connection, 103, [])).toThrow(UsageError);
    sendEnd(connection);
    expect(() => sendData(connection, 1)).toThrow(UsageError);
    expect(() => sendEnd(connection)).toThrow(UsageError);
  });
});

describe("interim responses (RFC 9110 §15.2)", () => {
  test("any number of them, then the final one", () => {
    const connection = asked(GET);
    expect(sendInformational(connection, 103, [["Link", "</a.css>; rel=preload"]])).toBe(
      "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n",
    );
    expect(sendInformational(connection, 102)).toBe("HTTP/1.1 102 Processing\r\n\r\n");
    expect(sendHead(connection, { status: 200, fields: [], length: 0 }, "")).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  });

  test("none for HTTP/1.0", () => {
    expect(sendInformational(asked(GET_10), 103, [["link", "x"]])).toBe("");
  });

  test.each<[number, Fields]>([
    [200, []],
    [101, []],
    [99, []],
    [103, [["content-length", "0"]]],
    [103, [["transfer-encoding", "chunked"]]],
    [103, [["x", "\n"]]],
  ])("%i %j is refused", (status, fields) => {
    expect(() => sendInformational(asked(GET), status, fields)).toThrow(UsageError);
  });
});

test("a peer that has ended gets no promise of another cycle", () => {
  const connection = asked(GET);
  connection.receiveEnd();
  expect(sendHead(connection, { status: 200, fields: [], length: 0 }, "")).toContain("connection: close\r\n");
  const pipelined = asked(GET + GET);
  pipelined.receiveEnd();
  expect(sendHead(pipelined, { status: 200, fields: [], length: 0 }, "")).not.toContain("connection");
});

test("remembered lines never leak from one response into another", () => {
  const values = ["a", "b", "a", "c".repeat(300), "a", "", "a"];
  for (const name of ["x-one", "x-two"]) {
    for (const value of values) {
      expect(answer(GET, { fields: [[name, value]], length: 0 })[0]).toBe(
        `HTTP/1.1 200 OK\r\n${name}: ${value}\r\ncontent-length: 0\r\n\r\n`,
      );
    }
  }
  for (let i = 0; i < 200; i++) {
    expect(answer(GET, { fields: [[`x-${i}`, `${i}`]], length: i * 97 })[0]).toBe(
      `HTTP/1.1 200 OK\r\nx-${i}: ${i}\r\ncontent-length: ${i * 97}\r\n\r\n`,
    );
  }
});
