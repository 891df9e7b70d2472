// Round trips with node:http2, which is nghttp2, as the client: its reading of the protocol against ours.

import { Buffer } from "node:buffer";
import { once } from "node:events";
import http2 from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { getField } from "../../src/http/fields.ts";
import type { Http2Connection } from "../../src/http2/connection.ts";
import type { Http2Event } from "../../src/http2/events.ts";
import type { Stream } from "../../src/http2/streams/stream.ts";
import { readAll } from "./conversation.ts";
import { answering, exchange, Oracle } from "./oracle.ts";

let oracle: Oracle;

afterEach(() => oracle.close());

const respond = (
  stream: Stream,
  core: Http2Connection,
  body: string,
  fields: readonly [string, string][] = [],
) => {
  core.sendHead(stream, { status: 200, fields, length: Buffer.byteLength(body) }, "");
  core.sendData(stream, body);
  core.sendEnd(stream);
};

/** Answers with what was asked, for comparison. */
const echoHead = answering((stream, core) => {
  const { method, target, fields } = stream.head as NonNullable<Stream["head"]>;
  respond(stream, core, JSON.stringify({ method, target, fields, body: readAll(stream, core) }));
});

/** The client's end of the connection, whose close event is not lost. */
const closed = (stream: http2.ClientHttp2Stream) => once(stream, "close");

describe("requests", () => {
  test("heads, again and again, with a table that fills and evicts", async () => {
    oracle = new Oracle(echoHead);
    for (let round = 0; round < 60; round++) {
      const fields: Record<string, string> = {
        "user-agent": "oracle/1.0",
        [`x-name-${round % 7}`]: "v".repeat(round * 20),
        "x-round": `${round}`,
        authorization: `Bearer ${round}`,
        accept: "*/*",
      };
      const got = await exchange(oracle.client, { ":path": `/path/${round}?q=${round}`, ...fields });
      const seen = JSON.parse(got.body.toString());
      expect([seen.method, seen.target]).toEqual(["GET", `/path/${round}?q=${round}`]);
      for (const [name, value] of Object.entries(fields)) expect(getField(seen.fields, name)).toBe(value);
    }
  });

  test("many at once, answered out of order", async () => {
    const waiting: Stream[] = [];
    oracle = new Oracle((event, core) => {
      if (event.type !== "request") return;
      waiting.push(event.stream);
      if (waiting.length < 50) return;
      for (const stream of waiting.reverse()) respond(stream, core, stream.head?.path ?? "");
    });
    const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
    const bodies = await Promise.all(paths.map((path) => exchange(oracle.client, { ":path": path })));
    expect(bodies.map(({ body }) => body.toString())).toEqual(paths);
  });

  test("a body of 5 MB arrives whole, by way of windows", async () => {
    let received = 0;
    let sum = 0;
    oracle = new Oracle((event, core) => {
      if (event.type === "data") {
        for (let piece = core.read(event.stream); piece; piece = core.read(event.stream)) {
          received += piece.length;
          for (const byte of piece) sum = (sum + byte) % 65_521;
        }
      } else if (event.type === "end") respond(event.stream, core, `${received} ${sum}`);
    });
    const body = Buffer.alloc(5_000_000);
    for (let i = 0; i < body.length; i++) body[i] = i * 7;
    const expected = body.reduce((total, byte) => (total + byte) % 65_521, 0);
    const got = await exchange(oracle.client, { ":method": "POST", ":path": "/" }, body);
    expect(got.body.toString()).toBe(`${body.length} ${expected}`);
  });

  test("trailers", async () => {
    let trailers: unknown;
    oracle = new Oracle((event, core) => {
      if (event.type !== "end") return;
      trailers = event.trailers;
      respond(event.stream, core, readAll(event.stream, core));
    });
    const stream = oracle.client.request({ ":method": "POST", ":path": "/" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "42" }));
    stream.resume().end("body");
    await closed(stream);
    expect(trailers).toEqual([["x-sum", "42"]]);
  });

  test("a cancelled request", async () => {
    oracle = new Oracle(() => {});
    const stream = oracle.client.request({ ":path": "/" });
    stream.on("error", () => {});
    stream.resume();
    await expect.poll(() => oracle.core.openStreams).toBe(1);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await closed(stream);
    expect(oracle.events.map(({ type }) => type)).toEqual(["request", "reset"]);
    expect(oracle.events[1]).toMatchObject({ code: 8, by: "peer" });
  });

  test("extended CONNECT, as a stream of bytes", async () => {
    oracle = new Oracle((event, core) => {
      if (event.type === "request")
        core.sendHead(event.stream, { status: 200, fields: [], length: undefined }, "");
      else if (event.type === "data") core.sendData(event.stream, `echo ${readAll(event.stream, core)}`);
      else if (event.type === "end") core.sendEnd(event.stream);
    });
    await once(oracle.client, "remoteSettings");
    expect(oracle.client.remoteSettings?.enableConnectProtocol).toBe(true);
    const stream = oracle.client.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":path": "/chat",
    });
    await once(stream, "response");
    stream.write("one");
    const [first] = (await once(stream, "data")) as [Buffer];
    expect(first.toString()).toBe("echo one");
    stream.resume().end();
    await closed(stream);
  });
});

