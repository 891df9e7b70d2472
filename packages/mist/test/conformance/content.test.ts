// RFC 9112 §6 and §7: how long a request's content is, and the chunked coding. What two parsers could read in two
// ways is refused, and nothing behind it is taken for a request.

import { expect, it } from "vitest";
import { overBothTransports } from "./origin.ts";

const behind = "GET /target HTTP/1.1\r\nhost: behind\r\n\r\n";
const post = (fieldsAndContent: string, version = "1.1") =>
  `POST / HTTP/${version}\r\nhost: a\r\n${fieldsAndContent}`;
const chunked = (content: string) => post(`transfer-encoding: chunked\r\n\r\n${content}`);

const good: readonly (readonly [name: string, request: string, content: string])[] = [
  ["§6.3 neither length nor coding: no content", post("\r\n"), ""],
  ["§6.2 a length", post("content-length: 5\r\n\r\nhello"), "hello"],
  ["§6.2 a length of zero", post("content-length: 0\r\n\r\n"), ""],
  ["§6.2 whitespace around a length", post("content-length: \t5 \r\n\r\nhello"), "hello"],
  [
    "§6.2 content that looks like a request",
    post(`content-length: ${behind.length}\r\n\r\n${behind}`),
    behind,
  ],
  ["§6 content of a GET", "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", "hi"],
  ["§6 content of a DELETE", "DELETE / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", "hi"],
  ["§7.1 chunks", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world"],
  ["§7.1 no chunk but the last", chunked("0\r\n\r\n"), ""],
  [
    "§7.1 sizes in either case, zeros in front",
    chunked(`00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n`),
    "01234567890123456789",
  ],
  ["§7.1 chunks that look like coding", chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), "0\r\n\r\n"],
  ["§7 the coding's name in any case", post("TRANSFER-ENCODING: ChUnKeD\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "hi"],
  [
    "§7.1.1 extensions",
    chunked('2;a\r\nhi\r\n1 ; b=c ;d="e;\\"\r\\f" \t;g\r\n!\r\n0;z\r\n\r\n'.replace("\r\\f", "\\f")),
    "hi!",
  ],
  ["§7.1.2 trailers", chunked("2\r\nhi\r\n0\r\nx-sum: 1\r\ncontent-length: 70\r\n\r\n"), "hi"],
];

const smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

const bad: readonly (readonly [name: string, request: string, status: number])[] = [
  // §6.1
  ["§6.1 an unknown coding", post("transfer-encoding: gzip\r\n\r\n"), 501],
  ["§6.1 an unknown coding under chunked", post("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501],
  ["§6.1 identity", post("transfer-encoding: identity\r\n\r\n"), 501],
  ["§6.1 a coding in HTTP/1.0", post("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "1.0"), 400],
  ["§6.1 chunked is not the last", post("transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 chunked twice", post("transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 400],
  [
    "§6.1 chunked in two fields",
    post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    400,
  ],
  ["§6.1 an empty coding", post("transfer-encoding:\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a comma and nothing", post("transfer-encoding: chunked,\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 nothing and a comma", post("transfer-encoding: , chunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a letter in front", post("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"), 501],
  ["§6.1 a letter behind", post("transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n"), 501],
  ["§6.1 quotes", post('transfer-encoding: "chunked"\r\n\r\n0\r\n\r\n'), 400],
  ["§6.1 a parameter", post("transfer-encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a semicolon", post("transfer-encoding: chunked;\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a tab within", post("transfer-encoding: chun\tked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a form feed in front", post("transfer-encoding: \x0cchunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a vertical tab in front", post("transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a no-break space in front", post("transfer-encoding: \xa0chunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a NUL behind", post("transfer-encoding: chunked\0\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a bare CR in front", post("transfer-encoding: \rchunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 folded", post("transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400],
  ["§6.1 a space before the colon", post("transfer-encoding : chunked\r\n\r\n0\r\n\r\n"), 400],
  // §6.2, §6.3
  [
    "§6.3 coding and length",
    post(`transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${smuggled}`),
    400,
  ],
  [
    "§6.3 length and coding",
    post(`content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`),
    400,
  ],
  [
    "§6.3 a length of zero and coding",
    post(`content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
    400,
  ],
  ["§6.3 two lengths", post("content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"), 400],
  ["§6.3 the same length twice", post("content-length: 5\r\ncontent-length: 5\r\n\r\nhello"), 400],
  ["§6.3 the same length in a list", post("content-length: 5, 5\r\n\r\nhello"), 400],
  ["§6.2 an empty length", post("content-length:\r\n\r\n"), 400],
  ["§6.2 a negative length", post("content-length: -5\r\n\r\nhello"), 400],
  ["§6.2 a signed length", post("content-length: +5\r\n\r\nhello"), 400],
  ["§6.2 a hexadecimal length", post("content-length: 0x5\r\n\r\nhello"), 400],
  ["§6.2 a fraction", post("content-length: 5.0\r\n\r\nhello"), 400],
  ["§6.2 an exponent", post("content-length: 5e0\r\n\r\nhello"), 400],
  ["§6.2 digits of another script", post("content-length: \xd9\xa5\r\n\r\nhello"), 400],
  ["§6.2 a group separator", post("content-length: 1_000\r\n\r\nhello"), 400],
  ["§6.2 a space within", post("content-length: 1 0\r\n\r\nhello"), 400],
  ["§6.2 a comma behind", post("content-length: 5,\r\n\r\nhello"), 400],
  ["§6.2 2^64 + 5", post("content-length: 18446744073709551621\r\n\r\nhello"), 400],
  ["§6.2 2^53", post("content-length: 9007199254740992\r\n\r\nhello"), 400],
  ["§6.2 a space before the colon", post("content-length : 5\r\n\r\nhello"), 400],
  ["§6.2 a NUL behind", post("content-length: 5\0\r\n\r\nhello"), 400],
  // §7.1
  ["§7.1 no size", chunked("\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a size that is no number", chunked("x\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a negative size", chunked("-5\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a signed size", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a prefixed size", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a group separator", chunked("0_5\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a space in front of a size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a space behind a size", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a comma behind a size", chunked("5,\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 2^64 + 5", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 2^53", chunked("20000000000000\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 zeros without end", chunked("0".repeat(1000)), 400],
  ["§7.1 a size line that ends with a bare LF", chunked("5\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a size line that ends with a bare CR", chunked("5\rhello\r\n0\r\n\r\n"), 400],
  ["§7.1 data that end with a bare LF", chunked("5\r\nhello\n0\r\n\r\n"), 400],
  ["§7.1 data that end with nothing", chunked("5\r\nhello0\r\n\r\n"), 400],
  ["§7.1 data longer than their size", chunked("5\r\nhello!\r\n0\r\n\r\n"), 400],
  ["§7.1 data shorter than their size", chunked("6\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1 a last chunk that ends with a bare LF", chunked("0\n\r\n"), 400],
  ["§7.1 an end that is a bare LF", chunked("0\r\n\n"), 400],
  ["§7.1 an end that is no end", chunked("0\r\nX\r\n\r\n"), 400],
  // §7.1.1
  ["§7.1.1 a semicolon and nothing", chunked("5;\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1.1 a bare LF in an extension", chunked(`5;a\nb\r\nhello\r\n0\r\n\r\n`), 400],
  ["§7.1.1 a bare CR in an extension", chunked(`5;a\rb\r\nhello\r\n0\r\n\r\n`), 400],
  ["§7.1.1 a line end in a quoted extension", chunked('5;a="\r\n"\r\nhello\r\n0\r\n\r\n'), 400],
  ["§7.1.1 a quote that does not close", chunked('5;a="b\r\nhello\r\n0\r\n\r\n'), 400],
  ["§7.1.1 a NUL in an extension", chunked("5;a\0\r\nhello\r\n0\r\n\r\n"), 400],
  ["§7.1.1 extensions without end", chunked(`5;${"a".repeat(1 << 20)}`), 400],
  [
    "§7.1.1 a little extension on every chunk, without end",
    chunked("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(10_000)),
    400,
  ],
  // §7.1.2
  ["§7.1.2 a folded trailer", chunked("0\r\nx: 1\r\n 2\r\n\r\n"), 400],
  ["§7.1.2 a space before a trailer's colon", chunked("0\r\nx : 1\r\n\r\n"), 400],
  ["§7.1.2 a trailer without end", chunked(`0\r\nx: ${"a".repeat(1 << 20)}`), 431],
  ["§7.1.2 trailers without end", chunked(`0\r\n${"x: 1\r\n".repeat(100_000)}`), 431],
  // §8
  ["§8 cut off in the content", post("content-length: 900\r\n\r\nhello"), 400],
  ["§8 cut off in a chunk", chunked("ff\r\nhello"), 400],
  ["§8 cut off before the last chunk", chunked("5\r\nhello\r\n"), 400],
  ["§8 cut off behind the last chunk", chunked("5\r\nhello\r\n0\r\n"), 400],
];

// What needs the end to be an end cannot have a request behind it.
const cutOff = /^§8|does not|data shorter/;

overBothTransports((origin) => {
  it.each(good)("%s", async (_, request, content) => {
    const answers = await origin.ask(request + behind);
    expect(answers.map((answer) => [answer.status, answer.body.replace(/^GET https?/, "GET")])).toEqual([
      [200, content],
      [200, "GET://behind:/target"],
    ]);
  });

  it.each(bad)("%s is refused", async (name, request, status) => {
    const answers = await origin.ask(cutOff.test(name) ? request : request + behind);
    expect(answers.map((answer) => answer.status)).toEqual([status]);
    expect(answers[0]?.fields.connection).toBe("close");
  });

  it.each(good)("%s, unread by the handler, is not taken for a request", async (_, request) => {
    const unread = request.replace(/^([A-Z]+) \//, "$1 /unread");
    const answers = await origin.ask(unread + behind);
    expect(answers.map((answer) => answer.body.replace(/^GET https?/, "GET"))).toEqual([
      "unread",
      "GET://behind:/target",
    ]);
  });

  it.each(bad.filter(([name]) => /^§[78]/.test(name)))(
    "%s, unread by the handler, ends the connection behind its answer",
    async (name, request) => {
      const unread = request.replace(/^([A-Z]+) \//, "$1 /unread");
      const answers = await origin.ask(cutOff.test(name) ? unread : unread + behind);
      expect(answers.map((answer) => answer.body)).toEqual(["unread"]);
    },
  );
});
