// Responses: heads, bodies, trailers; flow control, scheduling, drain, deadlines.

import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import type { Fields } from "../../src/http/fields.ts";
import { DEFAULT_LIMITS } from "../../src/http2/limits.ts";
import type { Stream } from "../../src/http2/streams/stream.ts";
import { answerComplete, Conversation, outcome, readAll } from "./conversation.ts";
import {
  ACK,
  data,
  END_HEADERS,
  END_STREAM,
  type FieldList,
  type Frame,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  POST,
  PREFACE,
  reset,
  SETTINGS_ACK,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "./frames.ts";

const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";
const HEAD: FieldList = [[":method", "HEAD"], ...GET.slice(1)];

/** A conversation in which `fields` were requested, on stream 1, and nothing was answered yet. */
function requested(
  fields: FieldList = GET,
  ...more: readonly Buffer[]
): { talk: Conversation; stream: Stream } {
  const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, fields), ...more]));
  talk.take();
  return { talk, stream: talk.stream(1) };
}

const respond = (status: number, fields: Fields = [], length: number | undefined = undefined) => ({
  status,
  fields,
  length,
});
const only = (frames: readonly Frame[], type: number) => frames.filter((one) => one.type === type);
const dataOf = (frames: readonly Frame[], id: number) =>
  Buffer.concat(
    only(frames, TYPE.DATA)
      .filter((one) => one.id === id)
      .map(({ payload }) => payload),
  );

describe("the head", () => {
  test.each<[string, FieldList, ReturnType<typeof respond>, FieldList, string]>([
    [
      "a length",
      GET,
      respond(200, [["x", "y"]], 5),
      [
        ["x", "y"],
        ["content-length", "5"],
      ],
      "length",
    ],
    ["no length", GET, respond(200), [], "stream"],
    [
      "the application's length",
      GET,
      respond(200, [["content-length", "7"]]),
      [["content-length", "7"]],
      "length",
    ],
    [
      "a length of many digits",
      GET,
      respond(200, [], 1234567890),
      [["content-length", "1234567890"]],
      "length",
    ],
    ["204", GET, respond(204, [], 0), [], "none"],
    ["205", GET, respond(205, [], 0), [["content-length", "0"]], "none"],
    ["304 with a length", GET, respond(304, [["content-length", "9"]], 0), [["content-length", "9"]], "none"],
    ["HEAD", HEAD, respond(200, [], 5), [["content-length", "5"]], "none"],
    [
      "HEAD with the application's length",
      HEAD,
      respond(200, [["content-length", "9"]], 0),
      [["content-length", "9"]],
      "none",
    ],
    ["HEAD of a stream", HEAD, respond(200), [], "none"],
    [
      "what speaks about the connection is left out",
      GET,
      respond(
        200,
        [
          ["connection", "close"],
          ["keep-alive", "1"],
          ["transfer-encoding", "chunked"],
          ["upgrade", "x"],
        ],
        0,
      ),
      [["content-length", "0"]],
      "length",
    ],
    [
      "names are lower-cased",
      GET,
      respond(200, [["X-A", "b"]], 0),
      [
        ["x-a", "b"],
        ["content-length", "0"],
      ],
      "length",
    ],
    [
      "the application's date",
      GET,
      respond(200, [["date", "now"]], 0),
      [
        ["date", "now"],
        ["content-length", "0"],
      ],
      "length",
    ],
  ])("%s", (_, request, response, expected, mode) => {
    // Twice: the second comes from what was kept of the first.
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, headers(1, request), headers(3, request)]),
    );
    talk.take();
    for (const id of [1, 3, 3]) {
      if (talk.stream(id).responseStarted) continue;
      talk.core.sendHead(talk.stream(id), response, DATE);
      talk.turn();
      const [head] = talk.take();
      const date: FieldList = expected.some(([name]) => name === "date") ? [] : [["date", DATE]];
      expect(talk.parser.fields((head as Frame).payload)).toEqual([
        [":status", `${response.status}`],
        ...date,
        ...expected,
      ]);
      expect(talk.stream(id).bodyMode).toBe(mode);
    }
  });

  test("the same again is found, and a change of the application's list is seen", () => {
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, ...[1, 3, 5, 7, 9].map((id) => headers(id, GET))]),
    );
    talk.take();
    const list: [string, string][] = [["x-changing", "1"]];
    const heads: unknown[] = [];
    for (const [index, id] of [1, 3, 5, 7, 9].entries()) {
      if (index === 3) (list[0] as [string, string])[1] = "2";
      talk.core.sendHead(talk.stream(id), respond(200, list, 0), DATE);
      talk.turn();
      heads.push(...talk.take().map(({ payload }) => new Map(talk.parser.fields(payload)).get("x-changing")));
    }
    expect(heads).toEqual(["1", "1", "1", "2", "2"]);
  });

  test.each<[string, ReturnType<typeof respond>]>([
    ["a value that splits", respond(200, [["x", "a\r\nb"]], 0)],
    ["a name that is none", respond(200, [["x y", "a"]], 0)],
    ["a length that does not agree", respond(200, [["content-length", "7"]], 5)],
    [
      "two lengths",
      respond(200, [
        ["content-length", "7"],
        ["content-length", "8"],
      ]),
    ],
    ["an interim status", respond(103)],
    ["no status", respond(1000)],
  ])("refuses %s and changes nothing", (_, response) => {
    const { talk, stream } = requested();
    expect(() => talk.core.sendHead(stream, response, DATE)).toThrow(UsageError);
    talk.core.sendHead(stream, respond(200, [], 0), DATE);
    talk.core.sendEnd(stream);
    talk.turn();
    expect(outcome(talk)).toMatchObject({ answers: { 1: "200" } });
  });

  test("a head longer than a frame goes on in CONTINUATION", () => {
    const { talk, stream } = requested();
    const value = "v".repeat(40_000);
    talk.core.sendHead(stream, respond(200, [["x", value]], 0), "");
    talk.core.sendEnd(stream);
    talk.turn();
    const frames = talk.take();
    expect(frames.map(({ type, flags }) => [type, flags])).toEqual([
      [TYPE.HEADERS, END_STREAM],
      [TYPE.CONTINUATION, 0],
      [TYPE.CONTINUATION, END_HEADERS],
    ]);
    const fields = talk.parser.fields(Buffer.concat(frames.map(({ payload }) => payload)));
    expect(new Map(fields).get("x")).toBe(value);
  });

  test("sizes of the table in one SETTINGS frame are all taken, in order (RFC 7541 §4.2)", () => {
    const { talk, stream } = requested(GET, settings([1, 0], [1, 4096]));
    talk.core.sendHead(stream, respond(200, [], 0), "");
    talk.turn();
    const [head] = only(talk.take(), TYPE.HEADERS);
    expect(head?.payload.subarray(0, 4).toString("hex")).toBe("203fe11f");
  });

  test("informational responses come first", () => {
    const { talk, stream } = requested();
    talk.core.sendInformational(stream, 103, [["link", "</a>"]]);
    talk.core.sendHead(stream, respond(200, [], 0), "");
    expect(() => talk.core.sendInformational(stream, 103)).toThrow(UsageError);
    talk.core.sendEnd(stream);
    talk.turn();
    const heads = only(talk.take(), TYPE.HEADERS);
    expect(heads.map(({ flags, payload }) => [flags, talk.parser.fields(payload)])).toEqual([
      [
        END_HEADERS,
        [
          [":status", "103"],
          ["link", "</a>"],
        ],
      ],
      [
        END_HEADERS | END_STREAM,
        [
          [":status", "200"],
          ["content-length", "0"],
        ],
      ],
    ]);
  });

  test.each([101, 200, 99])("%i is no interim status", (status) => {
    const { talk, stream } = requested();
    expect(() => talk.core.sendInformational(stream, status)).toThrow(UsageError);
  });
});

