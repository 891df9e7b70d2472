// RFC 9112 §2 to §5: how a message starts, its request line, its target, its fields.

import { expect, it } from "vitest";
import { overBothTransports } from "./origin.ts";

const behind = "GET /target HTTP/1.1\r\nhost: behind\r\n\r\n";

// A row: what it is, the request, and the answers: statuses, or a status and its content. Unless a row says
// otherwise the connection goes on behind a good request, and closes behind a bad one.
type Row = readonly [name: string, request: string, status: number, body?: string];

const good: readonly Row[] = [
  // §2.2
  ["§2.2 an empty line in front", "\r\nGET /target HTTP/1.1\r\nhost: a\r\n\r\n", 200],
  ["§2.2 two empty lines in front", "\r\n\r\nGET /target HTTP/1.1\r\nhost: a\r\n\r\n", 200],
  // §3.1
  ["§3.1 a method nobody knows", "BREW /target HTTP/1.1\r\nhost: a\r\n\r\n", 200, "BREW %://a:/target"],
  ["§3.1 methods are case-sensitive", "get /target HTTP/1.1\r\nhost: a\r\n\r\n", 200, "get %://a:/target"],
  ["§3.1 a method of odd tchars", "M!#$%&'*+-.^_`|~ /target HTTP/1.1\r\nhost: a\r\n\r\n", 200],
  // §3.2
  ["§3.2 a host with a port", "GET /target HTTP/1.1\r\nhost: a:81\r\n\r\n", 200, "GET %://a:81/target"],
  [
    "§3.2 a host in upper case",
    "GET /target HTTP/1.1\r\nHOST: EXAMPLE.com\r\n\r\n",
    200,
    "GET %://example.com:/target",
  ],
  ["§3.2 an IPv6 host", "GET /target HTTP/1.1\r\nhost: [::1]:81\r\n\r\n", 200, "GET %://[::1]:81/target"],
  [
    "§3.2 Host is not the first field",
    "GET /target HTTP/1.1\r\nx: 1\r\nhost: b\r\n\r\n",
    200,
    "GET %://b:/target",
  ],
  ["§3.2.1 a query", "GET /target?a=b&c=/?d HTTP/1.1\r\nhost: a\r\n\r\n", 200],
  ["§3.2.1 an empty query", "GET /target? HTTP/1.1\r\nhost: a\r\n\r\n", 200],
  ["§3.2.1 two slashes in front", "GET //target HTTP/1.1\r\nhost: a\r\n\r\n", 200, ""],
  [
    "§3.2.2 absolute-form; its authority goes before Host",
    "GET http://b:82/target HTTP/1.1\r\nhost: a\r\n\r\n",
    200,
    "GET %://b:82/target",
  ],
  ["§3.2.2 absolute-form without a path", "GET http://b HTTP/1.1\r\nhost: a\r\n\r\n", 200, ""],
  [
    "§3.2.2 absolute-form, scheme in upper case",
    "GET HTTP://b/target HTTP/1.1\r\nhost: a\r\n\r\n",
    200,
    "GET %://b:/target",
  ],
  ["§3.2.4 asterisk-form", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 200, ""],
  // §5
  [
    "§5.1 whitespace around a value",
    "GET /fields HTTP/1.1\r\nhost: a\r\nx: \t 1 2 \t\r\n\r\n",
    200,
    "host=a;x=1 2;",
  ],
  ["§5.1 no whitespace before a value", "GET /fields HTTP/1.1\r\nhost:a\r\nx:1\r\n\r\n", 200, "host=a;x=1;"],
  ["§5.1 an empty value", "GET /fields HTTP/1.1\r\nhost: a\r\nx:\r\ny: \r\n\r\n", 200, "host=a;x=;y=;"],
  [
    "§5 order and duplicates are kept",
    "GET /fields HTTP/1.1\r\nhost: a\r\nB: 1\r\nA: 2\r\nb: 3\r\n\r\n",
    200,
    "host=a;b=1;a=2;b=3;",
  ],
  [
    "§5.5 obs-text in a value",
    "GET /fields HTTP/1.1\r\nhost: a\r\nx: \xe9\r\n\r\n",
    200,
    "host=a;x=\xc3\xa9;",
  ],
  ["§5 a colon in a value", "GET /fields HTTP/1.1\r\nhost: a\r\nx: a:b: c\r\n\r\n", 200, "host=a;x=a:b: c;"],
  ["§5 a hundred fields", `GET /fields HTTP/1.1\r\nhost: a\r\n${"x: 1\r\n".repeat(99)}\r\n`, 200],
];