describe("responses", () => {
  const FIELDS: readonly [string, string][] = [
    ["content-type", "text/html; charset=utf-8"],
    ["server", "mist"],
    ["set-cookie", "a=b"],
    ["set-cookie", "c=d; Path=/"],
    ["etag", '"x"'],
    ["x-empty", ""],
    ["x-latin", "\xe9"],
    ["cache-control", "private, max-age=0"],
  ];

  test.each([0, 1, 64, 200, 4096, 65_536])("fields, with a table of %i bytes", async (headerTableSize) => {
    let round = 0;
    oracle = new Oracle(
      answering((stream, core) => respond(stream, core, "x", [...FIELDS, ["x-round", `${round++ >> 1}`]])),
      {},
      { settings: { headerTableSize } },
    );
    for (let i = 0; i < 20; i++) {
      const { headers } = await exchange(oracle.client, { ":path": "/" });
      expect(headers["set-cookie"]).toEqual(["a=b", "c=d; Path=/"]);
      expect(headers["x-round"]).toBe(`${i >> 1}`);
      for (const name of ["content-type", "server", "etag", "x-empty", "cache-control"]) {
        expect(headers[name]).toBe(FIELDS.find(([other]) => other === name)?.[1]);
      }
    }
  });

  test("fields, while the size of the table changes", async () => {
    oracle = new Oracle(answering((stream, core) => respond(stream, core, "x", FIELDS)));
    for (const headerTableSize of [4096, 0, 100, 0, 4096, 300, 10_000]) {
      oracle.client.settings({ headerTableSize });
      await once(oracle.client, "localSettings");
      for (let i = 0; i < 4; i++) {
        const { headers } = await exchange(oracle.client, { ":path": "/" });
        expect([headers["server"], headers["x-empty"]]).toEqual(["mist", ""]);
      }
    }
  });

  test("what is never indexed is so for the client, too", async () => {
    oracle = new Oracle(answering((stream, core) => respond(stream, core, "", FIELDS)));
    for (let i = 0; i < 3; i++) {
      const { headers } = await exchange(oracle.client, { ":path": "/" });
      const sensitive = (headers as unknown as Record<symbol, readonly string[]>)[http2.sensitiveHeaders];
      expect(new Set(sensitive)).toEqual(new Set(["set-cookie"]));
    }
  });

  test("a body of 5 MB, in pieces, and trailers", async () => {
    const piece = Buffer.alloc(50_000, "abcdefg");
    let left = 100;
    const write = (stream: Stream, core: Http2Connection) => {
      while (left > 0) {
        left--;
        if (!core.sendData(stream, piece)) return;
      }
      core.sendEnd(stream, [["grpc-status", "0"]]);
    };
    oracle = new Oracle((event: Http2Event, core) => {
      if (event.type === "request") {
        core.sendHead(event.stream, { status: 200, fields: [], length: undefined }, "");
        write(event.stream, core);
      } else if (event.type === "room") write(event.stream, core);
    });
    const got = await exchange(oracle.client, { ":path": "/" });
    expect(got.body.equals(Buffer.concat(Array(100).fill(piece)))).toBe(true);
    expect(got.trailers).toMatchObject({ "grpc-status": "0" });
  });

  test.each([
    ["HEAD", 200, undefined],
    ["GET", 204, undefined],
    ["GET", 304, undefined],
  ])("no body: %s, %i", async (method, status) => {
    oracle = new Oracle(
      answering((stream, core) => {
        core.sendHead(stream, { status, fields: [], length: method === "HEAD" ? 10 : 0 }, "");
        core.sendEnd(stream);
      }),
    );
    const got = await exchange(oracle.client, { ":path": "/", ":method": method });
    expect([got.status, got.body.length]).toEqual([status, 0]);
    expect(got.headers["content-length"]).toBe(method === "HEAD" ? "10" : undefined);
  });

  test("informational responses", async () => {
    oracle = new Oracle(
      answering((stream, core) => {
        core.sendInformational(stream, 103, [["link", "</a.css>"]]);
        respond(stream, core, "x");
      }),
    );
    const got = await exchange(oracle.client, { ":path": "/" });
    expect(got.informational).toMatchObject([{ ":status": 103, link: "</a.css>" }]);
    expect(got.status).toBe(200);
  });

  test("a response that is broken off", async () => {
    oracle = new Oracle((event, core) => {
      if (event.type !== "request") return;
      core.sendHead(event.stream, { status: 200, fields: [], length: undefined }, "");
      core.sendData(event.stream, "half");
      setImmediate(() => {
        core.reset(event.stream, 2);
        oracle.flushSoon();
      });
    });
    await expect(exchange(oracle.client, { ":path": "/" })).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
  });
});

