// The Request a fetch handler gets: what it says of the request, how its body reads, what goes for a real one.

import { Buffer } from "node:buffer";
import { inspect } from "node:util";
import * as undici from "undici";
import { describe, expect, test } from "vitest";
import { mistRequest } from "../../src/fetch/index.ts";
import { readAnswer, statuses } from "../server/serve.ts";
import { serveFetch } from "./serve-fetch.ts";

const body = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n") + 4);

describe("url", () => {
  test.each<[string, string, string]>([
    ["the plain case", "GET /a/b?c=d HTTP/1.1\r\nhost: example.org", "http://example.org/a/b?c=d"],
    ["a port", "GET / HTTP/1.1\r\nhost: example.org:8080", "http://example.org:8080/"],
    ["the scheme's own port", "GET / HTTP/1.1\r\nhost: example.org:80", "http://example.org/"],
    ["the other scheme's port", "GET / HTTP/1.1\r\nhost: example.org:443", "http://example.org:443/"],
    ["an empty port", "GET / HTTP/1.1\r\nhost: example.org:", "http://example.org/"],
    ["upper case", "GET /A HTTP/1.1\r\nhost: EXAMPLE.org", "http://example.org/A"],
    ["IPv6", "GET / HTTP/1.1\r\nhost: [::0:1]:8080", "http://[::1]:8080/"],
    ["IPv4, oddly written", "GET / HTTP/1.1\r\nhost: 0x7f.1", "http://127.0.0.1/"],
    ["absolute-form", "GET http://other.org/x?y HTTP/1.1\r\nhost: other.org", "http://other.org/x?y"],
    ["absolute-form without a path", "GET http://other.org HTTP/1.1\r\nhost: other.org", "http://other.org/"],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nhost: a", "http://a/*"],
    ["dot segments", "GET /a/../b/./c HTTP/1.1\r\nhost: a", "http://a/b/c"],
    ["encoded dot segments", "GET /a/%2E%2e/b HTTP/1.1\r\nhost: a", "http://a/b"],
    ["an empty query", "GET /? HTTP/1.1\r\nhost: a", "http://a/?"],
    ["several question marks", "GET /?a=b?c HTTP/1.1\r\nhost: a", "http://a/?a=b?c"],
    ["a list in the query", "GET /?a[]=1&b=%20 HTTP/1.1\r\nhost: a", "http://a/?a[]=1&b=%20"],
    ["quotes", "GET /'?a='b' HTTP/1.1\r\nhost: a", "http://a/'?a=%27b%27"],
    ["two slashes are no host", "GET //evil.org/x HTTP/1.1\r\nhost: a", "http://a//evil.org/x"],
    ["a % in the query that encodes nothing", "GET /?%zz HTTP/1.1\r\nhost: a", "http://a/?%zz"],
  ])("%s", async (_name, head, url) => {
    const { ask } = await serveFetch((request) => new Response(request.url));
    const answer = await ask(`${head}\r\nconnection: close\r\n\r\n`);
    expect(body(answer)).toBe(url);
    expect(new URL(url).href).toBe(url); // as the WHATWG parser writes it
    expect(new URL(url).hash).toBe("");
  });

  test("without a Host, which HTTP/1.0 allows, is the server's own address", async () => {
    const { ask, url } = await serveFetch((request) => new Response(request.url));
    expect(body(await ask("GET / HTTP/1.0\r\n\r\n"))).toBe(`${url}/`);
  });

  test.each(["1.2.3.999", "%00", "a%2fb", "0x100000000"])(
    "Host %s, which no URL may have, is 400",
    async (host) => {
      let called = false;
      const { ask, reports } = await serveFetch(() => {
        called = true;
        return new Response();
      });
      expect(statuses(await ask(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`))).toEqual([400]);
      expect(called).toBe(false);
      expect(reports).toEqual([]);
    },
  );

  test("remembers no other request's host", async () => {
    const { ask } = await serveFetch((request) => new Response(`${request.url};`));
    const hosts = ["a", "b", "a:81", "a:82", "a", "A"];
    const answers = await ask(hosts.map((host) => `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`).join(""));
    expect(answers.match(/http:[^;]*/g)).toEqual([
      ...["http://a/", "http://b/", "http://a:81/", "http://a:82/", "http://a/", "http://a/"],
    ]);
  });
});

test.each(["TRACE", "TRACK", "trace", "get", "Post"])("no Request can stand for %s: 501", async (method) => {
  const { ask } = await serveFetch(() => new Response("?"));
  expect(statuses(await ask(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`))).toEqual([501]);
});

test.each(["PATCH", "patch", "QUERY", "PROPFIND"])("%s comes as it is", async (method) => {
  const { ask } = await serveFetch((request) => new Response(`${request.method} ${request.clone().method}`));
  expect(body(await ask(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`))).toBe(`${method} ${method}`);
});

describe("headers", () => {
  const head =
    "GET / HTTP/1.1\r\nhost: a\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=1\r\ncookie: b=2\r\nx-b: h\xe4\xdf\r\nx-empty:\r\n";

  test("are all there, joined as they must be", async () => {
    const { ask } = await serveFetch((request) => Response.json([...request.headers]));
    const answer = await ask(Buffer.from(`${head}connection: close\r\n\r\n`, "latin1"));
    expect(JSON.parse(Buffer.from(body(answer), "latin1").toString())).toEqual([
      ["connection", "close"],
      ["cookie", "a=1; b=2"],
      ["host", "a"],
      ["x-a", "1, 2"],
      ["x-b", "häß"],
      ["x-empty", ""],
    ]);
  });

  test.each<[string, (headers: Headers) => unknown]>([
    [
      "get",
      (headers) => [headers.get("X-A"), headers.get("cookie"), headers.get("x-empty"), headers.get("none")],
    ],
    ["has", (headers) => [headers.has("X-A"), headers.has("none"), headers.has("x-empty")]],
    ["get of no name", (headers) => headers.get("a b")],
    ["has of no name", (headers) => headers.has("")],
    ["get of a number", (headers) => headers.get(1 as never)],
    ["entries", (headers) => [...headers.entries()]],
    ["keys", (headers) => [...headers.keys()]],
    ["values", (headers) => [...headers.values()]],
    [
      "forEach",
      (headers) => {
        const all: unknown[] = [];
        headers.forEach((value, name) => {
          all.push([name, value]);
        });
        return all;
      },
    ],
    ["iteration", (headers) => [...headers]],
    ["getSetCookie", (headers) => headers.getSetCookie()],
    ["a copy", (headers) => [...new Headers(headers)]],
    ["a request's", (headers) => [...new Request("http://a/", { headers }).headers]],
    ["a response's", (headers) => [...new Response("", { headers }).headers]],
    ["an object", (headers) => Object.fromEntries(headers)],
    [
      "set",
      (headers) => {
        headers.set("x-a", "3");
        return [headers.get("x-a"), headers.has("X-A"), [...headers]];
      },
    ],
    [
      "append",
      (headers) => {
        headers.append("x-a", "3");
        return headers.get("x-a");
      },
    ],
    [
      "delete",
      (headers) => {
        headers.delete("x-a");
        return [headers.get("x-a"), headers.has("x-a")];
      },
    ],
    [
      "looks",
      (headers) => [
        headers instanceof Headers,
        Object.prototype.toString.call(headers),
        headers.constructor === Headers,
        inspect(headers),
      ],
    ],
  ])("behave as Node's: %s", async (_name, use) => {
    const tried = (headers: Headers): unknown => {
      try {
        return use(headers);
      } catch (error) {
        return (error as Error).constructor.name;
      }
    };
    const { ask } = await serveFetch((request) => {
      const native = new Headers(mistRequest(request)?.headers as [string, string][]);
      expect(tried(request.headers)).toEqual(tried(native));
      return new Response("same");
    });
    expect(await ask(Buffer.from(`${head}connection: close\r\n\r\n`, "latin1"))).toContain("same");
  });

  test("can be changed, and the change goes on with the request", async () => {
    const { url } = await serveFetch(async (request) => {
      const { headers } = request;
      headers.set("x-a", "new");
      const before = request.cache; // has a real Request made
      headers.set("x-b", "newer");
      const seen = [request.headers, request.clone().headers, new Request(request).headers];
      return Response.json([before, ...seen.map((each) => `${each.get("x-a")} ${each.get("x-b")}`)]);
    });
    expect(await (await fetch(url, { headers: { "x-a": "old" } })).json()).toEqual([
      "default",
      "new newer",
      "new newer",
      "new newer",
    ]);
  });
});

type Reading = (request: Request) => Promise<unknown>;

describe("the body", () => {
  const readings: [string, Reading, unknown][] = [
    ["text", (request) => request.text(), '{"a":"ä"}'],
    ["json", (request) => request.json(), { a: "ä" }],
    ["arrayBuffer", async (request) => (await request.arrayBuffer()).byteLength, 10],
    ["bytes", async (request) => (await (request as undici.Request & Request).bytes()).length, 10],
    ["blob", async (request) => [(await request.blob()).size, (await request.clone).length], [10, 0]],
    ["a stream", async (request) => await new Response(request.body).text(), '{"a":"ä"}'],
    ["a clone", async (request) => ((await request.clone().json()) as { a: string }).a, "ä"],
    ["a new Request", async (request) => await new Request(request).text(), '{"a":"ä"}'],
    ["an iterated stream", async (request) => await concatenated(request.body as never), '{"a":"ä"}'],
  ];

  test.each(readings)("as %s", async (_name, read, expected) => {
    const { url } = await serveFetch(async (request) => Response.json(await read(request)));
    for (const content of ['{"a":"ä"}', streamOf('{"a"', ':"ä"}')]) {
      const answer = await undici.fetch(url, { method: "POST", body: content, duplex: "half" });
      expect(await answer.json()).toEqual(expected);
    }
  });

  test.each(readings)("only once, read as %s", async (_name, read) => {
    const { url } = await serveFetch(async (request) => {
      const used = [request.bodyUsed];
      const copy = _name === "a clone" ? request.clone() : request;
      await read(request);
      if (_name === "a clone") await request.text();
      used.push(request.bodyUsed);
      const errors: string[] = [];
      for (const again of ["text", "json", "arrayBuffer", "blob", "formData"] as const) {
        await request[again]().catch((error) => errors.push(error.constructor.name));
      }
      try {
        request.clone();
      } catch (error) {
        errors.push((error as Error).constructor.name);
      }
      return Response.json([used, errors, copy.bodyUsed]);
    });
    const answer = await fetch(url, { method: "POST", body: '{"a":"ä"}' });
    expect(await answer.json()).toEqual([[false, true], Array(6).fill("TypeError"), _name !== "a clone"]);
  });

  test("a byte order mark is no text", async () => {
    const { url } = await serveFetch(async (request) => new Response(`[${await request.text()}]`));
    expect(await (await fetch(url, { method: "POST", body: "\ufeffa\ufeff" })).text()).toBe("[a\ufeff]");
  });

  test("bytes that are no UTF-8 are replaced as everywhere", async () => {
    const bytes = new Uint8Array([0x61, 0xf0, 0x9f, 0x62, 0xff, 0xc3]);
    const { url } = await serveFetch(async (request) => new Response(await request.text()));
    expect(await (await fetch(url, { method: "POST", body: bytes })).text()).toBe(
      new TextDecoder().decode(bytes),
    );
  });

  test("an ArrayBuffer holds the body and nothing else", async () => {
    const { ask } = await serveFetch(async (request) => {
      const buffer = await request.arrayBuffer();
      return Response.json([buffer.byteLength, Object.prototype.toString.call(buffer)]);
    });
    const answer = await ask(
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
    );
    expect(JSON.parse(body(answer))).toEqual([3, "[object ArrayBuffer]"]);
  });

  test("a blob has the type, normalised", async () => {
    const { url } = await serveFetch(async (request) => new Response((await request.blob()).type));
    const typed = (type: string) =>
      fetch(url, { method: "POST", body: "a", headers: { "content-type": type } }).then((r) => r.text());
    expect(await typed("Text/HTML; Charset=UTF-8")).toBe("text/html;charset=utf-8");
    expect(await typed("nonsense")).toBe("");
  });

  test("forms, in both codings", async () => {
    const { url } = await serveFetch(async (request) => {
      const form = await request.formData();
      const file = form.get("file");
      return Response.json([
        form.get("a"),
        file instanceof File ? [file.name, file.type, await file.text()] : file,
      ]);
    });
    const form = new FormData();
    form.set("a", "ä");
    form.set("file", new File(["content"], "f.txt", { type: "text/plain" }));
    expect(await (await fetch(url, { method: "POST", body: form })).json()).toEqual([
      "ä",
      ["f.txt", "text/plain", "content"],
    ]);
    const fields = new URLSearchParams({ a: "ä", file: "none" });
    expect(await (await fetch(url, { method: "POST", body: fields })).json()).toEqual(["ä", "none"]);
  });

  test("what is no form is the client's fault only if the handler says so", async () => {
    const { url, reports } = await serveFetch(async (request) =>
      Response.json([...(await request.formData())]),
    );
    expect((await fetch(url, { method: "POST", body: "a" })).status).toBe(500);
    expect(reports[0]?.error).toBeInstanceOf(TypeError);
  });

  test.each(["GET", "HEAD", "POST"])("%s without content has none", async (method) => {
    const seen: unknown[] = [];
    const { url } = await serveFetch(async (request) => {
      seen.push(request.body, await request.text(), await request.text(), request.bodyUsed);
      seen.push((await request.arrayBuffer()).byteLength, request.clone().body);
      return new Response();
    });
    expect((await fetch(url, { method })).status).toBe(200);
    expect(seen).toEqual([null, "", "", false, 0, null]);
  });

  test("GET with content has none for a Request", async () => {
    const { ask } = await serveFetch(async (request) => Response.json([request.body, await request.text()]));
    const get = "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    const answers = await ask(get + get);
    expect(statuses(answers)).toEqual([200, 200]);
    expect(body(answers)).toContain('[null,""]');
  });

  test.each<[string, Reading]>([
    ["text", (request) => request.text()],
    ["formData", (request) => request.formData()],
    ["a clone's text", (request) => request.clone().text()],
    [
      "text with the stream looked at",
      (request) => (request.body === null ? Promise.resolve() : request.text()),
    ],
  ])("%s takes no more than maxBodyLimit", async (_name, read) => {
    const { url, reports } = await serveFetch(async (request) => new Response(String(await read(request))), {
      maxBodyLimit: 10,
    });
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const status = async (content: string | ReadableStream<Uint8Array>) => {
      const init = { method: "POST", body: content, duplex: "half", headers: type } as const;
      const answer = await undici.fetch(url, init);
      await answer.arrayBuffer();
      return answer.status;
    };
    expect(await status("a".repeat(10))).toBe(200);
    expect(await status("a".repeat(11))).toBe(413);
    expect(await status(streamOf("a".repeat(6), "b".repeat(6)))).toBe(413);
    expect(reports).toEqual([]);
  });

  test("Expect: 100-continue is answered when somebody reads", async () => {
    const { connect } = await serveFetch(async (request) => new Response(await request.text()));
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
    expect(String(await socket.receiveUntil("\r\n\r\n", { timeout: 5000 }))).toContain("100 Continue");
    await socket.send("ab");
    expect(String(await socket.receiveUntil("ab", { timeout: 5000 }))).toContain("200 OK");
    await socket.close();
  });
});

describe("it goes for a real Request", () => {
  test("in every property, on this version of Node", async () => {
    const native = new Request("http://x/");
    const { url } = await serveFetch((request) => {
      const bag = request as unknown as Record<string, unknown>;
      const kinds = Object.getOwnPropertyNames(Object.getPrototypeOf(native)).map((name) => [
        name,
        name === "constructor" ? "function" : typeof bag[name],
      ]);
      return Response.json(Object.fromEntries(kinds));
    });
    const expected = Object.fromEntries(
      Object.getOwnPropertyNames(Object.getPrototypeOf(native)).map((name) => [
        name,
        typeof (native as unknown as Record<string, unknown>)[name],
      ]),
    );
    expect(await (await fetch(url)).json()).toEqual(expected);
  });

  test("in its looks", async () => {
    const { url } = await serveFetch((request) =>
      Response.json([
        request instanceof Request,
        Object.prototype.toString.call(request),
        request.constructor === Request,
        inspect(request).includes("GET"),
        request.mode,
        request.credentials,
        request.redirect,
        request.duplex,
      ]),
    );
    expect(await (await fetch(url)).json()).toEqual([
      ...[true, "[object Request]", true, true, "cors", "same-origin", "follow", "half"],
    ]);
  });

  test("with fetch, which passes it on, body and all", async () => {
    const origin = await serveFetch(
      async (request) =>
        new Response(
          `${request.method} ${request.headers.get("x-a")} ${await request.text()}${request.headers.get("x-hop") ?? ""}`,
        ),
    );
    const proxy = await serveFetch((request) => fetch(new Request(origin.url, request)));
    const post = { method: "POST", body: "ab", headers: { "x-a": "1" } };
    expect(await (await fetch(proxy.url, post)).text()).toBe("POST 1 ab");
    // Framing and hops are the proxy's own matter.
    const { connect } = await serveFetch((request) => fetch(request));
    const socket = await connect();
    const host = `host: 127.0.0.1:${origin.port}\r\n`;
    const hops = "connection: close, x-hop\r\nx-hop: 1\r\ntransfer-encoding: chunked\r\n";
    const content = "2\r\ncd\r\n0\r\n\r\n";
    await socket.send(`POST / HTTP/1.1\r\n${host}${hops}x-a: 2\r\n\r\n${content}`);
    expect((await readAnswer(socket)).body).toBe("POST 2 cd");
  });

  test("with new Request, which takes its body over", async () => {
    const { url } = await serveFetch(async (request) => {
      const next = new Request(request, { headers: { a: "1" } });
      return Response.json([
        request.bodyUsed,
        await next.text(),
        next.headers.get("a"),
        next.url === request.url,
      ]);
    });
    expect(await (await fetch(url, { method: "POST", body: "abc" })).json()).toEqual([
      true,
      "abc",
      "1",
      true,
    ]);
  });

  test("with new Request for another body, when its own has been read", async () => {
    const { url } = await serveFetch(async (request) => {
      const text = await request.text();
      expect(() => new Request(request)).toThrow(TypeError);
      return new Response(await new Request(request, { body: text.toUpperCase() }).text());
    });
    expect(await (await fetch(url, { method: "POST", body: "abc" })).text()).toBe("ABC");
  });
});

test("mistRequest leads back, from clones too, and knows no other Request", async () => {
  const { url } = await serveFetch((request, environment) =>
    Response.json([
      mistRequest(request) === environment.mist,
      mistRequest(request.clone()) === environment.mist,
      mistRequest(new Request(request.url)) === undefined,
      mistRequest(request)?.path,
    ]),
  );
  expect(await (await fetch(`${url}/p`)).json()).toEqual([true, true, true, "/p"]);
});

test("the client's address is where srvx has it", async () => {
  const { url } = await serveFetch((request) => new Response((request as Request & { ip?: string }).ip));
  expect(await (await fetch(url)).text()).toBe("127.0.0.1");
});

function streamOf(...pieces: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });
}

async function concatenated(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
