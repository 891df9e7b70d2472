// Requests and answers over real sockets: framing, persistence, pipelining, and what happens to content nobody reads.

import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, serve, statuses } from "./serve.ts";

const text = (body: string) =>
  mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(body));

const echo: mist.Handler = async (request) =>
  text(Buffer.from(await mist.readBody(request, { maxBodyLimit: 1 << 20 })).toString("latin1"));

describe("persistence (RFC 9112 §9.3)", () => {
  it.each([
    ["HTTP/1.1", "", true],
    ["HTTP/1.1", "connection: close\r\n", false],
    ["HTTP/1.1", "connection: foo, CLOSE\r\n", false],
    ["HTTP/1.0", "", false],
    ["HTTP/1.0", "connection: keep-alive\r\n", true],
    ["HTTP/1.0", "connection: keep-alive, close\r\n", false],
  ])("%s %j keeps the connection: %s", async (version, fields, kept) => {
    const { connect } = await serve(() => text("hello"));
    const socket = await connect();
    await socket.send(`GET / ${version}\r\nhost: a\r\n${fields}\r\n`);
    const answer = await readAnswer(socket);
    expect(answer.body).toBe("hello");
    if (!kept) {
      expect(answer.headers.get("connection")).toBe("close");
      expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
      return;
    }
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect((await readAnswer(socket)).body).toBe("hello");
  });

  it("closes when the handler's response says so", async () => {
    const { connect } = await serve(() => text("bye").setHeader("connection", "close"));
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const answer = await readAnswer(socket);
    expect(answer.headers.get("connection")).toBe("close");
    expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
  });
});