describe("the body", () => {
  test("heads and small bodies of a turn leave in one piece, END_STREAM on the last frame", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, headers(1, GET), headers(3, GET), headers(5, HEAD)])).take();
    for (const id of [1, 3, 5]) {
      const stream = talk.stream(id);
      talk.core.sendHead(stream, respond(200, [], 5), DATE);
      talk.core.sendData(stream, id === 3 ? Buffer.from("hello") : "hello");
      talk.core.sendEnd(stream);
    }
    const { pieces } = talk.core.output(1000, 0);
    expect(pieces.length).toBe(1);
    talk.parser.add(pieces[0] as Uint8Array);
    expect(talk.parser.take().map(({ type, flags, id }) => [type, flags, id])).toEqual([
      [TYPE.HEADERS, END_HEADERS, 1],
      [TYPE.DATA, END_STREAM, 1],
      [TYPE.HEADERS, END_HEADERS, 3],
      [TYPE.DATA, END_STREAM, 3],
      [TYPE.HEADERS, END_HEADERS | END_STREAM, 5],
    ]);
    expect(talk.core.openStreams).toBe(0);
  });

  test("an end that comes late has a frame of its own", () => {
    const { talk, stream } = requested();
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, "häppy");
    talk.turn();
    expect(dataOf(talk.take(), 1).toString()).toBe("häppy");
    talk.core.sendEnd(stream);
    talk.turn();
    expect(talk.take().map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
      [TYPE.DATA, 1, 0],
    ]);
  });

  test("large pieces are not copied, and their owner hears when they were handed out", () => {
    const { talk, stream } = requested();
    const large = Buffer.alloc(30_000, "x");
    let sent = 0;
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, large, () => sent++);
    talk.core.sendEnd(stream);
    const { pieces, onSent } = talk.core.output(1 << 20, 0);
    expect(
      pieces.some((piece) => piece.buffer === large.buffer && piece.byteOffset === large.byteOffset),
    ).toBe(true);
    expect([sent, onSent.length]).toEqual([0, 1]);
  });

  test("trailers follow the data, and end the stream", () => {
    const { talk, stream } = requested(GET, windowUpdate(0, 100_000), windowUpdate(1, 100_000));
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, Buffer.alloc(100_000));
    talk.core.sendEnd(stream, [["X-Sum", "1"]]);
    talk.turn();
    const frames = talk.take();
    const last = frames[frames.length - 1] as Frame;
    expect([last.type, last.flags]).toEqual([TYPE.HEADERS, END_HEADERS | END_STREAM]);
    talk.parser.fields((frames[0] as Frame).payload);
    expect(talk.parser.fields(last.payload)).toEqual([["x-sum", "1"]]);
    expect(dataOf(frames, 1).length).toBe(100_000);
  });

  test("a body longer than declared is refused, a shorter one resets the stream", () => {
    const { talk, stream } = requested();
    talk.core.sendHead(stream, respond(200, [], 5), "");
    expect(() => talk.core.sendData(stream, "123456")).toThrow(UsageError);
    talk.core.sendData(stream, "1234");
    expect(() => talk.core.sendEnd(stream)).toThrow(UsageError);
    talk.turn();
    expect(outcome(talk).resets).toEqual({ 1: 2 });
    expect(talk.core.openStreams).toBe(0);
  });

  test("trailers that wait are those that were given", () => {
    const { talk, stream } = requested(GET, settings([4, 0]));
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, "x");
    const list: [string, string][] = [["X-Sum", "1"]];
    talk.core.sendEnd(stream, list);
    list[0] = ["x-sum", "1\r\nx-split: yes"];
    talk.feed(windowUpdate(1, 1));
    const trailers = talk.take().at(-1) as Frame;
    expect([...trailers.payload.subarray(-1)]).toEqual(["1".charCodeAt(0)]);
  });

  test("a field that may not stand in trailers resets the stream", () => {
    const { talk, stream } = requested();
    talk.core.sendHead(stream, respond(200), "");
    expect(() => talk.core.sendEnd(stream, [["content-length", "1"]])).toThrow(UsageError);
    talk.turn();
    expect(outcome(talk).resets).toEqual({ 1: 2 });
  });

  test("what is sent on a stream that was reset is dropped", () => {
    const { talk, stream } = requested(GET, reset(1));
    let sent = 0;
    talk.core.sendHead(stream, respond(200), "");
    expect(talk.core.sendData(stream, "x", () => sent++)).toBe(true);
    talk.core.sendEnd(stream);
    talk.core.reset(stream, 8);
    talk.turn();
    expect([talk.take(), sent]).toEqual([[], 1]);
  });

  test("a reset gives lent bytes back, behind what was handed out", () => {
    const { talk, stream } = requested();
    let sent = 0;
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, Buffer.alloc(200_000), () => sent++);
    talk.turn();
    expect(sent).toBe(0);
    talk.feed(reset(1));
    expect([sent, talk.core.queuedBytes]).toEqual([1, 0]);
  });
});

