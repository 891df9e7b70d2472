// RFC 9112 §6, §7.1: response bodies, encoder beside decoder.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import type { Fields } from "../../src/http/fields.ts";
import { asked, GET, GET_10, HEAD, text } from "./conversation.ts";
import { only } from "./transcript.ts";

function started(request: string, length: number | undefined): ReturnType<typeof asked> {
  const connection = asked(request);
  connection.sendHead({ status: 200, fields: [], length }, "");
  return connection;
}

describe("a declared length", () => {
  test("is kept", () => {
    const connection = started(GET, 5);
    expect(connection.dataSuffix).toBe("");
    expect([
      connection.sendData(2),
      connection.sendData(0),
      connection.sendData(3),
      connection.sendEnd(),
    ]).toEqual(["", "", "", ""]);
    expect(connection.startNextCycle()).toBe(true);
  });

  test("is not overrun: the excess is refused, the rest can be sent", () => {
    const connection = started(GET, 5);
    connection.sendData(3);
    expect(() => connection.sendData(3)).toThrow(UsageError);
    connection.sendData(2);
    expect(() => connection.sendData(1)).toThrow(UsageError);
    expect(connection.sendEnd()).toBe("");
  });

  test("is not underrun: the message is broken off", () => {
    const connection = started(GET, 5);
    connection.sendData(3);
    expect(() => connection.sendEnd()).toThrow(UsageError);
    expect(connection.persistent).toBe(false);
    expect(connection.startNextCycle()).toBe(false);
  });

  test("leaves no room for trailers", () => {
    expect(() => started(GET, 0).sendEnd([["x", "1"]])).toThrow(UsageError);
  });
});

describe("chunked", () => {
  test("chunks, last chunk", () => {
    const connection = started(GET, undefined);
    expect([
      connection.sendData(5),
      connection.dataSuffix,
      connection.sendData(255),
      connection.sendEnd(),
    ]).toEqual(["5\r\n", "\r\n", "ff\r\n", "0\r\n\r\n"]);
  });

  test("empty data are no last chunk", () => {
    const connection = started(GET, undefined);
    expect([
      connection.sendData(0),
      connection.encodeData(""),
      connection.encodeData(new Uint8Array()),
    ]).toEqual(["", [], []]);
  });

  test("text is measured in bytes", () => {
    expect(text(started(GET, undefined).encodeData("é€"))).toBe("5\r\n\xc3\xa9\xe2\x82\xac\r\n");
  });

  test("trailers", () => {
    expect(
      started(GET, undefined).sendEnd([
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
    expect(() => connection.sendEnd(trailers)).toThrow(UsageError);
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
          pieces.map((data) => text(connection.encodeData(data))).join("") + connection.sendEnd([["x", "y"]]);
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
  expect([connection.encodeData("abc"), connection.dataSuffix, connection.sendEnd([["x", "1"]])]).toEqual([
    ["abc"],
    "",
    "",
  ]);
  expect(connection.startNextCycle()).toBe(false);
});

test.each([5, undefined])("no body for HEAD, whatever is sent (length %s)", (length) => {
  const connection = started(HEAD, length);
  expect([connection.encodeData("abc"), connection.sendData(100), connection.sendEnd([["x", "1"]])]).toEqual([
    [],
    "",
    "",
  ]);
  expect(connection.startNextCycle()).toBe(true);
});

test("a body broken off ends the connection", () => {
  const connection = started(GET, undefined);
  connection.sendData(5);
  connection.abort();
  expect(connection.persistent).toBe(false);
  expect(() => connection.sendData(5)).toThrow(UsageError);
  expect(() => connection.sendEnd()).toThrow(UsageError);
  expect(connection.startNextCycle()).toBe(false);
  expect(connection.next().type).toBe("closed");
  connection.abort();
});
