// RFC 9113 in its own order: what a server must take, and what it must refuse, and how. What h2spec checks is in here.
// Every case is fed whole with a PING behind it, byte by byte, and in two halves.

import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { Conversation, type Outcome, outcome } from "./conversation.ts";
import {
  ACK,
  block,
  COMPRESSION_ERROR,
  data,
  END_HEADERS,
  END_STREAM,
  type FieldList,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  frame,
  GET,
  HELLO,
  headers,
  NO_ERROR,
  PADDED,
  PING,
  POST,
  PREFACE,
  PRIORITY,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  reset,
  SETTINGS_ACK,
  STREAM_CLOSED,
  settings,
  TYPE,
  text,
  uint32,
  windowUpdate,
} from "./frames.ts";

/** The connection lives, and these streams were answered 200, with that behind `ok`. */
const answered = (...ids: readonly number[]) => ({
  answers: Object.fromEntries(ids.map((id) => [id, "200 ok"])),
});
/** The connection ends with that code. */
const goaway = (code: number) => ({ goaway: code });
/** The connection lives, and that stream does not. */
const rst = (id: number, code: number) => ({ resets: { [id]: code } });

type Expected = Partial<Outcome>;
type Case = readonly [title: string, send: readonly Buffer[] | Buffer, expected: Expected];

function check(cases: readonly Case[], hello: Buffer = HELLO): void {
  test.each(cases)("%s", (_, send, expected) => {
    const bytes = Buffer.concat([hello, ...(Buffer.isBuffer(send) ? [send] : (send as readonly Buffer[]))]);
    const whole = outcome(new Conversation().feed(Buffer.concat([bytes, PING])));
    const alive = expected.goaway === undefined;
    expect(whole).toMatchObject({ goaway: undefined, resets: {}, ...expected });
    if (expected.pongs === undefined) expect(whole.pongs).toBe(alive ? 1 : 0);

    const single = new Conversation();
    for (const byte of Buffer.concat([bytes, PING])) single.feed(Buffer.from([byte]));
    expect(outcome(single)).toEqual(whole);

    const half = bytes.length >> 1;
    const halves = new Conversation().feed(bytes.subarray(0, half)).feed(bytes.subarray(half)).feed(PING);
    expect(outcome(halves)).toEqual(whole);
  });
}

const DEPENDS_ON = (id: number, weight = 15) => Buffer.concat([uint32(id), Buffer.from([weight])]);
const get = headers(1, GET);
const open = headers(1, POST, END_HEADERS);

describe("§3.4 the preface", () => {
  check(
    [
      ["is answered with SETTINGS", [PREFACE, settings()], { settingsAcks: 1 }],
      ["has one form", [Buffer.from("INVALID CONNECTION PREFACE\r\n\r\n")], goaway(PROTOCOL_ERROR)],
      ["is not nearly right", [Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\n\r")], goaway(PROTOCOL_ERROR)],
      ["is followed by SETTINGS", [PREFACE, PING], goaway(PROTOCOL_ERROR)],
      ["is not followed by an acknowledgement", [PREFACE, SETTINGS_ACK], goaway(PROTOCOL_ERROR)],
    ],
    Buffer.alloc(0),
  );

  test("is answered with SETTINGS before anything else", () => {
    const talk = new Conversation().feed(Buffer.concat([PREFACE, settings(), PING, get]));
    expect(talk.sent[0]).toMatchObject({ type: TYPE.SETTINGS, flags: 0, id: 0 });
  });
});

describe("§4.1 the frame format", () => {
  check([
    ["ignores a frame of an unknown type", [frame(0x42, 0, 0, "xxxxxxxx"), get], answered(1)],
    ["ignores undefined flags", frame(TYPE.PING, 0xfe, 0, "87654321"), { pongs: 2 }],
    ["ignores the reserved bit", frame(TYPE.PING, 0, 0x8000_0000, "87654321"), { pongs: 2 }],
  ]);
});

describe("§4.2 the frame size", () => {
  const large = "x".repeat(16_384);
  check([
    ["takes 16 384 bytes of DATA", [open, data(1, large, END_STREAM)], { answers: { 1: `200 ok${large}` } }],
    ["refuses more in DATA", [open, data(1, `${large}x`)], goaway(FRAME_SIZE_ERROR)],
    ["refuses more in HEADERS", headers(1, [...GET, ["x", large]]), goaway(FRAME_SIZE_ERROR)],
  ]);
});

describe("§4.3 header compression", () => {
  check([
    [
      "ends with a block that cannot be decoded",
      frame(TYPE.HEADERS, 5, 1, [0x40]),
      goaway(COMPRESSION_ERROR),
    ],
    [
      "is not interrupted by PRIORITY",
      [headers(1, GET, END_STREAM), frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0))],
      goaway(PROTOCOL_ERROR),
    ],
    [
      "is not interrupted by another stream",
      [headers(1, GET, END_STREAM), headers(3, GET)],
      goaway(PROTOCOL_ERROR),
    ],
  ]);
});