describe("the request body", () => {
  test("is read, and its end is null", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS), data(1, "a"), data(1, "b")]));
    const stream = talk.stream(1);
    expect(readAll(stream, talk.core)).toBe("ab");
    expect(talk.core.read(stream)).toBe(undefined);
    talk.feed(
      headers(1, [
        ["x-sum", "2"],
        ["host", "evil"],
      ]),
    );
    expect(talk.core.read(stream)).toBe(null);
    expect(stream.trailers).toEqual([["x-sum", "2"]]);
  });

  test("cookie crumbs are joined, and the host stands where HTTP/1 has it", () => {
    const fields: FieldList = [
      ...GET,
      ["cookie", "a=1"],
      ["x", "y"],
      ["cookie", "b=2"],
      ["expect", "100-continue"],
    ];
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, fields, END_HEADERS)]));
    const { head } = talk.stream(1);
    expect(head?.fields).toEqual([
      ["host", "a.example"],
      ["cookie", "a=1; b=2"],
      ["x", "y"],
      ["expect", "100-continue"],
    ]);
    expect(head).toMatchObject({
      host: "a.example",
      port: undefined,
      path: "/",
      query: undefined,
      expectContinue: true,
    });
    expect([head?.framing, head?.version, head?.scheme, head?.get("x")]).toEqual([
      "until-end",
      "2",
      "http",
      "y",
    ]);
  });

  test("requests with the same block share a head, until the table they refer to changes", () => {
    const indexing = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from("x"),
      Buffer.from([1]),
      Buffer.from("1"),
    ]);
    const other = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from("x"),
      Buffer.from([1]),
      Buffer.from("2"),
    ]);
    const start = Buffer.from([0x82, 0x86, 0x84, 0x01, 1, 0x61]);
    const send = (id: number, ...rest: readonly Buffer[]) =>
      frame(TYPE.HEADERS, 5, id, Buffer.concat([start, ...rest]));
    const newest = Buffer.from([0x80 | 62]);
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, send(1, indexing), send(3, newest), send(5, newest), send(7, newest)]));
    talk.feed(
      Buffer.concat([
        send(9, other),
        send(11, newest),
        frame(TYPE.HEADERS, 4, 13, Buffer.concat([start, newest])),
      ]),
    );
    const heads = [1, 3, 5, 7, 9, 11, 13].map((id) => talk.stream(id).head);
    expect(heads.map((head) => head?.get("x"))).toEqual(["1", "1", "1", "1", "2", "2", "2"]);
    expect(heads[3]).toBe(heads[2]);
    expect(heads.map((head) => head?.hasBody)).toEqual([...Array(6).fill(false), true]);
  });

  test("the window is given back as the body is read, and not before", () => {
    const talk = new Conversation(() => {});
    const quarter = Buffer.alloc(16_000);
    talk.feed(
      Buffer.concat([
        HELLO,
        headers(1, POST, END_HEADERS),
        data(1, quarter),
        data(1, quarter),
        data(1, quarter),
      ]),
    );
    const stream = talk.stream(1);
    expect(only(talk.take(), TYPE.WINDOW_UPDATE).filter(({ id }) => id === 1)).toEqual([]);
    expect(talk.core.retainedBytes).toBe(48_000);
    readAll(stream, talk.core);
    talk.turn();
    expect(talk.core.retainedBytes).toBe(0);
    expect(only(talk.take(), TYPE.WINDOW_UPDATE).map(({ id }) => id)).toEqual([1]);
  });

  test("a slow reader holds back its own stream alone", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    // Sixty streams fill their windows, and nobody reads.
    for (let id = 1; id < 120; id += 2) {
      talk.feed(headers(id, POST, END_HEADERS));
      for (let i = 0; i < 4; i++) talk.feed(data(id, Buffer.alloc(16_380)));
    }
    talk.feed(Buffer.concat([headers(121, POST, END_HEADERS), data(121, "x", END_STREAM), PING]));
    expect(outcome(talk)).toMatchObject({ goaway: undefined, resets: {}, pongs: 1 });
    expect(talk.core.read(talk.stream(121))?.toString()).toBe("x");
  });

  test("the window grows for a reader that keeps up", () => {
    const talk = new Conversation((event, core) => {
      if (event.type === "data") readAll(event.stream, core);
    }).feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS)]));
    let window = 65_535;
    let most = window;
    for (let i = 0; i < 400; i++) {
      talk.feed(data(1, Buffer.alloc(16_000)));
      window -= 16_000;
      for (const { id, payload } of only(talk.take(), TYPE.WINDOW_UPDATE))
        if (id === 1) window += payload.readUInt32BE();
      most = Math.max(most, window);
    }
    expect(most).toBeGreaterThan(500_000);
    expect(most).toBeLessThanOrEqual(1024 * 1024);
  });

  test("a body that nobody wants ends with RST_STREAM (NO_ERROR) behind the response", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS), data(1, "abc")])).take();
    const stream = talk.stream(1);
    talk.core.stopReading(stream);
    expect(talk.core.retainedBytes).toBe(0);
    talk.core.sendHead(stream, respond(413, [], 0), "");
    talk.core.sendEnd(stream);
    talk.turn().feed(Buffer.concat([data(1, "late"), PING]));
    const frames = talk.take();
    expect(frames.slice(0, 2).map(({ type }) => type)).toEqual([TYPE.HEADERS, TYPE.RST_STREAM]);
    expect((frames[1] as Frame).payload).toEqual(uint32(0));
    expect(only(frames, TYPE.PING).length).toBe(1);
  });

  test("how much is still to come is known while it comes", () => {
    const fields: FieldList = [...POST, ["content-length", "4"]];
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, headers(1, fields, END_HEADERS), data(1, "abc")]),
    );
    const stream = talk.stream(1);
    expect([stream.head?.framing, stream.received, stream.requestBodyRemaining]).toEqual([
      { length: 4 },
      3,
      1,
    ]);
    talk.feed(data(1, "d", END_STREAM));
    expect([stream.requestComplete, stream.requestBodyRemaining]).toEqual([true, 0]);
  });

  test("padding is given back at once", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS)]));
    const padded = Buffer.concat([Buffer.from([255, 0x61]), Buffer.alloc(255)]);
    for (let i = 0; i < 600; i++) talk.feed(data(1, padded, 8));
    expect(outcome(talk)).toMatchObject({ goaway: undefined, resets: {} });
    expect(talk.core.read(talk.stream(1))?.length).toBeGreaterThan(0);
  });
});

