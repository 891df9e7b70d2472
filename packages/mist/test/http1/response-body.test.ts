// RFC 9112 §6, §7.1: response bodies, encoder beside decoder.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import type { Fields } from "../../src/http/fields.ts";
import { asked, GET, GET_10, HEAD, sendData, sendEnd, sendHead, text } from "./conversation.ts";
import { only } from "./transcript.ts";

function started(request: string, length: number | undefined): ReturnType<typeof asked> {
  const connection = asked(request);
  sendHead(connection, { status: 200, fields: [], length }, "");
  return connection;
}

describe("a declared length", () => {
  test("is kept", () => {
    const connection = started(GET, 5);
    expect([
      sendData(connection, 2),
      sendData(connection, 0),
      sendData(connection, 3),
      sendEnd(connection),
    ]).toEqual(["xx", "", "xxx", ""]);
    expect(connection.persistent).toBe(true);
  });

  test("is not overrun: the excess is refused, the rest can be sent", () => {
    const connection = started(GET, 5);
    sendData(connection, 3);
    expect(() => sendData(connection, 3)).toThrow(UsageError);
    sendData(connection, 2);
    expect(() => sendData(connection, 1)).toThrow(UsageError);
    expect(sendEnd(connection)).toBe("");
  });

  test("is not underrun: the message is broken off", () => {
    const connection = started(GET, 5);
    sendData(connection, 3);
    expect(() => sendEnd(connection)).toThrow(UsageError);
    expect(connection.persistent).toBe(false);
    expect(connection.next().type).toBe("closed");
  });

  test("leaves no room for trailers", () => {
    expect(sendEnd(started(GET, 0), [["x", "1"]])).toBe("");
  });
});

describe("chunked", () => {
  test("chunks, last chunk", () => {
    const connection = started(GET, undefined);
    expect([sendData(connection, 5), sendData(connection, 255), sendEnd(connection)]).toEqual([
      "5\r\nxxxxx\r\n",
      `ff\r\n${"x".repeat(255)}\r\n`,
      "0\r\n\r\n",
    ]);
  });

  test("empty data are no last chunk", () => {
    const connection = started(GET, undefined);
    expect(connection.send({ type: "content", data: new Uint8Array() })).toEqual([]);
  });

  test("data are not copied", () => {
    const data = Buffer.from("abc");
    expect(started(GET, undefined).send({ type: "content", data })[1]).toBe(data);
  });

  test("trailers", () => {
    expect(
      sendEnd(started(GET, undefined), [
        ["X-Sum", "1"],
        ["y", "2"],
      ]),
    ).toBe("0\r\nx-sum: 1\r\ny: 2\r\n\r\n");
  });

  test.each<[string, Fields]>([
    ["framing", [["content-length", "5"]]],
    ["routing", [["Host", "a"]]],
    ["authentication", [["set-cookie", "a=b"]]],
    ["content format", [["Content-Type", "text/html"]]],
    ["CR LF in a value", [["x", "a\r\nb: c"]]],
    ["a bad name", [["x y", "a"]]],
  ])("refused in trailers: %s", (_, trailers) => {
    const connection = started(GET, undefined);
    expect(() => sendEnd(connection, trailers)).toThrow(UsageError);
    expect(connection.persistent).toBe(false);
  });

  test("what is encoded is decoded again", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 1000, maxLength: 3000 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const connection = started(GET, undefined);
        const coded =
          pieces.map((data) => sendData(connection, data)).join("") + sendEnd(connection, [["x", "y"]]);
        const request = only(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`);
        expect(request.body).toBe(text(pieces));
        expect(request.trailers).toEqual([["x", "y"]]);
      }),
      { numRuns: 50, seed: 7 },
    );
  });
});

test("until close: bytes as they are, no trailers", () => {
  const connection = started(GET_10, undefined);
  expect([sendData(connection, "abc"), sendEnd(connection, [["x", "1"]])]).toEqual(["abc", ""]);
  expect(connection.next().type).toBe("closed");
});

test.each([5, undefined])("no body for HEAD, whatever is sent (length %s)", (length) => {
  const connection = started(HEAD, length);
  expect([sendData(connection, "abc"), sendData(connection, 100), sendEnd(connection, [["x", "1"]])]).toEqual(
    ["", "", ""],
  );
  expect(connection.persistent).toBe(true);
});

test("a body broken off ends the connection", () => {
  const connection = started(GET, undefined);
  sendData(connection, 5);
  connection.abort();
  expect(connection.persistent).toBe(false);
  expect(() => sendData(connection, 5)).toThrow(UsageError);
  expect(() => sendEnd(connection)).toThrow(UsageError);
  expect(connection.next().type).toBe("closed");
  expect(connection.next().type).toBe("closed");
  connection.abort();
});

describe("a response whose body is all there is one event", () => {
  const whole = (request: string, body: string | Uint8Array) => {
    const connection = asked(request);
    const pieces = connection.send({
      type: "response",
      status: 200,
      fields: [],
      body,
      close: false,
      date: "",
    });
    return { connection, pieces };
  };
  const head = (length: number) => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`;

  test.each<[string, string | Uint8Array, string]>([
    ["ASCII shares a string with the head", "hello", `${head(5)}hello`],
    ["other text leaves as UTF-8", "é€", `${head(5)}\xc3\xa9\xe2\x82\xac`],
    ["bytes", Buffer.from("abc"), `${head(3)}abc`],
    ["nothing", "", head(0)],
  ])("%s", (_, body, expected) => {
    const { connection, pieces } = whole(GET, body);
    expect(text(pieces)).toBe(expected);
    expect(connection.next()).toEqual({ type: "need-data", begun: false });
  });

  test("HEAD gets the head alone", () => {
    expect(text(whole(HEAD, "hello").pieces)).toBe(head(5));
  });

  test("a declared length that differs is refused, and nothing has changed", () => {
    const connection = asked(GET);
    const response = { type: "response", status: 200, body: "abc", close: false, date: "" } as const;
    expect(() => connection.send({ ...response, fields: [["content-length", "4"]] })).toThrow(UsageError);
    expect(text(connection.send({ ...response, fields: [] }))).toBe(`${head(3)}abc`);
  });
});
