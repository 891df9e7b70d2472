// RFC 8441, sections 3 to 5: extended CONNECT, and the tunnel behind it. Each case is fed whole and byte by byte.

import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { answerComplete, Conversation, type Outcome, outcome } from "./conversation.ts";
import {
  data,
  END_HEADERS,
  END_STREAM,
  type FieldList,
  FLOW_CONTROL_ERROR,
  type Frame,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  PREFACE,
  PROTOCOL_ERROR,
  reset,
  SETTINGS_ACK,
  STREAM_CLOSED,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "./frames.ts";

const CONNECT: FieldList = [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)];

const without = (name: string): FieldList => CONNECT.filter(([other]) => other !== name);
const withField = (...fields: FieldList): FieldList => [...CONNECT, ...fields];
const withProtocol = (value: string): FieldList => [
  [":method", "CONNECT"],
  [":protocol", value],
  ...GET.slice(1),
];

/** Accepts every tunnel, and sends back what comes through it. */
function tunnels(fields: FieldList, extendedConnect?: boolean): Conversation {
  return new Conversation(
    (event, core) => {
      if (event.type === "refused") answerComplete(event, core);
      if (event.type === "request")
        core.sendHead(event.stream, { status: 200, fields, length: undefined }, "");
      if (event.type !== "data" && event.type !== "end") return;
      for (let piece = core.read(event.stream); piece; piece = core.read(event.stream))
        core.sendData(event.stream, piece);
      if (event.type === "end") core.sendEnd(event.stream);
    },
    { extendedConnect },
  );
}

type Case = readonly [title: string, bytes: readonly Buffer[], expected: Partial<Outcome>];

function check(cases: readonly Case[], extendedConnect?: boolean): void {
  test.each(cases)("%s", (_, frames, expected) => {
    const bytes = Buffer.concat([HELLO, ...frames, PING]);
    const whole = outcome(tunnels([], extendedConnect).feed(bytes));
    expect(whole).toMatchObject({ goaway: undefined, resets: {}, ...expected });
    expect(whole.pongs).toBe(1);
    const single = tunnels([], extendedConnect);
    for (const byte of bytes) single.feed(Buffer.from([byte]));
    expect(outcome(single)).toEqual(whole);
  });
}

const open = headers(1, CONNECT, END_HEADERS);
const rst = (code: number) => ({ resets: { 1: code } });
const status = (code: number) => ({ answers: { 1: String(code) } });

describe("§3 SETTINGS_ENABLE_CONNECT_PROTOCOL", () => {
  const sent = (extendedConnect: boolean | undefined) => {
    const talk = new Conversation(answerComplete, { extendedConnect }).feed(PREFACE);
    const { payload } = talk.take()[0] as Frame;
    const pairs = Array.from({ length: payload.length / 6 }, (_, at) => [
      payload.readUInt16BE(at * 6),
      payload.readUInt32BE(at * 6 + 2),
    ]);
    return pairs.find(([id]) => id === 8)?.[1];
  };

  test("is sent", () => {
    expect(sent(undefined)).toBe(1);
    expect(sent(false)).toBeUndefined();
  });

  test("of a client means nothing, but must be 0 or 1", () => {
    const talk = (value: number) =>
      new Conversation().feed(Buffer.concat([PREFACE, settings([8, value]), SETTINGS_ACK, PING]));
    expect(outcome(talk(1))).toMatchObject({ goaway: undefined, pongs: 1 });
    expect(outcome(talk(0))).toMatchObject({ goaway: undefined, pongs: 1 });
    expect(outcome(talk(2))).toMatchObject({ goaway: PROTOCOL_ERROR });
  });

  describe("where it was not sent", () =>
    check([["a :protocol is malformed", [open], rst(PROTOCOL_ERROR)]], false));
});