describe("flow control", () => {
  test("a window of one byte lets out one byte (h2spec 6.9)", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([PREFACE, settings([4, 1]), SETTINGS_ACK, headers(1, GET)])).take();
    const stream = talk.stream(1);
    talk.core.sendHead(stream, respond(200, [], 3), "");
    talk.core.sendData(stream, "abc");
    talk.core.sendEnd(stream);
    talk.turn();
    expect(dataOf(talk.take(), 1).toString()).toBe("a");
    talk.feed(windowUpdate(1, 1));
    expect(dataOf(talk.take(), 1).toString()).toBe("b");
    talk.feed(settings([4, 2]));
    const frames = only(talk.take(), TYPE.DATA);
    expect([dataOf(frames, 1).toString(), frames[0]?.flags]).toEqual(["c", END_STREAM]);
  });

  test("a window can become negative (h2spec 6.9.2)", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([PREFACE, settings([4, 3]), SETTINGS_ACK, headers(1, GET)])).take();
    const stream = talk.stream(1);
    talk.core.sendHead(stream, respond(200), "");
    talk.core.sendData(stream, "abcdef");
    talk.turn();
    talk.feed(settings([4, 2]));
    talk.feed(windowUpdate(1, 1));
    expect(dataOf(talk.take(), 1).toString()).toBe("abc");
    talk.feed(windowUpdate(1, 1));
    expect(dataOf(talk.take(), 1).toString()).toBe("d");
  });

  test("the connection's window holds back all streams, and `room` says when to go on", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, headers(1, GET), windowUpdate(1, 1_000_000)])).take();
    const stream = talk.stream(1);
    talk.core.sendHead(stream, respond(200), "");
    expect(talk.core.sendData(stream, Buffer.alloc(65_000))).toBe(true);
    expect(talk.core.sendData(stream, Buffer.alloc(65_000))).toBe(false);
    talk.turn();
    expect(dataOf(talk.take(), 1).length).toBe(65_535);
    expect(talk.events.map(({ type }) => type)).not.toContain("room");
    talk.feed(windowUpdate(0, 60_000));
    expect(talk.events.filter(({ type }) => type === "room").length).toBe(1);
    expect(talk.core.sendData(stream, "x")).toBe(true);
  });

  test("what the windows let out at once may be more than `maxQueued`, up to 256 KiB on the connection", () => {
    const chunk = Buffer.alloc(64 * 1024);
    const accepted = (window: number, streams: number): number => {
      const talk = new Conversation(() => {});
      talk.feed(Buffer.concat([PREFACE, settings([4, window]), SETTINGS_ACK, windowUpdate(0, 0x7000_0000)]));
      for (let i = 0; i < streams; i++) talk.feed(headers(i * 2 + 1, GET));
      let chunks = 0;
      for (const stream of talk.core.streams()) {
        talk.core.sendHead(stream, respond(200), "");
        do chunks++;
        while (talk.core.sendData(stream, chunk));
      }
      return chunks;
    };
    expect(accepted(0, 2)).toBe(2);
    expect(accepted(65_535, 2)).toBe(2);
    expect(accepted(100_000, 2)).toBe(4);
    expect(accepted(1_000_000, 1)).toBe(4);
    expect(accepted(1_000_000, 8)).toBe(4 + 7);
  });

  test("many tiny pieces are bounded, however far the windows are open", () => {
    const talk = new Conversation(() => {});
    const wide = [PREFACE, settings([4, 0x7000_0000]), SETTINGS_ACK, windowUpdate(0, 0x7000_0000)];
    talk.feed(Buffer.concat([...wide, headers(1, GET)])).take();
    const stream = talk.stream(1);
    talk.core.sendHead(stream, respond(200), "");
    let pieces = 1;
    talk.core.sendData(stream, Buffer.alloc(64 * 1024));
    while (talk.core.sendData(stream, "x")) pieces++;
    expect(pieces).toBeLessThan(600);
  });

  test("frames are as large as the peer allows", () => {
    const talk = new Conversation(() => {});
    const wide = [PREFACE, settings([5, 32_768], [4, 1_000_000]), SETTINGS_ACK, windowUpdate(0, 1_000_000)];
    talk.feed(Buffer.concat([...wide, headers(1, GET)])).take();
    talk.core.sendHead(talk.stream(1), respond(200), "");
    talk.core.sendData(talk.stream(1), Buffer.alloc(100_000));
    talk.turn();
    expect(only(talk.take(), TYPE.DATA).map(({ payload }) => payload.length)).toEqual([
      32_768, 32_768, 32_768, 1696,
    ]);
  });
});