describe("§5.1 stream states", () => {
  check([
    ["idle: DATA", data(1, "test", END_STREAM), goaway(PROTOCOL_ERROR)],
    ["idle: RST_STREAM", reset(1), goaway(PROTOCOL_ERROR)],
    ["idle: WINDOW_UPDATE", windowUpdate(1, 100), goaway(PROTOCOL_ERROR)],
    ["idle: CONTINUATION", frame(TYPE.CONTINUATION, END_HEADERS, 1, block(GET)), goaway(PROTOCOL_ERROR)],
    ["idle: PRIORITY is taken", [frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0)), get], answered(1)],
    ["a server's stream is idle", data(2, "test"), goaway(PROTOCOL_ERROR)],
    ["closed: DATA", [get, data(1, "test", END_STREAM)], goaway(STREAM_CLOSED)],
    ["closed: HEADERS", [get, headers(1, GET)], goaway(STREAM_CLOSED)],
    [
      "closed: CONTINUATION",
      [get, frame(TYPE.CONTINUATION, END_HEADERS, 1, block(GET))],
      goaway(PROTOCOL_ERROR),
    ],
    ["closed: WINDOW_UPDATE is ignored", [get, windowUpdate(1, 100)], answered(1)],
    ["closed: RST_STREAM is ignored", [get, reset(1)], answered(1)],
    ["closed: PRIORITY is ignored", [get, frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0))], answered(1)],
    ["reset by the peer: DATA", [open, reset(1), data(1, "test")], rst(1, STREAM_CLOSED)],
    ["reset by the peer: HEADERS", [open, reset(1), headers(1, [])], rst(1, STREAM_CLOSED)],
    [
      "reset by the peer: CONTINUATION",
      [open, reset(1), frame(TYPE.CONTINUATION, END_HEADERS, 1, block(GET))],
      goaway(PROTOCOL_ERROR),
    ],
    [
      "reset by us: DATA is ignored",
      [headers(1, [...GET, ["TE", ""]], 4), data(1, "test")],
      rst(1, PROTOCOL_ERROR),
    ],
    [
      "reset by us: HEADERS is ignored",
      [headers(1, [...GET, ["TE", ""]], 4), headers(1, [["x", "y"]])],
      rst(1, PROTOCOL_ERROR),
    ],
  ]);

  // A shell that does not answer keeps the stream half-closed (remote).
  test.each([
    ["DATA", data(1, "test"), STREAM_CLOSED],
    ["empty DATA", data(1, ""), STREAM_CLOSED],
    ["HEADERS", headers(1, GET), STREAM_CLOSED],
    ["CONTINUATION", frame(TYPE.CONTINUATION, END_HEADERS, 1, block(GET)), "connection"],
    ["WINDOW_UPDATE", windowUpdate(1, 10), undefined],
    ["PRIORITY", frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0)), undefined],
    ["RST_STREAM", reset(1), undefined],
  ])("half-closed (remote): %s", (_, bytes, code) => {
    const conversation = new Conversation(() => {}).feed(Buffer.concat([HELLO, get, bytes, PING]));
    const over = code === "connection";
    expect(outcome(conversation)).toMatchObject({
      goaway: over ? PROTOCOL_ERROR : undefined,
      pongs: over ? 0 : 1,
      resets: typeof code === "number" ? { 1: code } : {},
    });
  });
});