describe("§4 extended CONNECT", () => {
  check([
    ["is answered", [open], status(200)],
    ["with a query", [headers(1, [...without(":path"), [":path", "/chat?a=b"]], END_HEADERS)], status(200)],
    ["without a :scheme", [headers(1, without(":scheme"), END_HEADERS)], rst(PROTOCOL_ERROR)],
    ["without a :path", [headers(1, without(":path"), END_HEADERS)], rst(PROTOCOL_ERROR)],
    ["without an :authority", [headers(1, without(":authority"), END_HEADERS)], rst(PROTOCOL_ERROR)],
    [
      "with host in place of :authority",
      [headers(1, [...without(":authority"), ["host", "a.example"]], END_HEADERS)],
      status(200),
    ],
    [
      "with the path *",
      [headers(1, [...without(":path"), [":path", "*"]], END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    [
      "with a :protocol twice",
      [headers(1, [[":protocol", "websocket"], ...CONNECT], END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    [
      "with a :protocol behind a field",
      [headers(1, [...without(":protocol"), ["x", "y"], [":protocol", "websocket"]])],
      rst(PROTOCOL_ERROR),
    ],
    ["with an empty :protocol", [headers(1, withProtocol(""), END_HEADERS)], rst(PROTOCOL_ERROR)],
    [
      "with a :protocol that is no token",
      [headers(1, withProtocol("web socket"), END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    ["with another :protocol", [headers(1, withProtocol("connect-udp"), END_HEADERS)], status(501)],
    [
      "with a version behind the :protocol",
      [headers(1, withProtocol("websocket/13"), END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    ["with WebSocket in another case", [headers(1, withProtocol("WebSocket"), END_HEADERS)], status(200)],
    [
      "with an Upgrade field",
      [headers(1, withField(["upgrade", "websocket"]), END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    [
      "with a Connection field",
      [headers(1, withField(["connection", "upgrade"]), END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    [
      ":protocol of another method",
      [headers(1, [...GET, [":protocol", "websocket"]], END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
    [
      "CONNECT without :protocol keeps the rules of RFC 9113 §8.5",
      [headers(1, without(":protocol"), END_HEADERS)],
      rst(PROTOCOL_ERROR),
    ],
  ]);
});

describe("§5 the tunnel", () => {
  check([
    ["DATA goes both ways", [open, data(1, "a"), data(1, "b")], { answers: { 1: "200 ab" } }],
    ["DATA that is padded", [open, frame(TYPE.DATA, 8, 1, "\u0002a\0\0")], { answers: { 1: "200 a" } }],
    ["END_STREAM on HEADERS", [headers(1, CONNECT, END_STREAM | END_HEADERS)], status(200)],
    [
      "DATA behind END_STREAM on HEADERS, while ours is open",
      [headers(1, CONNECT, END_STREAM | END_HEADERS), data(1, "b")],
      rst(STREAM_CLOSED),
    ],
    ["HEADERS in it (RFC 9113 §8.5)", [open, headers(1, [["x", "y"]])], rst(PROTOCOL_ERROR)],
    ["HEADERS in it that end nothing", [open, headers(1, [["x", "y"]], END_HEADERS)], rst(PROTOCOL_ERROR)],
    [
      "more than content-length says",
      [headers(1, withField(["content-length", "1"]), END_HEADERS), data(1, "ab")],
      rst(PROTOCOL_ERROR),
    ],
    [
      "RST_STREAM by the peer",
      [open, data(1, "a"), reset(1), headers(3, CONNECT, END_HEADERS)],
      { answers: { 1: "200 a", 3: "200" } },
    ],
    ["a window that overflows", [open, windowUpdate(1, 0x7fff_ffff)], rst(FLOW_CONTROL_ERROR)],
    [
      "PRIORITY and unknown frames in it",
      [
        open,
        frame(TYPE.PRIORITY, 0, 1, Buffer.concat([uint32(3), Buffer.from([1])])),
        frame(0x7f, 0, 1, "x"),
        data(1, "a"),
      ],
      { answers: { 1: "200 a" } },
    ],
  ]);

  test("DATA behind the END_STREAM of both is the connection's fault (RFC 9113 §5.1)", () => {
    const talk = tunnels([]).feed(Buffer.concat([HELLO, open, data(1, "a", END_STREAM), data(1, "b")]));
    expect(outcome(talk)).toMatchObject({ goaway: STREAM_CLOSED, answers: { 1: "200 a" } });
  });

  test("neither side's end is the other's", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, open]));
    const stream = talk.stream(1);
    talk.core.sendHead(stream, { status: 200, fields: [], length: undefined }, "");
    talk.feed(data(1, "last", END_STREAM));
    expect(talk.core.read(stream)?.toString()).toBe("last");
    expect(talk.core.read(stream)).toBeNull();
    talk.core.sendData(stream, "still here");
    talk.turn();
    expect(talk.core.openStreams).toBe(1);
    talk.core.sendEnd(stream);
    talk.turn();
    expect(talk.core.openStreams).toBe(0);
    expect(outcome(talk)).toMatchObject({ resets: {}, answers: { 1: "200 still here" } });
  });

  test("text leaves as it is told to, by itself or behind what waits", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, settings([4, 3]), open]));
    const stream = talk.stream(1);
    talk.core.sendHead(stream, { status: 200, fields: [], length: undefined }, "");
    for (const text of ["\x81\xff", "\x82\xfe"]) talk.core.sendData(stream, text, undefined, "latin1");
    talk.turn().feed(windowUpdate(1, 10));
    const sent = talk.take().filter(({ type }) => type === TYPE.DATA);
    expect(Buffer.concat(sent.map(({ payload }) => payload)).toString("hex")).toBe("81ff82fe");
  });

  test("tiny pieces that wait are bounded by what they cost, not by their bytes alone", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, settings([4, 0]), open]));
    const stream = talk.stream(1);
    talk.core.sendHead(stream, { status: 200, fields: [], length: undefined }, "");
    let pieces = 1;
    while (talk.core.sendData(stream, "ab")) pieces += 1;
    expect(pieces).toBeLessThan(600);
    const rooms = () => talk.events.filter(({ type }) => type === "room").length;
    talk.feed(windowUpdate(1, 2));
    expect(rooms()).toBe(0);
    talk.feed(windowUpdate(1, pieces));
    expect(rooms()).toBe(1);
    expect(talk.core.sendData(stream, "ab")).toBe(true);
  });

  test("who ends it hears when END_STREAM has left, and when it never will", () => {
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, settings([4, 1]), open, headers(3, CONNECT, END_HEADERS)]),
    );
    const heard: string[] = [];
    for (const id of [1, 3]) {
      const stream = talk.stream(id);
      talk.core.sendHead(stream, { status: 200, fields: [], length: undefined }, "");
      talk.core.sendData(stream, "ab");
      talk.core.sendEnd(stream, [], () => heard.push(`${id}`));
    }
    expect(talk.turn() && heard).toEqual([]);
    talk.feed(windowUpdate(1, 1));
    expect(heard).toEqual(["1"]);
    talk.feed(reset(3));
    expect(heard).toEqual(["1", "3"]);
  });
});
