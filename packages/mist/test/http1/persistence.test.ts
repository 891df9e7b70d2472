// RFC 9112 §8 and §9: incomplete messages, persistence, pipelining; RFC 9110 §7.6.1, §7.8, §10.1.1.

import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Http1Connection } from "../../src/http1/connection.ts";
import {
  answerEmpty,
  asked,
  askedHead,
  GET,
  sendData,
  sendEnd,
  sendHead,
  sendInformational,
  sendUpgrade,
} from "./conversation.ts";
import { bytes, everyWay, fault, only, transcript } from "./transcript.ts";

describe("§8 incomplete messages", () => {
  const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  test.each([
    "G",
    "GET / HTTP/1.1",
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r",
    "\r\nG",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
    chunked,
    `${chunked}5`,
    `${chunked}5\r\nhello`,
    `${chunked}5\r\nhello\r\n`,
    `${chunked}0\r\n`,
    `${chunked}0\r\nX: y\r\n`,
  ])("%j, then the peer's end: incomplete, 400", (text) => {
    expect(everyWay(text, { fin: true })).toMatchObject({ end: 400, incomplete: true });
    expect(everyWay(text).end).toBe("need-data");
  });

  test.each(["", "\r", "\r\n", "\r\n\r"])("%j, then the peer's end: closed in order", (text) => {
    expect(everyWay(text, { fin: true })).toMatchObject({ end: "closed", requests: [] });
  });

  test("requests before the peer's end are answered", () => {
    expect(transcript([GET + GET], { fin: true })).toMatchObject({ requests: [{}, {}], end: "closed" });
  });

  test("a malformed message is malformed, not incomplete", () => {
    expect(everyWay("GET /\r\n", { fin: true })).toMatchObject({ end: 400, incomplete: false });
  });
});

describe("§9.3 persistence", () => {
  const request = (version: string, lines: string): string =>
    `GET / HTTP/${version}\r\nHost: a\r\n${lines}\r\n`;
  test.each([
    ["1.1", "", true],
    ["1.1", "Connection: close\r\n", false],
    ["1.1", "Connection: CLOSE\t\r\n", false],
    ["1.1", "connection: x, Close , y\r\n", false],
    ["1.1", "Connection: x\r\nConnection: close\r\n", false],
    ["1.1", "Connection: keep-alive, close\r\n", false],
    ["1.1", "Connection: ,,keep-alive,,\r\n", true],
    ["1.1", "Connection:\r\n", true],
    ["1.1", "Connection: closed\r\n", true],
    ["1.1", "Connection: close-notify\r\n", true],
    ["1.1", 'Connection: "close"\r\n', true],
    ["1.1", "Proxy-Connection: close\r\n", true],
    ["1.0", "", false],
    ["1.0", "Connection: keep-alive\r\n", true],
    ["1.0", "Connection: Keep-Alive\r\n", true],
    ["1.0", "Connection: x, keep-alive\r\n", true],
    ["1.0", "Connection: keep-alive, close\r\n", false],
    ["1.0", "Connection: x\r\n", false],
    ["1.0", "Keep-Alive: timeout=5\r\n", false],
  ])("HTTP/%s %j: %s", (version, lines, persistent) => {
    const text = request(version, lines);
    expect(only(text).keepAlive).toBe(persistent);
    expect(transcript([text, text]).requests).toHaveLength(persistent ? 2 : 1);
    expect(transcript([text]).end).toBe(persistent ? "need-data" : "closed");
  });

  test("bytes behind the last request of a connection are dropped", () => {
    const connection = asked(request("1.1", "Connection: close\r\n") + GET);
    sendHead(connection, { status: 204, fields: [], length: undefined }, "");
    sendEnd(connection);
    expect(connection.persistent).toBe(false);
    // Bytes that were dropped unread: the peer may be sending more.
    expect(connection.next()).toEqual({ type: "closed", lingers: true });
    expect(connection.retainedBytes).toBe(0);
    connection.receive(bytes(GET));
    expect([connection.next().type, connection.retainedBytes]).toEqual(["closed", 0]);
    expect(connection.next().type).toBe("closed");
  });
});

