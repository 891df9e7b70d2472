// RFC 9112 §7.1: the chunked coding.

import { describe, expect, test } from "vitest";
import { everyWay, fault, only, transcript } from "./transcript.ts";

const HEAD = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

test.each([
  ["one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"],
  ["two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"],
  ["no chunk", "0\r\n\r\n", ""],
  ["sizes in upper case", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"],
  ["sizes in lower case", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"],
  ["leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"],
  ["16 digits", `${"5".padStart(16, "0")}\r\nhello\r\n0\r\n\r\n`, "hello"],
  ["data that look like coding", "b\r\n\r\n0\r\n\r\n5\r\nx\r\n0\r\n\r\n", "\r\n0\r\n\r\n5\r\nx"],
  [
    "one byte at a time",
    `${[..."hello world"].map((c) => `1\r\n${c}\r\n`).join("")}0\r\n\r\n`,
    "hello world",
  ],
  [
    "small and large",
    `1\r\na\r\n1000\r\n${"b".repeat(4096)}\r\n1\r\nc\r\n0\r\n\r\n`,
    `a${"b".repeat(4096)}c`,
  ],
])("%s", (_, coded, body) => {
  expect(only(HEAD + coded)).toMatchObject({ body, trailers: [] });
});

test("tiny chunks of one packet come as one piece, and take no more room than their bytes", () => {
  let pieces = 0;
  const coded = `${"1\r\nx\r\n".repeat(5000)}0\r\n\r\n`;
  const { requests } = transcript([HEAD, coded], { onPacket: () => pieces++ });
  expect(requests[0]?.body).toBe("x".repeat(5000));
});

describe("chunk sizes", () => {
  test.each([
    "",
    " 5",
    "5 ",
    "5\t",
    "0x5",
    "0X5",
    "+5",
    "-5",
    "-0",
    "+0",
    "5h",
    "5.0",
    "1_0",
    "g",
    "\xb2",
    "5,",
    "5 5",
    "5\0",
    "\r\n5",
    "FFFFFFFFFFFFFFFF0",
    "FFFFFFFFFFFFFFFF",
    "20000000000000",
    "0".repeat(17),
    "5 foo",
    "5 foo=bar",
  ])("%j: 400", (size) => {
    expect(fault(`${HEAD}${size}\r\nhello\r\n0\r\n\r\n`)).toBe(400);
  });

  test("the largest size there is", () => {
    const { requests, end } = transcript([`${HEAD}1fffffffffffff\r\nx`]);
    expect([requests[0]?.body, end]).toEqual(["x", "need-data"]);
  });
});

describe("line ends", () => {
  test.each([
    ["bare LF behind the size", "5\nhello\r\n0\r\n\r\n"],
    ["bare CR behind the size", "5\rhello\r\n0\r\n\r\n"],
    ["CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n"],
    ["CR and other bytes behind the size", "5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n"],
    ["bare LF behind the data", "5\r\nhello\n0\r\n\r\n"],
    ["bare CR behind the data", "5\r\nhello\r0\r\n\r\n"],
    ["nothing behind the data", "5\r\nhello0\r\n\r\n"],
    ["more data than the size says", "5\r\nhello!!\r\n0\r\n\r\n"],
    ["less data than the size says", "7\r\nhello\r\n0\r\n\r\n"],
    ["an empty line for a last chunk", "3\r\nfoo\r\n\r\n"],
    ["bare LF behind the last chunk", "0\n\r\n"],
    ["bare LF for the empty line", "0\r\n\n"],
    ["bare CR for the empty line", "0\r\n\rX"],
    ["whitespace behind the last chunk", "0 \r\n\r\n"],
    ["LF in a line of whitespace", "3 \n  \r\nfoo\r\n"],
  ])("%s: 400", (_, coded) => {
    expect(fault(HEAD + coded)).toBe(400);
  });

  test("data before a fault are handed out, however they arrived", () => {
    expect(everyWay(`${HEAD}5\r\nhello\r\nX\r\n`)).toMatchObject({ requests: [{ body: "hello" }], end: 400 });
  });

  test("the terminator may be split anywhere", () => {
    const text = `${HEAD}5\r\nhello\r\n0\r\n\r\n`;
    for (let cut = text.length - 12; cut < text.length; cut++) {
      expect(transcript([text.slice(0, cut), text.slice(cut)]).requests[0]).toMatchObject({
        body: "hello",
        trailers: [],
      });
    }
  });
});

describe("§7.1.1 chunk extensions", () => {
  test.each([
    ";a",
    ";a=b",
    ";a;b;c",
    ";a=b;c=d",
    ';a="b"',
    ';a=""',
    ';a="b;c\\"d\\\\e\tf g";h',
    " ;a",
    "\t;\ta\t=\tb\t;\tc",
    ";a =b",
    ";a= b",
    "; a ; b",
    ';a="\xe9"',
    ";ilovew3;somuchlove=aretheseparametersfor;another=withvalue",
  ])("%j is skipped", (extension) => {
    expect(only(`${HEAD}5${extension}\r\nhello\r\n0${extension}\r\n\r\n`).body).toBe("hello");
  });

  test.each([
    ";",
    ";;a",
    ";a;",
    ";=",
    ";=b",
    ";a=",
    ";a==b",
    ';a="b',
    ';a="b"c',
    ';a=b"c"',
    ";a[=x",
    ";a=[x]",
    ";a b",
    ";a=b c",
    ';a="b\x07"',
    ';a="\\\0"',
    ";a\0",
    ";\0a",
    ";a\rX",
    ";\xe9",
    ';a="b\n"',
    " a",
    ";a\n",
    ";a ",
    ";a=b ",
    ' ;a="b" ',
  ])("%j: 400", (extension) => {
    expect(fault(`${HEAD}5${extension}\r\nhello\r\n0\r\n\r\n`)).toBe(400);
  });

  test("are bounded over the whole message", () => {
    expect(fault(`${HEAD}5;${"a".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`)).toBe(400);
    const chunk = `1;${"a".repeat(99)}\r\nx\r\n`;
    expect(only(`${HEAD}${chunk.repeat(10)}0\r\n\r\n`, { limits: { maxChunkExtension: 1010 } }).body).toBe(
      "x".repeat(10),
    );
    expect(fault(`${HEAD}${chunk.repeat(11)}0\r\n\r\n`, { limits: { maxChunkExtension: 1000 } })).toBe(400);
  });
});

describe("§7.1.2 trailer section", () => {
  const trailer = (lines: string): string => `${HEAD}5\r\nhello\r\n0\r\n${lines}\r\n\r\n`;

  test("fields, in order", () => {
    expect(only(trailer("X-Checksum: abc\r\nY:  1 \r\nx-checksum: d")).trailers).toEqual([
      ["x-checksum", "abc"],
      ["y", "1"],
      ["x-checksum", "d"],
    ]);
  });

  test.each([
    "Content-Length: 50",
    "Transfer-Encoding: chunked",
    "Host: evil.example",
    "Authorization: Bearer evil",
    "Content-Type: text/evil",
    "Connection: close",
    "Trailer: x",
    "Set-Cookie: a=b",
    "Cookie: a=b",
    "Expect: 100-continue",
    "Upgrade: x",
    "TE: trailers",
    "Range: bytes=0-",
  ])("%s is dropped", (line) => {
    expect(only(trailer(`${line}\r\nX: 1`)).trailers).toEqual([["x", "1"]]);
    expect(only(trailer(line)).trailers).toEqual([]);
  });

  test.each(["NoColon", ": x", "X : y", " X: y", "X: a\r\n b", "X: a\rb", "X: a\nY: b", "X: \0", "X[]: a"])(
    "%j: 400",
    (line) => {
      expect(fault(trailer(line))).toBe(400);
    },
  );

  test("is bounded in bytes and lines", () => {
    const limits = { maxTrailer: 100, maxTrailerFields: 3 };
    expect(only(trailer("a: 1\r\nb: 2\r\nc: 3"), { limits }).trailers).toHaveLength(3);
    expect(fault(trailer("a: 1\r\nb: 2\r\nc: 3\r\nd: 4"), { limits })).toBe(431);
    expect(fault(trailer(`a: ${"x".repeat(100)}`), { limits })).toBe(431);
    expect(transcript([trailer("").slice(0, -4), "a".repeat(101)], { limits }).end).toBe(431);
  });
});
