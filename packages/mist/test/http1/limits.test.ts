// What a peer can make the core hold or look at, and what it is told: 414, 431, 400.

import { describe, expect, test } from "vitest";
import { LimitError } from "../../src/errors.ts";
import { Http1Connection } from "../../src/http1/connection.ts";
import { bytes, everyWay, fault, only, transcript } from "./transcript.ts";

const HOST = "Host: a\r\n";
const get = (target: string, lines = ""): string => `GET ${target} HTTP/1.1\r\n${HOST}${lines}\r\n`;

describe("target", () => {
  test("8 KiB and not a byte more: 414", () => {
    expect(only(get(`/${"a".repeat(8191)}`)).path).toHaveLength(8192);
    expect(fault(get(`/${"a".repeat(8192)}`))).toBe(414);
    expect(only(get(`/?${"a".repeat(8190)}`)).query).toHaveLength(8190);
    expect(fault(get(`/?${"a".repeat(8191)}`))).toBe(414);
  });

  test("is told before the line ends", () => {
    expect(transcript([`GET /${"a".repeat(8192)}`]).end).toBe(414);
    expect(transcript([`GET /${"a".repeat(8191)}`]).end).toBe("need-data");
  });

  test("wins over the head's limit", () => {
    expect(fault(get(`/${"a".repeat(100_000)}`))).toBe(414);
  });
});

describe("head", () => {
  const headOf = (size: number): string => {
    const rest = get("/", "X: \r\n").length;
    return get("/", `X: ${"a".repeat(size - rest)}\r\n`);
  };

  test("16 KiB and not a byte more: 431", () => {
    expect(headOf(16384)).toHaveLength(16384);
    expect(only(headOf(16384)).fields).toHaveLength(2);
    expect(fault(headOf(16385))).toBe(431);
    expect(fault(headOf(100_000))).toBe(431);
  });

  test("is told as soon as it is sure", () => {
    expect(transcript([headOf(17000).slice(0, 16383)]).end).toBe("need-data");
    expect(transcript([headOf(17000).slice(0, 16384)]).end).toBe(431);
  });

  test("in one long name, too", () => {
    expect(fault(get("/", `${"n".repeat(100_000)}: v\r\n`))).toBe(431);
  });

  test("empty lines before it do not count, a body behind it neither", () => {
    expect(only(`\r\n${headOf(16384)}`).fields).toHaveLength(2);
    const post = `POST / HTTP/1.1\r\n${HOST}Content-Length: 20000\r\n\r\n${"x".repeat(20_000)}`;
    expect(only(post).body).toHaveLength(20_000);
  });

  test("holds for every request of a connection", () => {
    expect(transcript([headOf(16384) + headOf(16384) + headOf(16385)])).toMatchObject({
      requests: [{}, {}],
      end: 431,
    });
  });
});

describe("field lines", () => {
  const lines = (count: number): string => Array.from({ length: count }, (_, i) => `x-${i}: y\r\n`).join("");

  test("100 and not one more: 431", () => {
    expect(only(get("/", lines(99))).fields).toHaveLength(100);
    expect(fault(get("/", lines(100)))).toBe(431);
    expect(fault(get("/", lines(10_000)))).toBe(431);
  });

  test("is told at the first byte of the line too many", () => {
    expect(transcript([`GET / HTTP/1.1\r\n${HOST}${lines(99)}`]).end).toBe("need-data");
    expect(transcript([`GET / HTTP/1.1\r\n${HOST}${lines(99)}x`]).end).toBe(431);
  });
});

test("the error names its limit", () => {
  const connection = new Http1Connection();
  connection.receive(bytes(`GET /${"a".repeat(9000)}`));
  try {
    connection.next();
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(LimitError);
    expect(error).toMatchObject({
      name: "LimitError",
      limit: "maxTarget",
      max: 8192,
      status: 414,
      section: "RFC 9112 §3",
    });
  }
});

test("limits are options", () => {
  const limits = { maxTarget: 10, maxHead: 60, maxFields: 2, maxEmptyLines: 0 };
  expect(everyWay(get("/12345678", "x: y\r\n"), { limits }).requests).toHaveLength(1);
  expect(fault(get("/1234567890"), { limits })).toBe(414);
  expect(fault(get("/", "x: y\r\nz: w\r\n"), { limits })).toBe(431);
  expect(fault(get("/", `x: ${"y".repeat(60)}\r\n`), { limits })).toBe(431);
  expect(fault(`\r\n${get("/")}`, { limits })).toBe(400);
});

test("a head that dribbles in is held once, and not for longer than it lasts", () => {
  const connection = new Http1Connection();
  const head = get("/", `X: ${"a".repeat(16_000)}\r\n`);
  let most = 0;
  for (const byte of head) {
    connection.receive(bytes(byte));
    connection.next();
    most = Math.max(most, connection.retainedBytes);
  }
  expect([most, connection.retainedBytes]).toEqual([head.length - 1, 0]);
});