describe("the connection", () => {
  test("a PING comes back", async () => {
    oracle = new Oracle(() => {});
    const payload = await new Promise<Buffer>((resolve, reject) =>
      oracle.client.ping(Buffer.from("12345678"), (error, _duration, bytes) =>
        error ? reject(error) : resolve(bytes),
      ),
    );
    expect(payload.toString()).toBe("12345678");
  });

  test("a drain: what was asked for is answered, and then it ends", async () => {
    const open: Stream[] = [];
    oracle = new Oracle((event) => {
      if (event.type === "request") open.push(event.stream);
    });
    const answer = exchange(oracle.client, { ":path": "/" });
    await expect.poll(() => open.length).toBe(1);
    const goaway = once(oracle.client, "goaway");
    oracle.core.startDrain();
    oracle.flushSoon();
    await goaway;
    await expect.poll(() => oracle.core.drained || oracle.core.openStreams).toBe(1);
    respond(open[0] as Stream, oracle.core, "done");
    oracle.flushSoon();
    expect((await answer).body.toString()).toBe("done");
    await expect.poll(() => oracle.core.drained).toBe(true);
  });

  test("no more streams than were announced", async () => {
    const open: Stream[] = [];
    oracle = new Oracle((event) => {
      if (event.type === "request") open.push(event.stream);
    });
    await once(oracle.client, "remoteSettings");
    expect(oracle.client.remoteSettings).toMatchObject({
      maxConcurrentStreams: 100,
      maxHeaderListSize: 16_384,
    });
    const answers = Array.from({ length: 150 }, () => exchange(oracle.client, { ":path": "/" }));
    await expect.poll(() => open.length).toBe(100);
    for (let i = 0; i < 150; i++) {
      await expect.poll(() => open.length).toBeGreaterThan(i);
      respond(open[i] as Stream, oracle.core, "x");
      oracle.flushSoon();
    }
    expect((await Promise.all(answers)).length).toBe(150);
  });
});