describe("§5.1.1 stream identifiers", () => {
  check([
    ["are odd", headers(2, GET), goaway(PROTOCOL_ERROR)],
    ["grow", [headers(5, GET), headers(3, GET)], goaway(PROTOCOL_ERROR)],
    ["grow from the first on", [headers(3, GET), headers(1, GET)], goaway(PROTOCOL_ERROR)],
    [
      "end with the highest",
      [headers(0x7fff_ffff, GET), windowUpdate(0x7fff_ffff, 1)],
      answered(0x7fff_ffff),
    ],
    ["may leave gaps", [headers(3, GET), headers(9, GET)], answered(3, 9)],
  ]);
});

describe("§5.1.2 stream concurrency", () => {
  const many = Array.from({ length: 101 }, (_, index) => headers(index * 2 + 1, POST, END_HEADERS));
  check([["refuses a stream too many", many, rst(201, REFUSED_STREAM)]]);
});

describe("§5.3 priorities of RFC 7540", () => {
  const prioritised = (depends: Buffer) =>
    frame(TYPE.HEADERS, END_STREAM | END_HEADERS | PRIORITY, 1, Buffer.concat([depends, block(GET)]));
  check([
    ["HEADERS with a priority", prioritised(DEPENDS_ON(0, 255)), answered(1)],
    ["HEADERS with an exclusive dependency", prioritised(DEPENDS_ON(0x8000_0003)), answered(1)],
    ["HEADERS that depends on itself", prioritised(DEPENDS_ON(1)), rst(1, PROTOCOL_ERROR)],
    [
      "PRIORITY that depends on itself",
      [open, frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(1))],
      rst(1, PROTOCOL_ERROR),
    ],
    [
      "PRIORITY of an idle stream, on itself",
      frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(1)),
      goaway(PROTOCOL_ERROR),
    ],
    ["PRIORITY with the least weight", [frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0, 0)), get], answered(1)],
    ["PRIORITY with the greatest weight", [frame(TYPE.PRIORITY, 0, 1, DEPENDS_ON(0, 255)), get], answered(1)],
    ["PRIORITY with a dependency", [frame(TYPE.PRIORITY, 0, 3, DEPENDS_ON(1)), get], answered(1)],
    ["PRIORITY, exclusive", [frame(TYPE.PRIORITY, 0, 3, DEPENDS_ON(0x8000_0001)), get], answered(1)],
    [
      "PRIORITY of an idle stream leaves those below it idle",
      [frame(TYPE.PRIORITY, 0, 7, DEPENDS_ON(0)), headers(3, GET), headers(5, GET)],
      answered(3, 5),
    ],
    ["HEADERS too short for a priority", frame(TYPE.HEADERS, 0x25, 1, [0, 0, 0]), goaway(FRAME_SIZE_ERROR)],
  ]);
});

describe("§5.4, §5.5 errors and extensions", () => {
  check([
    [
      "an unknown frame within a header block",
      [headers(1, GET, 1), frame(0x42, 0, 1)],
      goaway(PROTOCOL_ERROR),
    ],
    ["an unknown frame on a stream", [frame(0x42, 0, 1, "x"), get], answered(1)],
    [
      "nothing is read behind an error",
      [frame(TYPE.PING, 0, 1, "12345678"), get],
      { goaway: 1, answers: {} },
    ],
  ]);

  test("GOAWAY names the last stream", () => {
    const talk = new Conversation().feed(
      Buffer.concat([HELLO, get, headers(5, GET), frame(TYPE.PING, 0, 0)]),
    );
    const last = talk.sent.at(-1);
    expect([last?.type, last?.payload.readUInt32BE(0)]).toEqual([TYPE.GOAWAY, 5]);
    expect(talk.core.next().type).toBe("closed");
  });
});

describe("§6.1 DATA", () => {
  check([
    ["on stream 0", data(0, "test"), goaway(PROTOCOL_ERROR)],
    ["in one frame", [open, data(1, "test", END_STREAM)], { answers: { 1: "200 oktest" } }],
    [
      "in several",
      [open, data(1, "te"), data(1, "st"), data(1, "", END_STREAM)],
      { answers: { 1: "200 oktest" } },
    ],
    ["padded", [open, data(1, "\x03test\0\0\0", END_STREAM | PADDED)], { answers: { 1: "200 oktest" } }],
    ["nothing but padding", [open, data(1, "\x03\0\0\0", END_STREAM | PADDED)], answered(1)],
    [
      "padding longer than the frame",
      [open, data(1, "\x05test", END_STREAM | PADDED)],
      goaway(PROTOCOL_ERROR),
    ],
    [
      "padding as long as the frame",
      [open, data(1, "\x04\0\0\0", END_STREAM | PADDED)],
      goaway(PROTOCOL_ERROR),
    ],
    ["padded and empty", [open, data(1, "", END_STREAM | PADDED)], goaway(FRAME_SIZE_ERROR)],
  ]);
});