describe("scheduling (RFC 9218)", () => {
  const wide = Buffer.concat([
    PREFACE,
    settings([4, 0x7000_0000]),
    SETTINGS_ACK,
    windowUpdate(0, 0x7000_0000),
  ]);

  /** Bodies queued on streams of these priorities, in this order; the ids of the frames that leave. */
  function order(
    priorities: readonly (string | undefined)[],
    size: number,
    ...more: readonly Buffer[]
  ): number[] {
    const talk = new Conversation(() => {}).feed(wide);
    for (const [index, priority] of priorities.entries()) {
      talk.feed(headers(index * 2 + 1, priority === undefined ? GET : [...GET, ["priority", priority]]));
    }
    talk.take();
    for (const stream of talk.core.streams()) {
      talk.core.sendHead(stream, respond(200), "");
      talk.core.sendData(stream, Buffer.alloc(size));
      talk.core.sendEnd(stream);
    }
    for (const bytes of more) talk.core.receive(bytes, 0);
    while (talk.core.next().type !== "need-data");
    talk.turn();
    return only(talk.take(), TYPE.DATA).map(({ id }) => id);
  }

  test("the most urgent first", () => {
    expect(order(["u=5", undefined, "u=0"], 20_000)).toEqual([5, 5, 3, 3, 1, 1]);
  });

  test("incremental streams share turns", () => {
    expect(order(["i", "u=3, i", "i"], 40_000)).toEqual([1, 3, 5, 1, 3, 5, 1, 3, 5]);
  });

  test("others keep their turn for a burst, and no longer", () => {
    expect(order([undefined, undefined], 140_000)).toEqual([
      ...[1, 1, 1, 1, 3, 3, 3, 3],
      ...[1, 1, 1, 1, 3, 3, 3, 3],
      ...[1, 3],
    ]);
  });

  test("PRIORITY_UPDATE moves a stream", () => {
    const update = frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(3), Buffer.from("u=1")]));
    expect(order([undefined, undefined], 20_000, update)).toEqual([3, 3, 1, 1]);
  });

  test("PRIORITY_UPDATE may come before its stream", () => {
    const update = frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(1), Buffer.from("u=1, i")]));
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, update, headers(1, [...GET, ["priority", "u=7"]])]),
    );
    expect(talk.stream(1).priority).toEqual({ urgency: 1, incremental: true });
  });

  test("a priority too long to make sense is not looked at: an octet of HPACK can stand for thousands", () => {
    const long = "u=1,".repeat(70);
    const update = frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(3), Buffer.from(long)]));
    const requests = [headers(1, [...GET, ["priority", long]]), headers(3, [...GET, ["priority", "u=5"]])];
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, ...requests, update]));
    expect(talk.stream(1).priority.urgency).toBe(3);
    expect(talk.stream(3).priority.urgency).toBe(3);
  });

  test.each([
    ["on a stream", frame(TYPE.PRIORITY_UPDATE, 0, 1, uint32(1)), 1],
    ["of stream 0", frame(TYPE.PRIORITY_UPDATE, 0, 0, uint32(0)), 1],
    ["of a push", frame(TYPE.PRIORITY_UPDATE, 0, 0, uint32(2)), 1],
    ["too short", frame(TYPE.PRIORITY_UPDATE, 0, 0, [0, 0, 1]), 6],
  ])("PRIORITY_UPDATE %s ends the connection", (_, bytes, code) => {
    expect(outcome(new Conversation().feed(Buffer.concat([HELLO, bytes]))).goaway).toBe(code);
  });

  test("a small answer does not wait for a large download", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([wide, headers(1, GET)]));
    talk.core.sendHead(talk.stream(1), respond(200), "");
    talk.core.sendData(talk.stream(1), Buffer.alloc(50_000_000));
    talk.core.output(100_000, 0);
    talk.core.receive(headers(3, GET), 0);
    const event = talk.core.next();
    if (event.type !== "request") throw new Error(event.type);
    answerComplete(event, talk.core);
    const parser = talk.parser;
    for (const piece of talk.core.output(100_000, 0).pieces) parser.add(piece);
    const frames = parser.take();
    expect(frames.map(({ id }) => id)).toContain(3);
    expect(dataOf(frames, 3).toString()).toBe("ok");
  });

  test("`output` gives about as much as it is asked for", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([wide, headers(1, GET)]));
    talk.core.sendHead(talk.stream(1), respond(200), "");
    talk.core.sendData(talk.stream(1), Buffer.alloc(1_000_000));
    let total = 0;
    for (const piece of talk.core.output(40_000, 0).pieces) total += piece.length;
    expect(total).toBeLessThan(50_000);
  });
});