describe("§9.3.2 pipelining", () => {
  test("what follows a request waits, unparsed, for its response", () => {
    const connection = asked(GET + GET);
    const waits = { type: "need-data", begun: true };
    expect(connection.next()).toEqual(waits);
    expect(connection.retainedBytes).toBe(GET.length);
    connection.receive(bytes("garbage that nobody may look at yet \0"));
    expect(connection.next()).toEqual(waits);
    sendHead(connection, { status: 200, fields: [], length: 0 });
    expect(connection.next()).toEqual(waits);
    sendEnd(connection);
    expect(connection.next().type).toBe("request");
    expect(connection.next()).toEqual(waits);
  });

  test("a hundred requests in one packet", () => {
    const texts = Array.from({ length: 100 }, (_, i) =>
      i % 3 === 0
        ? `POST /${i} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`
        : `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    expect(transcript([texts.join("")]).requests.map(({ path }) => path)).toEqual(
      texts.map((_, i) => `/${i}`),
    );
  });

  test("a new cycle needs both sides done", () => {
    const connection = asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    answerEmpty(connection);
    expect([connection.requestComplete, connection.next().type]).toEqual([false, "need-data"]);
    connection.receive(bytes(`abc${GET}`));
    expect([connection.next().type, connection.next().type]).toEqual(["data", "end"]);
    expect(connection.requestComplete).toBe(true);
    expect(connection.next().type).toBe("request");
  });

  test("a body is handed out as it comes, without a copy", () => {
    const connection = asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    const packet = bytes("abc");
    connection.receive(packet);
    expect(connection.next()).toEqual({ type: "data", data: packet });
    expect(connection.next().type).toBe("need-data");
    connection.receive(bytes("defGET"));
    expect(String((connection.next() as { data: Buffer }).data)).toBe("def");
    expect(connection.next()).toEqual({ type: "end", trailers: [] });
    expect(connection.retainedBytes).toBe(3);
  });

  test("a connection that waits says whether a request has begun", () => {
    const connection = asked(GET);
    answerEmpty(connection);
    expect(connection.next()).toEqual({ type: "need-data", begun: false });
    connection.receive(bytes("GE"));
    expect(connection.next()).toEqual({ type: "need-data", begun: true });
  });

  test("a close needs no lingering when the peer said it closes and all it sent was read", () => {
    const connection = asked("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answerEmpty(connection);
    expect(connection.next()).toEqual({ type: "closed", lingers: false });
  });
});

describe("after a fault", () => {
  test.each([
    ["in a head", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"],
    [
      "in a head, behind a HEAD request",
      `HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n`,
    ],
    ["in front of a head, behind a HEAD request", `HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${"\r\n".repeat(5)}`],
  ])("%s: one answer can be given, and the connection closes", (_, text) => {
    const connection = new Http1Connection();
    connection.receive(bytes(text));
    for (;;) {
      try {
        if (connection.next().type === "request") answerEmpty(connection);
      } catch {
        break;
      }
    }
    expect(connection.next().type).toBe("closed");
    connection.receive(bytes(GET));
    expect([connection.next().type, connection.retainedBytes]).toEqual(["closed", 0]);
    const head = sendHead(connection, { status: 400, fields: [], length: 3 }, "D");
    expect(head).toBe(
      "HTTP/1.1 400 Bad Request\r\ndate: D\r\ncontent-length: 3\r\nconnection: close\r\n\r\n",
    );
    expect(connection.bodyMode).toBe("length");
    sendData(connection, 3);
    sendEnd(connection);
    expect(connection.next().type).toBe("closed");
  });

  test.each([
    ["HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "Host"],
    [`HEAD /${"a".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, "target"],
    ["HEAD / HTTP/9.9\r\nHost: a\r\n\r\n", "speaks HTTP/1.1"],
  ])("a faulty HEAD request is answered without a body: %#", (text, fault) => {
    const connection = new Http1Connection();
    connection.receive(bytes(text));
    expect(() => connection.next()).toThrow(fault);
    expect(sendHead(connection, { status: 400, fields: [], length: 3 }, "")).toContain(
      "content-length: 3\r\n",
    );
    expect(connection.bodyMode).toBe("none");
  });

  test("in a body: an answer that is due can be given", () => {
    const connection = asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nX");
    expect(() => connection.next()).toThrow("chunk");
    expect(sendHead(connection, { status: 400, fields: [], length: 0 }, "")).toContain(
      "connection: close\r\n",
    );
    expect(sendEnd(connection)).toBe("");
    expect(connection.persistent).toBe(false);
  });

  test("in a body while the answer is under way: it can be finished, and the connection closes", () => {
    const connection = asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nX");
    sendHead(connection, { status: 200, fields: [], length: 5 }, "");
    expect(() => connection.next()).toThrow("chunk");
    sendData(connection, 5);
    sendEnd(connection);
    expect(connection.next().type).toBe("closed");
  });

  test("giving up (a deadline) is like a fault", () => {
    const connection = new Http1Connection();
    connection.receive(bytes("GET / HT"));
    connection.next();
    connection.giveUp();
    expect([connection.next().type, connection.retainedBytes, connection.persistent]).toEqual([
      "closed",
      0,
      false,
    ]);
    expect(sendHead(connection, { status: 408, fields: [], length: 0 }, "")).toBe(
      "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
  });

  test("giving up changes nothing once the request is complete", () => {
    const connection = asked(GET);
    connection.giveUp();
    expect([connection.next().type, connection.persistent]).toEqual(["need-data", true]);
  });
});

describe("Expect: 100-continue (RFC 9110 §10.1.1)", () => {
  const post = (lines: string, version = "1.1"): string =>
    `POST / HTTP/${version}\r\nHost: a\r\n${lines}\r\n\r\n`;

  test.each([
    [post("Content-Length: 2\r\nExpect: 100-continue"), true],
    [post("Content-Length: 2\r\nExpect: 100-Continue"), true],
    [post("Transfer-Encoding: chunked\r\nExpect: 100-continue"), true],
    [post("Content-Length: 0\r\nExpect: 100-continue"), false],
    [post("Expect: 100-continue"), false],
    [post("Content-Length: 2\r\nExpect: 100-continue", "1.0"), false],
    [post("Content-Length: 2"), false],
  ])("%j: %s", (text, expected) => {
    const [connection, head] = askedHead(text);
    expect([head.expectContinue, connection.continueDue]).toEqual([expected, expected]);
  });

  test.each(["200-ok", "100-continue, x", "x", "", "100-continue=1"])(
    "another expectation, %j: 417",
    (value) => {
      expect(fault(post(`Content-Length: 2\r\nExpect: ${value}`))).toBe(417);
      expect(fault(post(`Expect: ${value}`))).toBe(417);
      expect(only(post(`Expect: ${value}`, "1.0")).expectContinue).toBe(false);
    },
  );

  test("with the 100 sent, the connection goes on", () => {
    const connection = asked(post("Content-Length: 2\r\nExpect: 100-continue"));
    expect(sendInformational(connection, 100)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    expect(connection.continueDue).toBe(false);
    sendHead(connection, { status: 200, fields: [], length: 0 }, "");
    expect(connection.persistent).toBe(true);
  });

  test("with the body on its way already, too", () => {
    const connection = asked(`${post("Content-Length: 2\r\nExpect: 100-continue")}h`);
    expect(connection.continueDue).toBe(false);
    sendHead(connection, { status: 200, fields: [], length: 0 }, "");
    expect(connection.persistent).toBe(true);
  });

  test("without the 100 the client may leave the body out: the connection must close", () => {
    const connection = asked(post("Content-Length: 2\r\nExpect: 100-continue"));
    expect(sendHead(connection, { status: 403, fields: [], length: 0 }, "")).toContain(
      "connection: close\r\n",
    );
    expect(connection.persistent).toBe(false);
  });
});

describe("Upgrade (RFC 9110 §7.8)", () => {
  const request = (lines: string, version = "1.1"): string =>
    `GET /chat HTTP/${version}\r\nHost: a\r\n${lines}\r\n\r\n`;
  const good = request("Connection: keep-alive, Upgrade\r\nUpgrade: websocket");

  test.each([
    [good, true],
    [request("Connection: upgrade\r\nUpgrade: totally-made-up/1.0"), true],
    [request("Connection: close, upgrade\r\nUpgrade: websocket"), true],
    [request("Upgrade: websocket"), false],
    [request("Connection: upgrade"), false],
    [request("Connection: keep-alive\r\nUpgrade: websocket"), false],
    [request("Connection: upgraded\r\nUpgrade: websocket"), false],
    [request("Connection: upgrade\r\nUpgrade: websocket", "1.0"), false],
  ])("%j: %s", (text, upgrade) => {
    expect(only(text).upgrade).toBe(upgrade);
  });

  test("accepted: the bytes behind belong to the new protocol", () => {
    const connection = asked(`${good}\x81\x00left`);
    expect(
      sendUpgrade(connection, [
        ["upgrade", "websocket"],
        ["x", "y"],
      ]),
    ).toBe("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nx: y\r\nconnection: upgrade\r\n\r\n");
    expect(connection.takeRemaining().toString("latin1")).toBe("\x81\x00left");
    expect(connection.takeRemaining()).toHaveLength(0);
    expect(connection.next().type).toBe("closed");
    expect(connection.persistent).toBe(false);
    expect(() => sendHead(connection, { status: 200, fields: [], length: 0 }, "")).toThrow(UsageError);
    connection.abort();
    expect(connection.next().type).toBe("closed");
  });

  test("refused: the connection goes on", () => {
    const connection = asked(good + GET);
    sendHead(
      connection,
      {
        status: 426,
        fields: [
          ["upgrade", "websocket"],
          ["connection", "Upgrade"],
        ],
        length: 0,
      },
      "",
    );
    sendEnd(connection);
    expect(connection.next().type).toBe("request");
  });

  test("needs a request that asks for it, read to its end, and not answered yet", () => {
    expect(() => sendUpgrade(asked(GET), [])).toThrow(UsageError);
    const unread = asked(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n",
    );
    expect(() => sendUpgrade(unread, [])).toThrow(UsageError);
    const answered = asked(good);
    sendHead(answered, { status: 200, fields: [], length: 0 }, "");
    expect(() => sendUpgrade(answered, [])).toThrow(UsageError);
    expect(() => sendUpgrade(asked(good), [["content-length", "0"]])).toThrow(UsageError);
    expect(() => sendUpgrade(asked(good), [["x", "a\r\nb"]])).toThrow(UsageError);
  });
});