describe("§6.2 HEADERS", () => {
  const padded = (pad: number, rest: Buffer) =>
    frame(TYPE.HEADERS, 0xd, 1, Buffer.concat([Buffer.from([pad]), rest]));
  check([
    ["on stream 0", headers(0, GET), goaway(PROTOCOL_ERROR)],
    ["padded", padded(4, Buffer.concat([block(GET), Buffer.alloc(4)])), answered(1)],
    ["padding longer than the frame", padded(200, block(GET)), goaway(PROTOCOL_ERROR)],
    ["padded and empty", frame(TYPE.HEADERS, 0xd, 1), goaway(FRAME_SIZE_ERROR)],
    ["empty", frame(TYPE.HEADERS, 0x5, 1), rst(1, PROTOCOL_ERROR)],
  ]);
});

describe("§6.3 PRIORITY", () => {
  check([
    ["on stream 0", frame(TYPE.PRIORITY, 0, 0, DEPENDS_ON(1)), goaway(PROTOCOL_ERROR)],
    ["of the wrong size", [open, frame(TYPE.PRIORITY, 0, 1, [0, 0, 0, 0])], rst(1, FRAME_SIZE_ERROR)],
    [
      "of the wrong size, closed",
      [get, frame(TYPE.PRIORITY, 0, 1, [0, 0, 0, 0])],
      { ...answered(1), ...rst(1, FRAME_SIZE_ERROR) },
    ],
    ["of the wrong size, idle", frame(TYPE.PRIORITY, 0, 1, [0, 0, 0, 0]), goaway(FRAME_SIZE_ERROR)],
  ]);
});

describe("§6.4 RST_STREAM", () => {
  check([
    ["on stream 0", reset(0), goaway(PROTOCOL_ERROR)],
    ["of the wrong size", [open, frame(TYPE.RST_STREAM, 0, 1, [0, 0, 0])], goaway(FRAME_SIZE_ERROR)],
    ["with an unknown code", [open, reset(1, 0xff)], { answers: {} }],
  ]);
});

describe("§6.5 SETTINGS", () => {
  check([
    ["are acknowledged", settings([1, 4096]), { settingsAcks: 2 }],
    ["an acknowledgement has no payload", frame(TYPE.SETTINGS, ACK, 0, [0]), goaway(FRAME_SIZE_ERROR)],
    ["not on a stream", frame(TYPE.SETTINGS, 0, 1), goaway(PROTOCOL_ERROR)],
    ["of the wrong size", frame(TYPE.SETTINGS, 0, 0, [0, 3, 0]), goaway(FRAME_SIZE_ERROR)],
    ["SETTINGS_ENABLE_PUSH of 2", settings([2, 2]), goaway(PROTOCOL_ERROR)],
    ["SETTINGS_INITIAL_WINDOW_SIZE too large", settings([4, 0x8000_0000]), goaway(FLOW_CONTROL_ERROR)],
    ["SETTINGS_MAX_FRAME_SIZE too small", settings([5, 16_383]), goaway(PROTOCOL_ERROR)],
    ["SETTINGS_MAX_FRAME_SIZE too large", settings([5, 16_777_216]), goaway(PROTOCOL_ERROR)],
    ["SETTINGS_ENABLE_CONNECT_PROTOCOL of 2", settings([8, 2]), goaway(PROTOCOL_ERROR)],
    ["an unknown setting is ignored", settings([0xff, 1]), { settingsAcks: 2 }],
  ]);

  test("are taken in the order in which they stand (§6.5.3)", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, settings([4, 100], [4, 1]), get]));
    expect(talk.sent.filter(({ type }) => type === TYPE.DATA).map(({ payload }) => payload.length)).toEqual([
      1,
    ]);
  });
});

