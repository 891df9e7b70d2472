// RFC 9112 §2.2, §2.3, §3: what stands before the fields.

import { describe, expect, test } from "vitest";
import { everyWay, fault, only, transcript } from "./transcript.ts";

const HOST = "Host: a.example\r\n\r\n";

describe("§2.2 message parsing", () => {
  test.each([1, 2, 4])("%i empty lines before the request line are skipped", (count) => {
    expect(only(`${"\r\n".repeat(count)}GET /x HTTP/1.1\r\n${HOST}`).path).toBe("/x");
  });

  test("more empty lines than that are refused", () => {
    expect(fault(`${"\r\n".repeat(5)}GET / HTTP/1.1\r\n${HOST}`)).toBe(400);
    expect(fault("\r\n".repeat(1000))).toBe(400);
  });

  test("empty lines between requests are counted anew", () => {
    const one = `\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}`;
    expect(transcript([one + one + one]).requests).toHaveLength(3);
  });

  test.each([
    ["bare LF ends the request line", `GET / HTTP/1.1\n${HOST}`],
    ["bare CR ends the request line", `GET / HTTP/1.1\r${HOST}`],
    ["CR CR LF ends the request line", `GET / HTTP/1.1\r\r\n${HOST}`],
    ["bare LF before the request line", `\nGET / HTTP/1.1\r\n${HOST}`],
    ["bare CR before the request line", `\rGET / HTTP/1.1\r\n${HOST}`],
    ["whitespace before the request line", ` GET / HTTP/1.1\r\n${HOST}`],
    ["a line of whitespace", "   \r\n\r\n"],
    ["whitespace before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"],
    ["a line of whitespace before the first field", `GET / HTTP/1.1\r\n \r\n${HOST}`],
    ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["zero bytes", "\0\0\0\0"],
    ["a byte order mark", `\xef\xbb\xbfGET / HTTP/1.1\r\n${HOST}`],
  ])("%s: 400", (_, text) => {
    expect(fault(text)).toBe(400);
  });
});