describe("drain", () => {
  const ids = (frames: readonly Frame[]) =>
    only(frames, TYPE.GOAWAY).map(({ payload }) => payload.readUInt32BE());

  test("names the highest id, then, when a PING has come back, the last", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, GET)]));
    talk.take();
    talk.core.startDrain();
    talk.turn();
    const frames = talk.take();
    expect(ids(frames)).toEqual([0x7fff_ffff]);
    const ping = only(frames, TYPE.PING)[0] as Frame;
    talk.feed(
      Buffer.concat([headers(3, GET), frame(TYPE.PING, ACK, 0, ping.payload), headers(5, GET), PING]),
    );
    expect(ids(talk.take())).toEqual([3]);
    expect(talk.events.filter(({ type }) => type === "request").length).toBe(2);
    expect(talk.core.drained).toBe(false);
    for (const stream of [...talk.core.streams()]) {
      talk.core.sendHead(stream, respond(200, [], 0), "");
      talk.core.sendEnd(stream);
    }
    talk.turn();
    expect(outcome(talk)).toMatchObject({ answers: { 1: "200", 3: "200" }, resets: {} });
    expect(talk.core.drained).toBe(true);
  });

  test("does not wait for a peer that does not answer", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, GET)]));
    talk.core.startDrain();
    talk.core.finishDrain();
    talk.core.finishDrain();
    talk.turn();
    expect(ids(talk.take())).toEqual([0x7fff_ffff, 1]);
  });

  test("keeps decoding what it ignores", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS)]));
    talk.core.finishDrain();
    talk.feed(Buffer.concat([headers(3, POST, END_HEADERS), data(3, "x"), data(1, "end", END_STREAM)]));
    expect(readAll(talk.stream(1), talk.core)).toBe("end");
    expect(outcome(talk)).toMatchObject({ resets: {} });
  });
});