describe("§6.6, §8.4 PUSH_PROMISE", () => {
  check([["is a server's", frame(TYPE.PUSH_PROMISE, 4, 1, uint32(3)), goaway(PROTOCOL_ERROR)]]);
});

describe("§6.7 PING", () => {
  check([
    ["is answered", PING, { pongs: 2 }],
    ["an acknowledgement is not", frame(TYPE.PING, ACK, 0, "12345678"), { pongs: 1 }],
    ["not on a stream", frame(TYPE.PING, 0, 1, "12345678"), goaway(PROTOCOL_ERROR)],
    ["of the wrong size", frame(TYPE.PING, 0, 0, "123456"), goaway(FRAME_SIZE_ERROR)],
  ]);

  test("is answered with the same eight octets", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, frame(TYPE.PING, 0, 0, "h2spec\0\xff")]));
    expect(talk.sent.at(-1)).toMatchObject({ type: TYPE.PING, flags: ACK, id: 0 });
    expect(talk.sent.at(-1)?.payload.toString("latin1")).toBe("h2spec\0\xff");
  });
});

describe("§6.8 GOAWAY", () => {
  check([
    ["leaves what is open", [open, frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(8)), data(1, "", 1)], answered(1)],
    [
      "with an unknown code",
      frame(TYPE.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0xff), uint32(1)])),
      {},
    ],
    ["not on a stream", frame(TYPE.GOAWAY, 0, 1, Buffer.alloc(8)), goaway(PROTOCOL_ERROR)],
    ["of the wrong size", frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(7)), goaway(FRAME_SIZE_ERROR)],
  ]);
});

describe("§6.9 WINDOW_UPDATE", () => {
  check([
    ["on the connection", [windowUpdate(0, 1), get], answered(1)],
    ["on a stream", [open, windowUpdate(1, 1), data(1, "", END_STREAM)], answered(1)],
    ["of 0 on the connection", windowUpdate(0, 0), goaway(PROTOCOL_ERROR)],
    ["of 0 on a stream", [open, windowUpdate(1, 0)], rst(1, PROTOCOL_ERROR)],
    ["of the wrong size", frame(TYPE.WINDOW_UPDATE, 0, 0, [0, 0, 1]), goaway(FRAME_SIZE_ERROR)],
    [
      "too much for the connection",
      [windowUpdate(0, 0x7fff_ffff), windowUpdate(0, 1)],
      goaway(FLOW_CONTROL_ERROR),
    ],
    ["too much for a stream", [open, windowUpdate(1, 0x7fff_ffff)], rst(1, FLOW_CONTROL_ERROR)],
    [
      "too much for a stream, bit by bit",
      [open, windowUpdate(1, 0x7fff_0000), windowUpdate(1, 1)],
      rst(1, FLOW_CONTROL_ERROR),
    ],
    ["SETTINGS too much for a stream", [open, windowUpdate(1, 1), settings([4, 0x7fff_ffff])], goaway(3)],
    [
      "more data than the stream's window",
      [open, ...Array(5).fill(data(1, Buffer.alloc(16_384)))],
      rst(1, 3),
    ],
  ]);
});

describe("§6.10 CONTINUATION", () => {
  const [start, middle, end] = [block(GET.slice(0, 1)), block(GET.slice(1, 2)), block(GET.slice(2))] as const;
  const on = (flags: number, payload: Buffer, id = 1) => frame(TYPE.CONTINUATION, flags, id, payload);
  const head = frame(TYPE.HEADERS, END_STREAM, 1, start);
  check([
    ["once", [head, on(END_HEADERS, Buffer.concat([middle, end]))], answered(1)],
    ["several times", [head, on(0, middle), on(0, Buffer.alloc(0)), on(END_HEADERS, end)], answered(1)],
    [
      "in the middle of a field",
      [frame(1, 1, 1, start.subarray(0, 3)), on(4, Buffer.concat([start.subarray(3), middle, end]))],
      answered(1),
    ],
    ["is not followed by another frame", [head, on(0, middle), PING], goaway(PROTOCOL_ERROR)],
    ["not on stream 0", [head, on(END_HEADERS, end, 0)], goaway(PROTOCOL_ERROR)],
    ["not behind a complete block", [get, on(END_HEADERS, end)], goaway(PROTOCOL_ERROR)],
    [
      "not behind a complete CONTINUATION",
      [head, on(END_HEADERS, Buffer.concat([middle, end])), on(4, end)],
      goaway(1),
    ],
    ["not behind DATA", [open, data(1, "test"), on(END_HEADERS, end)], goaway(PROTOCOL_ERROR)],
  ]);
});