const bad: readonly Row[] = [
  // §2.2
  ["§2.2 the request line ends with a bare LF", "GET / HTTP/1.1\nhost: a\r\n\r\n", 400],
  ["§2.2 a field line ends with a bare LF", "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n", 400],
  ["§2.2 the head ends with a bare LF", "GET / HTTP/1.1\r\nhost: a\r\n\n", 400],
  ["§2.2 a bare LF in front", "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§2.2 a bare CR ends a line", "GET / HTTP/1.1\rhost: a\r\n\r\n", 400],
  ["§2.2 two CRs end a line", "GET / HTTP/1.1\r\r\nhost: a\r\n\r\n", 400],
  ["§2.2 empty lines without end", "\r\n".repeat(50), 400],
  ["§2.2 a space in front", " GET / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§2.2 whitespace between request line and fields", "GET / HTTP/1.1\r\n x: 1\r\nhost: a\r\n\r\n", 400],
  ["§2.2 a NUL in front", "\0GET / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§2.2 a TLS hello in the clear", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400],
  // §2.3
  ["§2.3 HTTP/0.9", "GET /\r\n\r\n", 400],
  ["§2.3 HTTP/1.2", "GET / HTTP/1.2\r\nhost: a\r\n\r\n", 505],
  ["§2.3 HTTP/2.0", "GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505],
  ["§2.3 HTTP/0.9 by name", "GET / HTTP/0.9\r\nhost: a\r\n\r\n", 505],
  ["§2.3 nearly the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n", 505],
  ["§2.3 http in lower case", "GET / http/1.1\r\nhost: a\r\n\r\n", 400],
  ["§2.3 no minor version", "GET / HTTP/1\r\nhost: a\r\n\r\n", 400],
  ["§2.3 a minor version of two digits", "GET / HTTP/1.10\r\nhost: a\r\n\r\n", 400],
  ["§2.3 zeros in front of the version", "GET / HTTP/01.1\r\nhost: a\r\n\r\n", 400],
  ["§2.3 a comma in the version", "GET / HTTP/1,1\r\nhost: a\r\n\r\n", 400],
  ["§2.3 another protocol", "GET / ICE/1.0\r\nhost: a\r\n\r\n", 400],
  ["§2.3 something behind the version", "GET / HTTP/1.1 x\r\nhost: a\r\n\r\n", 400],
  ["§2.3 a space behind the version", "GET / HTTP/1.1 \r\nhost: a\r\n\r\n", 400],
  // §3
  ["§3 two spaces behind the method", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 two spaces behind the target", "GET /  HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 a tab behind the method", "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 no target", "GET HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 an empty target", "GET  HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 no method", "/ HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3 a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.1 brackets in the method", "GE[T / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.1 a NUL in the method", "GE\0T / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.1 a method of a mebibyte", `${"A".repeat(1 << 20)} / HTTP/1.1\r\nhost: a\r\n\r\n`, 400],
  // §3.2
  ["§3.2 no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["§3.2 no Host beside absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n", 400],
  ["§3.2 two Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400],
  ["§3.2 the same Host twice", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400],
  ["§3.2 two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400],
  ["§3.2 an empty Host", "GET / HTTP/1.1\r\nhost:\r\n\r\n", 400],
  ["§3.2 a list in Host", "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400],
  ["§3.2 a space in Host", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400],
  ["§3.2 a path in Host", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400],
  ["§3.2 a user in Host", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400],
  ["§3.2 a query in Host", "GET / HTTP/1.1\r\nhost: a?b\r\n\r\n", 400],
  ["§3.2 a scheme in Host", "GET / HTTP/1.1\r\nhost: http://a\r\n\r\n", 400],
  ["§3.2 a port of letters", "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", 400],
  ["§3.2 a port out of range", "GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n", 400],
  ["§3.2 a bracket that does not close", "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", 400],
  ["§3.2 an IPv6 address without brackets", "GET / HTTP/1.1\r\nhost: ::1\r\n\r\n", 400],
  ["§3.2 a broken percent-encoding in Host", "GET / HTTP/1.1\r\nhost: a%zz\r\n\r\n", 400],
  ["§3.2 a fragment", "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2 a target of none of the forms", "GET a/b HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2 a NUL in the target", "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2 a DEL in the target", "GET /\x7f HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2 a byte above ASCII in the target", "GET /\xe9 HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.2 another scheme", "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.2 a user in the authority", "GET http://u:p@a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.2 no authority", "GET http:///x HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.3 CONNECT", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 501],
  ["§3.2.3 CONNECT with a path", "CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.3 CONNECT without a port", "CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.3 authority-form for GET", "GET a:443 HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.4 asterisk-form for GET", "GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  ["§3.2.4 something behind the asterisk", "OPTIONS *x HTTP/1.1\r\nhost: a\r\n\r\n", 400],
  // §5
  ["§5 no colon", "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n", 400],
  ["§5 an empty name", "GET / HTTP/1.1\r\nhost: a\r\n: 1\r\n\r\n", 400],
  ["§5 a bracket in a name", "GET / HTTP/1.1\r\nhost: a\r\nx[]: 1\r\n\r\n", 400],
  ["§5 a tab in a name", "GET / HTTP/1.1\r\nhost: a\r\nx\ty: 1\r\n\r\n", 400],
  ["§5 a byte above ASCII in a name", "GET / HTTP/1.1\r\nhost: a\r\nx\xe9: 1\r\n\r\n", 400],
  ["§5.1 a space before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n", 400],
  ["§5.1 a tab before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx\t: 1\r\n\r\n", 400],
  ["§5.2 obs-fold", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", 400],
  ["§5.2 obs-fold with a tab", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n\t2\r\n\r\n", 400],
  ["§5.5 NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400],
  ["§5.5 a bare CR in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", 400],
  ["§5.5 another control in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: a\x0bb\r\n\r\n", 400],
  // Limits (RFC 9110 §15.5.15, RFC 6585 §5)
  ["a target over its limit", `GET /${"a".repeat(8192)} HTTP/1.1\r\nhost: a\r\n\r\n`, 414],
  ["a target without end", `GET /${"a".repeat(1 << 20)}`, 414],
  ["a value over the limit of a head", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(16384)}\r\n\r\n`, 431],
  ["a value without end", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(1 << 20)}`, 431],
  ["a name without end", `GET / HTTP/1.1\r\nhost: a\r\n${"a".repeat(1 << 20)}`, 431],
  ["too many fields", `GET / HTTP/1.1\r\nhost: a\r\n${"x: 1\r\n".repeat(100)}\r\n`, 431],
  ["fields without end", `GET / HTTP/1.1\r\nhost: a\r\n${"x: 1\r\n".repeat(100_000)}`, 431],
];

overBothTransports((origin) => {
  it.each(good)("%s", async (_, request, status, body) => {
    const [first, second, ...more] = await origin.ask(request + behind);
    expect(first?.status).toBe(status);
    if (body !== undefined) {
      expect(
        Buffer.from(first?.body ?? "", "latin1")
          .toString("latin1")
          .replace(/https?(?=:\/\/)/, "%"),
      ).toBe(body);
    }
    expect(first?.fields.date).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    expect(second?.body).toMatch(/^GET https?:\/\/behind:\/target$/);
    expect(more).toEqual([]);
  });

  it.each(bad)("%s is refused", async (_, request, status) => {
    const answers = await origin.ask(request + behind);
    expect(answers.map((answer) => answer.status)).toEqual([status]);
    expect(answers[0]?.fields.connection).toBe("close");
    expect(answers[0]?.fields.date).toBeDefined();
  });
});