describe("pipelining (RFC 9112 §9.3.2)", () => {
  it("answers in order, although the first handler finishes last", async () => {
    const release: (() => void)[] = [];
    const { connect } = await serve(async (request) => {
      if (request.path === "/slow") await new Promise<void>((resolve) => release.push(resolve));
      return text(request.path);
    });
    const socket = await connect();
    await socket.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET /fast HTTP/1.1\r\nhost: a\r\n\r\n");
    await expect.poll(() => release.length).toBe(1);
    release[0]?.();
    expect((await readAnswer(socket)).body).toBe("/slow");
    expect((await readAnswer(socket)).body).toBe("/fast");
  });

  it("answers sixteen requests in one packet, whatever mixture of sync and async", async () => {
    const { ask } = await serve((request) =>
      request.path.endsWith("0") ? text(request.path) : Promise.resolve(text(request.path)),
    );
    let requests = "";
    for (let i = 0; i < 16; i++) requests += `GET /${i % 2} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const answers = await ask(requests);
    expect(answers.match(/\/[01](?=HTTP|$)/g)).toHaveLength(16);
  });

  it("serves a POST and the GET behind it in the same packet", async () => {
    const { ask } = await serve((request) => (request.method === "POST" ? echo(request) : text("second")));
    const answers = await ask(
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nfirstGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    expect(answers).toMatch(/first.*second$/s);
  });
});

describe("content", () => {
  it.each([
    ["content-length: 11\r\n\r\nhello world", "hello world"],
    ["content-length: 0\r\n\r\n", ""],
    ["transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n", "hello world"],
    ["transfer-encoding: Chunked\r\n\r\n0\r\nx-trailer: 1\r\n\r\n", ""],
  ])("%j is read as %j, in one packet or byte by byte", async (rest, expected) => {
    const { connect } = await serve(echo);
    const request = `POST / HTTP/1.1\r\nhost: a\r\n${rest}`;
    for (const pieces of [[request], request.split("")]) {
      const socket = await connect();
      for (const piece of pieces) await socket.send(piece);
      expect((await readAnswer(socket)).body).toBe(expected);
      await socket.close();
    }
  });

  it("gives the trailers when the body is at its end", async () => {
    const { ask } = await serve(async (request) => {
      const body = mist.stream(request);
      let received = "";
      for await (const piece of body) received += Buffer.from(piece).toString();
      return text(JSON.stringify([received, body.trailers]));
    });
    const answer = await ask(
      "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\ncontent-length: 9\r\n\r\n",
    );
    expect(answer).toContain('["abc",[["x-sum","6"]]]');
  });

  it("consume(n) gives n bytes at a time, fewer at the end, then done", async () => {
    const { ask } = await serve(async (request) => {
      const body = mist.stream(request);
      const seen: string[] = [];
      for (;;) {
        const part = await body.consume(4);
        if (part.type === "done") return text(seen.join("|"));
        seen.push(Buffer.from(part.data).toString());
      }
    });
    const answer = await ask(
      "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n6\r\ndefghi\r\n1\r\nj\r\n0\r\n\r\n",
    );
    expect(answer).toMatch(/abcd\|efgh\|ij$/);
  });

  it("works when its functions are taken out of it", async () => {
    const { ask } = await serve(async (request) => {
      const { consume, toReadableStream } = mist.stream(request);
      const first = await consume(2);
      const rest = await new Response(toReadableStream()).text();
      return text(`${first.type === "chunk" && first.data.toString("latin1")}|${rest}`);
    });
    expect(await ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nabcd")).toMatch(/ab\|cd$/);
  });

  it("can be had as a web stream", async () => {
    const { ask } = await serve(async (request) =>
      text(await new Response(mist.stream(request).toReadableStream()).text()),
    );
    expect(await ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")).toMatch(/abc$/);
  });

  it("left unread is never taken for a request, and the connection goes on behind it", async () => {
    const { ask } = await serve((request) => text(request.path));
    const smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    const answers = await ask(
      `POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}GET /two HTTP/1.1\r\nhost: a\r\n\r\n`,
    );
    expect(answers).toMatch(/\/one.*\/two$/s);
    expect(answers).not.toContain("smuggled");
  });

  it("left unread and too long to drain closes the connection", async () => {
    const { connect } = await serve(
      () => text("no"),
      (builder) => builder.withLimits({ maxDrain: 10 }),
    );
    const socket = await connect();
    await socket.send(
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello worldGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    expect((await readAnswer(socket)).headers.get("connection")).toBe("close");
    expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
  });

  it.each([
    ["content-length: 6\r\n\r\nabcdef"],
    ["transfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n"],
  ])("longer than maxBodyLimit is answered 413: %j", async (rest) => {
    const { ask } = await serve(async (request) => {
      await mist.readBody(request, { maxBodyLimit: 5 });
      return text("not reached");
    });
    expect(statuses(await ask(`POST / HTTP/1.1\r\nhost: a\r\n${rest}`))).toEqual([413]);
  });

  it("with a broken coding is answered 400", async () => {
    const { ask, reports } = await serve(echo);
    const answer = await ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    expect(statuses(answer)).toEqual([400]);
    expect(reports).toEqual([]);
  });

  it("cut off by the client rejects the read and aborts the signal", async () => {
    const seen: unknown[] = [];
    const { connect } = await serve(async (request) => {
      request.signal.addEventListener("abort", () => seen.push("aborted"));
      await mist.readBody(request, { maxBodyLimit: 100 }).catch((error) => seen.push(error));
      return text("");
    });
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nabc");
    await socket.reset();
    await expect.poll(() => seen.length).toBe(2);
    expect(seen).toContain("aborted");
  });

  it("of a million one-byte chunks costs its bytes", async () => {
    const { connect } = await serve(async (request) => {
      const body = await mist.readBody(request, { maxBodyLimit: 1 << 20 });
      return text(String(body.length));
    });
    const socket = await connect();
    const count = 200_000;
    const before = process.memoryUsage().rss;
    await socket.send(
      `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${"1\r\na\r\n".repeat(count)}0\r\n\r\n`,
    );
    expect((await readAnswer(socket)).body).toBe(String(count));
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });
});

describe("expect: 100-continue (RFC 9110 §10.1.1)", () => {
  it("gets 100 when the handler asks for the body", async () => {
    const { connect } = await serve(echo);
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n");
    expect((await readAnswer(socket)).status).toBe(100);
    await socket.send("hello");
    expect((await readAnswer(socket)).body).toBe("hello");
  });

  it("gets the final answer at once, and the connection closes, when it does not", async () => {
    const { connect } = await serve(() => mist.response(403));
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n");
    const answer = await readAnswer(socket);
    expect([answer.status, answer.headers.get("connection")]).toEqual([403, "close"]);
  });

  it("gets 100 ahead of an answer that echoes as it reads", async () => {
    const { connect } = await serve((request) =>
      mist.response(200).setBody(mist.chunked(mist.stream(request))),
    );
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n");
    expect((await readAnswer(socket)).status).toBe(100);
    await socket.send("hello");
    expect((await readAnswer(socket)).body).toBe("hello");
  });
});

describe("framing of answers (RFC 9112 §6)", () => {
  it.each([
    ["GET", mist.response(204), /^HTTP\/1\.1 204 (?!.*(content-length|transfer-encoding)).*\r\n\r\n$/s],
    ["GET", mist.response(304), /^HTTP\/1\.1 304 (?!.*(transfer-encoding)).*\r\n\r\n$/s],
    ["HEAD", text("hello"), /^(?!.*hello).*content-length: 5\r\n\r\n$/s],
    ["GET", text("hello"), /^(?!.*content-length.*content-length).*content-length: 5\r\n.*hello$/s],
    ["GET", text("hello").setHeader("content-length", "5"), /^(?!.*content-length.*content-length).*hello$/s],
    ["GET", mist.response(200).setBody(mist.bytes("héllo")), /content-length: 6\r\n\r\nhÃ©llo$/],
    [
      "GET",
      mist.response(200).setBody(mist.bytes(["a", new Uint8Array([98])])),
      /content-length: 2\r\n\r\nab$/,
    ],
    ["GET", mist.response(200), /content-length: 0\r\n\r\n$/],
  ] as const)("%s is answered in form (%#)", async (method, response, pattern) => {
    const { ask } = await serve(() => response as mist.ServerResponse);
    expect(await ask(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`)).toMatch(pattern);
  });

  it("streams chunked to 1.1, until close to 1.0", async () => {
    const { ask } = await serve(() => mist.response(200).setBody(mist.chunked(["a", "bc", ""])));
    expect(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")).toMatch(
      /chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n$/,
    );
    expect(await ask("GET / HTTP/1.0\r\n\r\n")).toMatch(/^(?!.*chunked).*\r\n\r\nabc$/s);
  });

  it("sends trailers behind a chunked body", async () => {
    const { ask } = await serve(() =>
      mist
        .response(200)
        .setBody(mist.chunked(["a"]))
        .withTrailers(() => [["x-sum", "1"]]),
    );
    expect(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")).toMatch(/0\r\nx-sum: 1\r\n\r\n$/);
  });

  it("refuses a content-length that is not the body's: 500, reported", async () => {
    const { ask, reports } = await serve(() => text("hello").setHeader("content-length", "4"));
    expect(statuses(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n"))).toEqual([500]);
    expect(reports).toHaveLength(1);
  });

  it.each(["a\r\nset-cookie: x=1", "a\nb", "a\0b", "snow ☃"])(
    "refuses the field value %j at the call",
    (value) => {
      expect(() => mist.response(200).setHeader("x", value)).toThrow(mist.UsageError);
    },
  );

  it("sends 103 ahead of the answer, but not to an HTTP/1.0 client", async () => {
    const { ask } = await serve((request) => {
      mist.sendInformational(request, 103, [["link", "</style.css>; rel=preload"]]);
      return text("hello");
    });
    expect(statuses(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n"))).toEqual([103, 200]);
    expect(statuses(await ask("GET / HTTP/1.0\r\n\r\n"))).toEqual([200]);
  });
});

describe("failing handlers", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    ["returns nothing", () => undefined as never],
    ["resolves to nothing", () => Promise.resolve() as never],
  ])("that %s is answered 500 with connection: close, and reported once", async (_, handler) => {
    const { connect, reports } = await serve(handler as mist.Handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const answer = await readAnswer(socket);
    expect([answer.status, answer.headers.get("connection")]).toEqual([500, "close"]);
    expect(answer.body).not.toContain("boom");
    expect(reports).toHaveLength(1);
  });

  it("break the message off once the head is out", async () => {
    const { connect, reports } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            yield "a";
            throw new Error("boom");
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const answer = (await socket.receiveToEnd({ timeout: 5000 })).toString();
    expect(answer).toMatch(/1\r\na\r\n$/);
    expect(reports).toHaveLength(1);
    expect(reports[0]?.during).toBe("body");
  });

  it("reset the connection where only the close ends the message (HTTP/1.0)", async () => {
    let fail: () => void = () => {};
    const failing = new Promise<void>((resolve) => {
      fail = resolve;
    });
    const { connect } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            yield "a";
            await failing;
            throw new Error("boom");
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send("GET / HTTP/1.0\r\n\r\n");
    await socket.receiveUntil("\r\n\r\na", { timeout: 5000 });
    fail();
    await expect(socket.receiveToEnd({ timeout: 5000 })).rejects.toMatchObject({ code: "econnreset" });
  });

  it("do not touch other connections", async () => {
    const { connect } = await serve((request) => {
      if (request.path === "/crash") throw new Error("boom");
      return text("fine");
    });
    const [bad, good] = [await connect(), await connect()];
    await good.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await readAnswer(good);
    await bad.send("GET /crash HTTP/1.1\r\nhost: a\r\n\r\n");
    await readAnswer(bad);
    await good.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect((await readAnswer(good)).body).toBe("fine");
  });
});