describe("§8.1 messages", () => {
  const length = (value: string): FieldList => [...POST, ["content-length", value]];
  check([
    ["GET", get, answered(1)],
    [
      "HEAD is answered without content",
      headers(1, [[":method", "HEAD"], ...GET.slice(1)]),
      { answers: { 1: "200" } },
    ],
    ["POST", [open, data(1, "test", END_STREAM)], { answers: { 1: "200 oktest" } }],
    [
      "a HEADERS frame without END_STREAM in the middle",
      [open, headers(1, [["x", "y"]], 4)],
      rst(1, PROTOCOL_ERROR),
    ],
    ["trailers", [open, data(1, "test"), headers(1, [["x", "y"]])], { answers: { 1: "200 oktest" } }],
    [
      "content-length that agrees",
      [headers(1, length("4"), 4), data(1, "te"), data(1, "st", 1)],
      { answers: { 1: "200 oktest" } },
    ],
    [
      "content-length, then trailers",
      [headers(1, length("4"), 4), data(1, "test"), headers(1, [["x", "y"]])],
      { answers: { 1: "200 oktest" } },
    ],
    ["content-length 0 and no DATA", headers(1, length("0")), answered(1)],
    ["content-length too small", [headers(1, length("3"), 4), data(1, "test")], rst(1, PROTOCOL_ERROR)],
    [
      "content-length too large",
      [headers(1, length("5"), 4), data(1, "test", END_STREAM)],
      rst(1, PROTOCOL_ERROR),
    ],
    [
      "content-length too large, several",
      [headers(1, length("5"), 4), data(1, "te"), data(1, "st", 1)],
      rst(1, 1),
    ],
    [
      "content-length too large, trailers",
      [headers(1, length("5"), 4), data(1, "test"), headers(1, [])],
      rst(1, 1),
    ],
    ["content-length and no DATA", headers(1, length("1")), rst(1, PROTOCOL_ERROR)],
    ["content-length twice", headers(1, [...length("0"), ["content-length", "0"]]), rst(1, PROTOCOL_ERROR)],
    ["content-length that is none", headers(1, length("+0")), rst(1, PROTOCOL_ERROR)],
  ]);
});

describe("§8.2 fields", () => {
  const withField = (name: string, value: string) => headers(1, [...GET, [name, value]]);
  check([
    ["a name in upper case", withField("X-Test", "ok"), rst(1, PROTOCOL_ERROR)],
    ["an empty name", withField("", "ok"), rst(1, PROTOCOL_ERROR)],
    ["a name with a space", withField("x test", "ok"), rst(1, PROTOCOL_ERROR)],
    ["a name with a colon in it", withField("x:test", "ok"), rst(1, PROTOCOL_ERROR)],
    ["a name beyond ASCII", withField("x-\xe9", "ok"), rst(1, PROTOCOL_ERROR)],
    ["a value with CR", withField("x", "a\rb"), rst(1, PROTOCOL_ERROR)],
    ["a value with LF", withField("x", "a\nb"), rst(1, PROTOCOL_ERROR)],
    ["a value with NUL", withField("x", "a\0b"), rst(1, PROTOCOL_ERROR)],
    ["a value that starts with a space", withField("x", " a"), rst(1, PROTOCOL_ERROR)],
    ["a value that ends with a tab", withField("x", "a\t"), rst(1, PROTOCOL_ERROR)],
    ["a value beyond ASCII", withField("x", "\xe9"), answered(1)],
    ["an empty value", withField("x", ""), answered(1)],
    ["connection", withField("connection", "keep-alive"), rst(1, PROTOCOL_ERROR)],
    ["keep-alive", withField("keep-alive", "1"), rst(1, PROTOCOL_ERROR)],
    ["proxy-connection", withField("proxy-connection", "x"), rst(1, PROTOCOL_ERROR)],
    ["transfer-encoding", withField("transfer-encoding", "chunked"), rst(1, PROTOCOL_ERROR)],
    ["upgrade", withField("upgrade", "h2c"), rst(1, PROTOCOL_ERROR)],
    ["te other than trailers", withField("te", "trailers, deflate"), rst(1, PROTOCOL_ERROR)],
    ["te: trailers", withField("te", "trailers"), answered(1)],
    [
      "a connection-specific field in trailers",
      [open, headers(1, [["upgrade", "x"]])],
      rst(1, PROTOCOL_ERROR),
    ],
  ]);
});