describe("deadlines", () => {
  const late = (talk: Conversation, now: number) => {
    talk.now = now;
    talk.core.late(now);
    return outcome(talk.turn());
  };

  test("SETTINGS must be acknowledged", () => {
    const talk = new Conversation().feed(Buffer.concat([PREFACE, settings()]));
    expect(talk.core.nextDeadline()).toBe(10_000);
    expect(late(talk, 9999).goaway).toBe(undefined);
    expect(late(talk, 10_000).goaway).toBe(4);
    expect(talk.core.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    ["a preface", Buffer.alloc(0), PREFACE.subarray(0, 5)],
    ["a frame", HELLO, PING.subarray(0, 12)],
    ["a header block", HELLO, headers(1, GET, END_STREAM)],
  ])("%s must be complete in time", (_, before, bytes) => {
    const talk = new Conversation().feed(before);
    talk.now = before.length === 0 ? 0 : 5000;
    talk.feed(bytes);
    expect(talk.core.nextDeadline()).toBe(talk.now + 10_000);
    expect(late(talk, talk.now + 10_000).goaway).toBe(11);
  });

  test("single bytes do not put it off", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, headers(1, GET, END_STREAM)]));
    for (talk.now = 1000; talk.now < 10_000; talk.now += 1000) talk.feed(frame(TYPE.CONTINUATION, 0, 1, [0]));
    expect(talk.core.nextDeadline()).toBe(10_000);
  });

  test("a finished frame puts nothing off, as nothing waits", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, PING.subarray(0, 12)]));
    talk.feed(PING.subarray(12));
    expect(talk.core.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test("a stream that the peer's window holds up is reset, and only that (CVE-2026-49975)", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([PREFACE, settings([4, 0]), SETTINGS_ACK, headers(1, GET), headers(3, GET)]));
    for (const id of [1, 3]) {
      talk.core.sendHead(talk.stream(id), respond(200), "");
      talk.core.sendData(talk.stream(id), Buffer.alloc(10_000));
    }
    talk.now = 1000;
    talk.turn();
    expect(talk.core.nextDeadline()).toBe(31_000);
    // Single bytes are no progress; some thousand are.
    for (talk.now = 2000; talk.now < 31_000; talk.now += 1000) talk.feed(windowUpdate(1, 1));
    talk.feed(windowUpdate(3, 2000));
    expect(late(talk, 31_000)).toMatchObject({ goaway: undefined, resets: { 1: 8 } });
    expect(talk.events.at(-1)).toMatchObject({ type: "reset", by: "core" });
    expect(talk.core.openStreams).toBe(1);
  });
});