describe("§2.3 version", () => {
  test.each(["1.1", "1.0"])("HTTP/%s is spoken", (version) => {
    expect(only(`GET / HTTP/${version}\r\n${HOST}`).version).toBe(version);
  });

  test.each(["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/9.9", "HTTP/0.0"])(
    "%s: 505",
    (version) => {
      expect(fault(`GET / ${version}\r\n${HOST}`)).toBe(505);
    },
  );

  test("the HTTP/2 preface: 505", () => {
    expect(fault("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toBe(505);
  });

  test.each([
    "HTTP/1",
    "HTTP/1.",
    "HTTP/.1",
    "HTTP/11.1",
    "HTTP/1.10",
    "HTTP/01.01",
    "HTTP/ 1.1",
    "HTTP/1 .1",
    "HTTP 1.1",
    "HTTP/1,1",
    "HTTP/1.1 ",
    "HTTP/1.1\t",
    "HTTP/1.x",
    "http/1.1",
    "Http/1.1",
    "HTTPS/1.1",
    "HTT/1.1",
    "ICE/1.0",
    "RTSP/1.0",
    "IHTTP/1.0",
    "HTTP/1.1\0",
    "FOO",
    "",
  ])("%j: 400", (version) => {
    expect(fault(`GET / ${version}\r\n${HOST}`)).toBe(400);
  });

  test("a request line without a version (HTTP/0.9): 400", () => {
    expect(fault("GET /\r\n")).toBe(400);
    expect(fault("GET / \r\n\r\n")).toBe(400);
    expect(fault("GET\r\n\r\n")).toBe(400);
  });
});

describe("§3.1 method", () => {
  test.each([
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "M-SEARCH",
    "PROPFIND",
    "get",
    "Get",
    "GETX",
    "G",
    "x!#$%&'*+-.^_`|~9",
    "QUERY",
    "SOURCE",
    "ANNOUNCE",
    "M".repeat(128),
  ])("%s is a method", (method) => {
    expect(only(`${method} / HTTP/1.1\r\n${HOST}`).method).toBe(method);
  });

  test.each(["G(T", "G\0T", "GE\xc9", "G/T", "G:T", "G\tT", '"GET"', "G{}", "M".repeat(129)])(
    "%j is none: 400",
    (method) => {
      expect(fault(`${method} / HTTP/1.1\r\n${HOST}`)).toBe(400);
    },
  );

  test("a method is refused while it is still coming", () => {
    expect(transcript(["A".repeat(200)]).end).toBe(400);
    expect(transcript(["GET\0"]).end).toBe(400);
  });
});

describe("§3 request line", () => {
  test.each([
    ["two spaces before the target", "GET  / HTTP/1.1"],
    ["two spaces behind the target", "GET /  HTTP/1.1"],
    ["tab before the target", "GET\t/ HTTP/1.1"],
    ["tab behind the target", "GET /\tHTTP/1.1"],
    ["vertical tab", "GET\x0b/ HTTP/1.1"],
    ["no-break space", "GET\xa0/ HTTP/1.1"],
    ["space in the target", "GET /a b HTTP/1.1"],
    ["no target", "GET HTTP/1.1"],
    ["no method", " / HTTP/1.1"],
    ["no method, no space", "/ HTTP/1.1"],
    ["words before the method", "Extra lineGET / HTTP/1.1"],
    ["a trailing space", "GET / HTTP/1.1 "],
  ])("%s: 400", (_, line) => {
    expect(fault(`${line}\r\n${HOST}`)).toBe(400);
  });
});

describe("characters outside of RFC 3986", () => {
  const outside = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).filter(
    (character) => !/[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]/.test(character),
  );

  test.each(["/", "/?", "http://a.example/", "http://a.example/?"])("in %s: 400", (before) => {
    // A space ends the target instead.
    for (const character of outside.filter((character) => character !== " "))
      expect([character, fault(`GET ${before}x${character}y HTTP/1.1\r\n${HOST}`)]).toEqual([character, 400]);
  });

  test("a backslash is not a slash", () => {
    expect(fault(`GET /..\\..\\secret HTTP/1.1\r\n${HOST}`)).toBe(400);
  });
});

describe("§3.2.1 origin form", () => {
  test.each([
    ["/", "/", undefined],
    ["/a/b", "/a/b", undefined],
    ["/a?b=c", "/a", "b=c"],
    ["/a?", "/a", ""],
    ["/?a?b", "/", "a?b"],
    ["//host/x", "//host/x", undefined],
    ["/%00%0d%0a", "/%00%0d%0a", undefined],
    ["/a/../b", "/a/../b", undefined],
    ["/q?a[]=1&b[c]=(2)", "/q", "a[]=1&b[c]=(2)"],
    ["/'*+,;=:@!$&()-._~/?/", "/'*+,;=:@!$&()-._~/", "/"],
    ["/a:b@c;d,e", "/a:b@c;d,e", undefined],
    ["/http://x/", "/http://x/", undefined],
    ["/%E4%b8%ad/%25zz", "/%E4%b8%ad/%25zz", undefined],
    ["/%7e?q=100%&%zz&%", "/%7e", "q=100%&%zz&%"],
  ])("%s", (target, path, query) => {
    const request = only(`GET ${target} HTTP/1.1\r\n${HOST}`);
    expect(request).toMatchObject({
      form: "origin",
      target,
      path,
      query,
      host: "a.example",
      port: undefined,
    });
  });

  test.each([
    "/a#b",
    "/#",
    "#",
    "/\xc3\xa9",
    "/\xc0\xaf",
    "/a\0b",
    "/a\x7f",
    "/a\x0bb",
    "?a=b",
    "a/b",
    "",
    "www.example.com",
    "\\a",
    "/%zz",
    "/%",
    "/%4",
    "/%4?a",
    "/50%/x",
    "/%%41",
    "/%41%g1",
    "http://a.example/%4x",
  ])("%j is no target: 400", (target) => {
    expect(fault(`GET ${target} HTTP/1.1\r\n${HOST}`)).toBe(400);
  });
});

describe("§3.2.2 absolute form", () => {
  test.each([
    ["http://b.example/x?y", "b.example", undefined, "/x", "y"],
    ["http://b.example:81/", "b.example", 81, "/", undefined],
    ["HTTP://B.Example/X", "b.example", undefined, "/X", undefined],
    ["https://b.example", "b.example", undefined, "/", undefined],
    ["http://b.example?q=1", "b.example", undefined, "/", "q=1"],
    ["http://b.example:1234?q", "b.example", 1234, "/", "q"],
    ["http://b.example:/", "b.example", undefined, "/", undefined],
    ["http://[::1]:80/", "[::1]", 80, "/", undefined],
  ])("%s: its authority wins over Host", (target, host, port, path, query) => {
    const request = only(`GET ${target} HTTP/1.1\r\n${HOST}`);
    expect(request).toMatchObject({ form: "absolute", target, host, port, path, query });
    expect(request.fields).toEqual([["host", "a.example"]]);
  });

  test("OPTIONS on a bare authority asks about the server", () => {
    expect(only(`OPTIONS http://b.example HTTP/1.1\r\n${HOST}`).path).toBe("*");
    expect(only(`OPTIONS http://b.example/ HTTP/1.1\r\n${HOST}`).path).toBe("/");
  });

  test.each([
    "http:///x",
    "http://",
    "http:/x",
    "http:x",
    "http://u@b/",
    "http://u:p@b/",
    "http://b:x/",
    "http://b:65536/",
    "http://[::1/",
    "http://b,c/",
    "http://a%12:b!&*$@hypnotoad.org:1234/toto",
    "ftp://b/",
    "file:///etc/passwd",
    "ws://b/",
    "://b/",
    "http://b#c",
  ])("%s: 400", (target) => {
    expect(fault(`GET ${target} HTTP/1.1\r\n${HOST}`)).toBe(400);
  });

  test("Host must be there, and be valid, all the same", () => {
    expect(fault("GET http://b.example/ HTTP/1.1\r\n\r\n")).toBe(400);
    expect(fault("GET http://b.example/ HTTP/1.1\r\nHost: a b\r\n\r\n")).toBe(400);
    expect(fault("GET http://b.example/ HTTP/1.1\r\nHost:\r\n\r\n")).toBe(400);
    expect(only("GET http://b.example/ HTTP/1.0\r\n\r\n").host).toBe("b.example");
  });
});

describe("§3.2.3 authority form, §3.2.4 asterisk form", () => {
  test("CONNECT is understood and not implemented: 501", () => {
    expect(fault(`CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n`)).toBe(501);
    expect(fault("CONNECT home_0.example:443 HTTP/1.0\r\n\r\n")).toBe(501);
  });

  test.each(["b.example", "/", "*", "http://b.example:443/", "b.example:", ":443", "u@b:443"])(
    "CONNECT %s: 400",
    (target) => {
      expect(fault(`CONNECT ${target} HTTP/1.1\r\n${HOST}`)).toBe(400);
    },
  );

  test("an authority with another method: 400", () => {
    expect(fault(`GET b.example:443 HTTP/1.1\r\n${HOST}`)).toBe(400);
  });

  test("OPTIONS *", () => {
    expect(only(`OPTIONS * HTTP/1.1\r\n${HOST}`)).toMatchObject({
      form: "asterisk",
      path: "*",
      query: undefined,
    });
  });

  test.each(["GET", "POST", "options", "PRI"])("%s *: 400", (method) => {
    expect(fault(`${method} * HTTP/1.1\r\n${HOST}`)).toBe(400);
  });

  test.each(["*/", "**", "*?a"])("OPTIONS %s: 400", (target) => {
    expect(fault(`OPTIONS ${target} HTTP/1.1\r\n${HOST}`)).toBe(400);
  });
});

test("every beginning of a good request waits for more", () => {
  const text = `GET http://a:1/x?y HTTP/1.1\r\nHost: a\r\n${HOST.slice(4, 4)}\r\n`;
  for (let end = 0; end < text.length; end++) expect(everyWay(text.slice(0, end)).end).toBe("need-data");
});