describe("§8.3 pseudo-fields", () => {
  const without = (name: string): FieldList => GET.filter(([other]) => other !== name);
  const replaced = (name: string, value: string): FieldList =>
    GET.map((f) => (f[0] === name ? [name, value] : f));
  const but = (fields: FieldList) => headers(1, fields);
  const connect: FieldList = [
    [":method", "CONNECT"],
    [":authority", "a.example:443"],
  ];
  const extended: FieldList = [...replaced(":method", "CONNECT"), [":protocol", "websocket"]];
  check([
    ["an unknown one", but([...GET, [":test", "ok"]]), rst(1, PROTOCOL_ERROR)],
    ["a response's", but([...GET, [":status", "200"]]), rst(1, PROTOCOL_ERROR)],
    ["in trailers", [open, headers(1, [[":method", "GET"]])], rst(1, PROTOCOL_ERROR)],
    ["behind a field", but([["x", "y"], ...GET]), rst(1, PROTOCOL_ERROR)],
    ["behind a field the core reads", but([["host", "a.example"], ...GET]), rst(1, PROTOCOL_ERROR)],
    ["no :method", but(without(":method")), rst(1, PROTOCOL_ERROR)],
    ["no :scheme", but(without(":scheme")), rst(1, PROTOCOL_ERROR)],
    ["no :path", but(without(":path")), rst(1, PROTOCOL_ERROR)],
    ["an empty :path", but(replaced(":path", "")), rst(1, PROTOCOL_ERROR)],
    ["a relative :path", but(replaced(":path", "x")), rst(1, PROTOCOL_ERROR)],
    ["a :path with a space", but(replaced(":path", "/ x")), rst(1, PROTOCOL_ERROR)],
    ["a :path with a backslash", but(replaced(":path", "/a\\b")), rst(1, PROTOCOL_ERROR)],
    ["a :path with a % that encodes nothing", but(replaced(":path", "/%zz")), rst(1, PROTOCOL_ERROR)],
    ["a query with such a %", but(replaced(":path", "/%7E?q=100%")), answered(1)],
    ["a :path with a fragment", but(replaced(":path", "/#x")), rst(1, PROTOCOL_ERROR)],
    [":path * of a GET", but(replaced(":path", "*")), rst(1, PROTOCOL_ERROR)],
    [
      "OPTIONS *",
      but([
        [":method", "OPTIONS"],
        [":scheme", "http"],
        [":path", "*"],
      ]),
      answered(1),
    ],
    ["a :method that is no token", but(replaced(":method", "G T")), rst(1, PROTOCOL_ERROR)],
    ["a :scheme that is none", but(replaced(":scheme", "1http")), rst(1, PROTOCOL_ERROR)],
    [
      "an :authority with user information",
      but(replaced(":authority", "u@a.example")),
      rst(1, PROTOCOL_ERROR),
    ],
    ["no :authority and no host", but(without(":authority")), rst(1, PROTOCOL_ERROR)],
    ["host instead of :authority", but([...without(":authority"), ["host", "a.example"]]), answered(1)],
    ["host like :authority", but([...GET, ["host", "A.example"]]), answered(1)],
    ["host unlike :authority", but([...GET, ["host", "b.example"]]), rst(1, PROTOCOL_ERROR)],
    ["host twice", but([...GET, ["host", "a.example"], ["host", "a.example"]]), rst(1, PROTOCOL_ERROR)],
    ...GET.map(
      ([name, value]): Case => [`${name} twice`, but([...GET, [name, value]]), rst(1, PROTOCOL_ERROR)],
    ),
    ["CONNECT is answered 501", headers(1, connect), { answers: { 1: "501" } }],
    ["CONNECT with a :path", headers(1, [...connect, [":path", "/"]]), rst(1, PROTOCOL_ERROR)],
    ["CONNECT without an :authority", headers(1, connect.slice(0, 1)), rst(1, PROTOCOL_ERROR)],
    ["extended CONNECT", headers(1, extended), answered(1)],
    [":protocol of a GET", headers(1, [...GET, [":protocol", "websocket"]]), rst(1, PROTOCOL_ERROR)],
    [
      "extended CONNECT without a :path",
      headers(
        1,
        extended.filter(([n]) => n !== ":path"),
      ),
      rst(1, 1),
    ],
    ["an expectation of something else", but([...GET, ["expect", "200-ok"]]), { answers: { 1: "417" } }],
  ]);
});