describe("a slow client", () => {
  /** As many streams as there may be, each with a whole window of data for a client with the usual windows. */
  const queued = (count: number, fields: FieldList = GET) => {
    const talk = new Conversation(() => {}).feed(HELLO);
    for (let id = 1; id < count * 2; id += 2) {
      talk.feed(headers(id, fields));
      talk.core.sendHead(talk.stream(id), respond(200), "");
      talk.core.sendData(talk.stream(id), Buffer.alloc(65_535));
      talk.core.sendEnd(talk.stream(id));
    }
    talk.turn().take();
    return talk;
  };
  /** Opens the connection's window by `bytes` every second until everything has left. */
  const trickle = (talk: Conversation, bytes: number, seconds: number) => {
    for (let second = 0; second < seconds && talk.core.queuedBytes > 0; second++) {
      talk.now += 1000;
      if (talk.now >= talk.core.nextDeadline()) talk.core.late(talk.now);
      talk.feed(windowUpdate(0, bytes));
    }
    return outcome(talk);
  };

  test("is given all that waits for its turn, however long that takes", () => {
    const talk = queued(100);
    const { resets, goaway } = trickle(talk, 32_768, 1000);
    expect({ resets, goaway }).toEqual({ resets: {}, goaway: undefined });
    expect(talk.core.openStreams).toBe(0);
    expect(talk.now).toBeGreaterThan(DEFAULT_LIMITS.sendMs * 2);
  });

  test("that takes single bytes of the connection's window is not waited for", () => {
    const talk = queued(100);
    expect(Object.keys(trickle(talk, 100, 1000).resets).length).toBe(99);
    expect(talk.now).toBe(DEFAULT_LIMITS.sendMs);
  });

  test("is not to blame when it has opened its windows and the socket is full", () => {
    const talk = queued(2);
    const [first] = [...talk.core.streams()] as [Stream];
    talk.core.receive(Buffer.concat([windowUpdate(0, 100_000), windowUpdate(first.id, 100_000)]), 1000);
    expect(talk.core.next().type).toBe("need-data");
    expect(talk.core.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test("may leave what is less urgent for later", () => {
    const talk = queued(1);
    talk.feed(headers(3, [...GET, ["priority", "u=7"]]));
    talk.core.sendHead(talk.stream(3), respond(200), "");
    talk.core.sendData(talk.stream(3), Buffer.alloc(1000));
    talk.core.sendHead(talk.feed(headers(5, GET)).stream(5), respond(200), "");
    for (let second = 0; second < 100; second++) {
      talk.core.sendData(talk.stream(5), Buffer.alloc(5000));
      talk.now += 1000;
      if (talk.now >= talk.core.nextDeadline()) talk.core.late(talk.now);
      talk.feed(Buffer.concat([windowUpdate(0, 5000), windowUpdate(5, 5000)]));
    }
    expect(outcome(talk).resets).toEqual({});
    expect(talk.stream(3).queuedBytes).toBe(1000);
  });
});

describe("the two ends", () => {
  test("the peer's end is the last event, and what is owed can be sent", () => {
    const { talk, stream } = requested();
    talk.core.receiveEnd();
    expect(talk.core.next()).toEqual({ type: "closed" });
    talk.core.sendHead(stream, respond(200, [], 0), "");
    talk.core.sendEnd(stream);
    talk.turn();
    expect(outcome(talk)).toMatchObject({ answers: { 1: "200" } });
  });

  test("the peer's GOAWAY is told", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(8))]));
    expect(talk.events).toEqual([{ type: "goaway", code: 0 }]);
  });

  test("a failure is told once, and closes", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, data(0, "")]));
    expect(talk.events).toMatchObject([{ type: "failed", code: 1, error: { section: "RFC 9113 §6.1" } }]);
    expect(talk.core.next()).toEqual({ type: "closed" });
    talk.feed(PING);
    expect(outcome(talk).pongs).toBe(0);
  });

  test("extended CONNECT is a stream of bytes, both ways (RFC 8441)", () => {
    const fields: FieldList = [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)];
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, fields, END_HEADERS)]));
    const stream = talk.stream(1);
    expect(stream.head).toMatchObject({
      method: "CONNECT",
      protocol: "websocket",
      target: "/",
      framing: "until-end",
    });
    talk.take();
    talk.core.sendHead(stream, respond(200, [["sec-websocket-protocol", "x"]], 0), "");
    talk.feed(data(1, "ping"));
    expect(talk.core.read(stream)?.toString()).toBe("ping");
    talk.core.sendData(stream, "pong");
    talk.turn();
    const [head, pong] = talk.take();
    expect(talk.parser.fields((head as Frame).payload)).toEqual([
      [":status", "200"],
      ["sec-websocket-protocol", "x"],
    ]);
    expect(pong?.payload.toString()).toBe("pong");
  });

  test("extended CONNECT that was not offered is malformed", () => {
    const fields: FieldList = [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)];
    const talk = new Conversation(answerComplete, { extendedConnect: false });
    talk.feed(Buffer.concat([HELLO, headers(1, fields, END_HEADERS)]));
    expect(outcome(talk).resets).toEqual({ 1: 1 });
  });
});