describe("header blocks of RFC 7541", () => {
  const request = (tail: readonly number[] | Buffer) =>
    frame(TYPE.HEADERS, 5, 1, Buffer.concat([block(GET), Buffer.from(tail)]));
  check([
    ["§2.3.3 an index behind the table", request([0x80 | 70]), goaway(COMPRESSION_ERROR)],
    ["§2.3.3 the same, as a name", request([0x40 | 62, 1, 0x61]), goaway(COMPRESSION_ERROR)],
    ["§4.2 a size update behind a field", request([0x20]), goaway(COMPRESSION_ERROR)],
    [
      "§4.2 size updates at the start",
      frame(1, 5, 1, Buffer.concat([Buffer.from([0x20, 0x3f, 0xe1, 0x1f]), block(GET)])),
      answered(1),
    ],
    ["§5.1 an integer that does not end", request([0xff, 0xff]), goaway(COMPRESSION_ERROR)],
    [
      "§5.1 an integer too large",
      request([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
      goaway(COMPRESSION_ERROR),
    ],
    ["§5.2 padding longer than 7 bits", request([0, 1, 0x78, 0x82, 0x1f, 0xff]), goaway(COMPRESSION_ERROR)],
    ["§5.2 padding that is not of EOS", request([0, 1, 0x78, 0x81, 0x18]), goaway(COMPRESSION_ERROR)],
    ["§5.2 EOS", request([0, 1, 0x78, 0x84, 0xff, 0xff, 0xff, 0xff]), goaway(COMPRESSION_ERROR)],
    ["§5.2 a string behind the block", request([0, 1, 0x78, 0x05, 0x78]), goaway(COMPRESSION_ERROR)],
    ["§6.1 the index 0", request([0x80]), goaway(COMPRESSION_ERROR)],
    [
      "§6.2.1 with incremental indexing",
      request(Buffer.concat([Buffer.from([0x40]), text("x"), text("y")])),
      answered(1),
    ],
    [
      "§6.2.3 never indexed",
      request(Buffer.concat([Buffer.from([0x10]), text("x"), text("y")])),
      answered(1),
    ],
    [
      "§6.3 a size update beyond SETTINGS",
      frame(1, 5, 1, Buffer.concat([Buffer.from([0x3f, 0xe2, 0x1f]), block(GET)])),
      goaway(COMPRESSION_ERROR),
    ],
    [
      "a table changed by a block that is refused is changed",
      [
        frame(1, 5, 1, Buffer.concat([Buffer.from([0x40]), text("X"), text("y")])),
        frame(1, 5, 3, Buffer.concat([block(GET), Buffer.from([0x80 | 63])])),
      ],
      goaway(COMPRESSION_ERROR),
    ],
  ]);
});

test("what is ignored keeps the compression state", () => {
  // Trailers behind a reset add to the table, and the next request refers to it.
  const trailers = frame(
    TYPE.HEADERS,
    5,
    1,
    Buffer.concat([Buffer.from([0x40]), text("x-kept"), text("yes")]),
  );
  const next = frame(TYPE.HEADERS, 5, 3, Buffer.concat([block(GET), Buffer.from([0x80 | 62])]));
  const conversation = new Conversation(() => {}).feed(Buffer.concat([HELLO, open]));
  conversation.core.reset(conversation.stream(1), NO_ERROR);
  conversation.feed(Buffer.concat([trailers, next]));
  expect(conversation.stream(3).head?.get("x-kept")).toBe("yes");
});
