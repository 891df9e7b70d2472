import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameReader, type WebSocketLimits } from "../../src/websocket/reader.ts";
import { binary, clientFrame, close, more, ping, pong, text } from "./client-frames.ts";

const limits: WebSocketLimits = { maxMessageBytes: 1 << 20, maxFrames: 131_072 };

type Outcome = readonly unknown[];

/** Every event of these packets, made comparable; a failure ends the list with its close code. */
function outcome(packets: readonly Buffer[], compression = false, own = limits): Outcome {
  const connection = new FrameReader(own, compression);
  const events: unknown[] = [];
  for (const packet of packets) {
    connection.receive(Buffer.from(packet));
    for (let event = connection.next(); event.type !== "need-data"; event = connection.next()) {
      if (event.type === "failed") events.push({ failed: event.error.closeCode });
      else if ("data" in event && typeof event.data !== "string")
        events.push({ ...event, data: hex(event.data) });
      else events.push(event);
    }
  }
  return events;
}

const hex = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString("hex");
const t = (data: string) => ({ type: "text", data });
const b = (data: string | Uint8Array) => ({ type: "binary", data: hex(data) });
const pi = (payload = "") => ({ type: "ping", payload });
const po = (payload = "") => ({ type: "pong", payload });
const closed = (code: number, reason = "") => ({ type: "close", code, reason });
const failed = (code: number) => ({ failed: code });

const octets = (bytes: Buffer): Buffer[] => Array.from(bytes, (octet) => Buffer.from([octet]));

type Row = readonly [name: string, frames: readonly Buffer[], events: Outcome];

const kosme = Buffer.from("cebae1bdb9cf83cebcceb5", "hex");
const start = { fin: false } as const;

const sizes = [0, 1, 125, 126, 127, 128, 65_535, 65_536];

const rows: readonly Row[] = [
  // 1 Framing
  ...sizes.map((size): Row => [`1.1 text of ${size}`, [text("*".repeat(size))], [t("*".repeat(size))]]),
  ...sizes.map(
    (size): Row => [
      `1.2 binary of ${size}`,
      [binary(Buffer.alloc(size, 0xfe))],
      [b(Buffer.alloc(size, 0xfe))],
    ],
  ),
  [
    "1.x any mask",
    [text("masked", { mask: [0, 0, 0, 0] }), text("x", { mask: [255, 1, 2, 3] })],
    [t("masked"), t("x")],
  ],
  // 2 Pings and pongs
  ["2.1 ping without payload", [ping()], [pi()]],
  ["2.2 ping with text", [ping("Hello, world!")], [pi("Hello, world!")]],
  ["2.3 ping with binary", [ping(Buffer.from([0, 255, 254]))], [pi("\0\xff\xfe")]],
  ["2.4 ping of 125", [ping("x".repeat(125))], [pi("x".repeat(125))]],
  ["2.5 ping of 126", [ping("x".repeat(126))], [failed(1002)]],
  ["2.7 unsolicited pong", [pong()], [po()]],
  ["2.9 pong, then ping", [pong("unsolicited"), ping("payload")], [po("unsolicited"), pi("payload")]],
  [
    "2.10 ten pings",
    Array.from({ length: 10 }, (_, i) => ping(`${i}`)),
    Array.from({ length: 10 }, (_, i) => pi(`${i}`)),
  ],
  // 3 Reserved bits
  ...[1, 2, 3, 4, 5, 6, 7].map(
    (rsv): Row => [`3.${rsv} RSV ${rsv}`, [text("x"), text("y", { rsv })], [t("x"), failed(1002)]],
  ),
  // 4 Opcodes
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (opcode): Row => [
      `4 opcode ${opcode}`,
      [text("x"), clientFrame({ opcode, payload: "p" }), ping()],
      [t("x"), failed(1002)],
    ],
  ),
  // 5 Fragmentation
  ["5.1 fragmented ping", [ping("a", start), more("b")], [failed(1002)]],
  ["5.2 fragmented pong", [pong("a", start), more("b")], [failed(1002)]],
  ["5.3 two fragments", [text("fragment1", start), more("fragment2")], [t("fragment1fragment2")]],
  ["5.6 ping between fragments", [text("a", start), ping("p"), more("b")], [pi("p"), t("ab")]],
  ["5.9 continuation of nothing", [more("x"), text("y")], [failed(1002)]],
  ["5.12 unfinished continuation of nothing", [more("x", start), text("y")], [failed(1002)]],
  [
    "5.15 continuation behind a finished message",
    [text("a", start), more("b"), more("c", start), text("d")],
    [t("ab"), failed(1002)],
  ],
  ["5.18 two text frames unfinished", [text("a", start), text("b")], [failed(1002)]],
  ["a binary message inside a text", [text("a", start), binary("b")], [failed(1002)]],
  [
    "5.19 five fragments and pings",
    [
      text("f1", start),
      more("f2", start),
      ping("p1"),
      more("f3", start),
      more("f4", start),
      ping("p2"),
      more("f5"),
    ],
    [pi("p1"), pi("p2"), t("f1f2f3f4f5")],
  ],
  [
    "5.x pong with payload between",
    [binary("a", start), pong("in"), more("b", start), more("")],
    [po("in"), b("ab")],
  ],
  // 6 UTF-8
  ["6.1.1 empty text", [text("")], [t("")]],
  ["6.1.2 three empty fragments", [text("", start), more("", start), more("")], [t("")]],
  ["6.1.3 one full between empty", [text("", start), more("middle", start), more("")], [t("middle")]],
  ["6.2 valid text", [text("Hello-µ@ßöäüàá-UTF-8!!")], [t("Hello-µ@ßöäüàá-UTF-8!!")]],
  [
    "6.2.3 fragmented at every octet",
    [
      ...octets(Buffer.from("Hello-µ@ßöäüàá")).map((o, i) => (i === 0 ? text(o, start) : more(o, start))),
      more(""),
    ],
    [t("Hello-µ@ßöäüàá")],
  ],
  ["6.3 surrogate", [text(Buffer.from("cebaeda080656469746564", "hex"))], [failed(1007)]],
  [
    "6.4.1 fails on the fragment with the wrong octet",
    [text(kosme, start), more(Buffer.from("f4908080", "hex"), start), ping("never seen"), more("edited")],
    [failed(1007)],
  ],
  [
    "6.4.2 fails although the wrong character is not complete",
    [
      text(Buffer.concat([kosme, Buffer.from("f4", "hex")]), start),
      more(Buffer.from("90", "hex"), start),
      ping(),
    ],
    [failed(1007)],
  ],
  ["6.5 five characters", [text(kosme)], [t(kosme.toString("utf8"))]],
  ["6.6 ends inside a character", [text(kosme.subarray(0, 4))], [failed(1007)]],
  ["6.6 ends inside a character, fragmented", [text(kosme.subarray(0, 4), start), more("")], [failed(1007)]],
  ["6.9 last code point", [text("\u{10ffff}")], [t("\u{10ffff}")]],
  ["6.22 noncharacters", [text("\ufffe\uffff\u{1fffe}")], [t("\ufffe\uffff\u{1fffe}")]],
  ["a byte order mark is text", [text("\ufeffx")], [t("\ufeffx")]],
  [
    "UTF-8 starts anew with each message",
    [text("é", start), more("é"), text("ö", start), more("ö")],
    [t("éé"), t("öö")],
  ],
  [
    "binary is not checked",
    [binary(Buffer.from([0xff, 0xc0])), text("x")],
    [b(Buffer.from([0xff, 0xc0])), t("x")],
  ],
  // 7 Closing
  ["7.1.1 close", [text("x"), close(1000)], [t("x"), closed(1000)]],
  ["7.1.2 two closes", [close(1000), close(1000)], [closed(1000)]],
  ["7.1.3 ping behind a close", [close(1000), ping()], [closed(1000)]],
  ["7.1.4 text behind a close", [close(1000), text("x")], [closed(1000)]],
  ["7.1.5 close inside a message", [text("a", start), close(1000), more("b")], [closed(1000)]],
  ["7.3.1 close without payload", [close()], [closed(1005)]],
  ["7.3.2 close of one octet", [clientFrame({ opcode: 8, payload: "a" })], [failed(1002)]],
  ["7.3.4 close with reason", [close(1000, "Hello")], [closed(1000, "Hello")]],
  ["7.3.5 reason of 123", [close(1000, "*".repeat(123))], [closed(1000, "*".repeat(123))]],
  ["7.3.6 reason of 124", [close(1000, "*".repeat(124))], [failed(1002)]],
  ["7.5.1 reason not UTF-8", [close(1000, Buffer.from("cebaeda080", "hex"))], [failed(1007)]],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map(
    (code): Row => [`7.7 close ${code}`, [close(code)], [closed(code)]],
  ),
  ...[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535].map(
    (code): Row => [`7.9 close ${code}`, [close(code, "reason")], [failed(1002)]],
  ),
];

describe("events", () => {
  test.each(rows)("%s", (_name, frames, events) => {
    const bytes = Buffer.concat(frames);
    const tail = text("tail");
    const over = events.some(
      (event) => "failed" in (event as object) || (event as { type: string }).type === "close",
    );
    expect(outcome([bytes])).toEqual(events);
    expect(outcome(frames)).toEqual(events);
    expect(outcome([bytes, tail])).toEqual(over ? events : [...events, t("tail")]);
    expect(outcome([Buffer.concat([bytes, tail])])).toEqual(over ? events : [...events, t("tail")]);
    if (bytes.length < 2000) expect(outcome(octets(bytes))).toEqual(events);
  });
});

describe("fails fast", () => {
  test("the wrong octet of a text is refused as it arrives, before its frame is complete", () => {
    const frame = text(Buffer.concat([kosme, Buffer.from("f490808065646974", "hex")]));
    const connection = new FrameReader(limits, false);
    connection.receive(Buffer.from(frame.subarray(0, 6 + kosme.length + 1)));
    expect(connection.next().type).toBe("need-data");
    connection.receive(Buffer.from(frame.subarray(6 + kosme.length + 1, 6 + kosme.length + 2)));
    expect(connection.next()).toMatchObject({ type: "failed", error: { closeCode: 1007 } });
  });

  test("a message above the limit is refused at its header", () => {
    const connection = new FrameReader(limits, false);
    connection.receive(clientFrame({ opcode: 2, length: BigInt(limits.maxMessageBytes) + 1n }));
    expect(connection.next()).toMatchObject({
      type: "failed",
      error: { name: "LimitError", closeCode: 1009, limit: "maxMessageBytes" },
    });
  });

  test("nothing comes behind a failure", () => {
    const connection = new FrameReader(limits, false);
    connection.receive(Buffer.concat([more("x"), text("y")]));
    expect(connection.next().type).toBe("failed");
    expect(connection.next().type).toBe("need-data");
    connection.receive(text("z"));
    expect(connection.next().type).toBe("need-data");
    expect(connection.retainedBytes).toBe(0);
  });
});

describe("limits", () => {
  const small: WebSocketLimits = { maxMessageBytes: 1000, maxFrames: 5 };
  const limitRows: readonly Row[] = [
    ["a message of the limit", [binary(Buffer.alloc(1000))], [b(Buffer.alloc(1000))]],
    ["one octet more", [binary(Buffer.alloc(1001))], [failed(1009)]],
    [
      "fragments of the limit",
      [binary(Buffer.alloc(600), start), more(Buffer.alloc(400))],
      [b(Buffer.alloc(1000))],
    ],
    [
      "fragments above the limit",
      [binary(Buffer.alloc(600), start), more(Buffer.alloc(401))],
      [failed(1009)],
    ],
    [
      "frames of the limit",
      [text("", start), ...Array.from({ length: 3 }, () => more("", start)), more("")],
      [t("")],
    ],
    [
      "endless empty fragments",
      [text("", start), ...Array.from({ length: 5 }, () => more("", start))],
      [failed(1009)],
    ],
    [
      "frames are counted for each message",
      Array.from({ length: 9 }, () => text("x")),
      Array.from({ length: 9 }, () => t("x")),
    ],
    ["2^62 octets", [clientFrame({ opcode: 2, length: 2n ** 62n })], [failed(1009)]],
    ["2^63 octets", [clientFrame({ opcode: 2, length: 2n ** 63n })], [failed(1002)]],
  ];
  test.each(limitRows)("%s", (_name, frames, events) => {
    expect(outcome([Buffer.concat(frames)], false, small)).toEqual(events);
    expect(outcome(octets(Buffer.concat(frames)), false, small)).toEqual(events);
  });

  test("100 000 fragments of one octet cost their octets", () => {
    const connection = new FrameReader(limits, false);
    connection.receive(binary("x", start));
    expect(connection.next().type).toBe("need-data");
    const fragments = Buffer.concat(Array.from({ length: 1000 }, () => more("x", start)));
    for (let i = 0; i < 100; i++) {
      connection.receive(Buffer.from(fragments));
      expect(connection.next().type).toBe("need-data");
    }
    expect(connection.retainedBytes).toBeLessThan(4 * 100_001);
    connection.receive(more(""));
    expect(connection.next()).toMatchObject({ type: "binary", data: { length: 100_001 } });
  });

  test("announcing much costs little", () => {
    const connection = new FrameReader({ ...limits, maxMessageBytes: 1 << 30 }, false);
    connection.receive(Buffer.concat([clientFrame({ opcode: 2, length: 1n << 29n }), Buffer.alloc(100)]));
    expect(connection.next().type).toBe("need-data");
    expect(connection.retainedBytes).toBeLessThan(70_000);
  });
});

describe("compressed messages", () => {
  const rsv = 4;
  const c = (data: string, isText: boolean) => ({ type: "compressed", text: isText, data: hex(data) });
  const compressedRows: readonly Row[] = [
    ["whole", [text("\x01\x02", { rsv })], [c("\x01\x02", true)]],
    ["binary", [binary("\x01", { rsv }), binary("plain")], [c("\x01", false), b("plain")]],
    [
      "in fragments, not checked for UTF-8",
      [text("a", { rsv, fin: false }), ping(), more("\x7f")],
      [pi(), c("a\x7f", true)],
    ],
    ["RSV1 on a continuation", [text("a", { rsv, fin: false }), more("b", { rsv })], [failed(1002)]],
    ["RSV1 on a ping", [ping("", { rsv })], [failed(1002)]],
    ["RSV2", [text("a", { rsv: 6 })], [failed(1002)]],
  ];
  test.each(compressedRows)("%s", (_name, frames, events) => {
    expect(outcome([Buffer.concat(frames)], true)).toEqual(events);
    expect(outcome(octets(Buffer.concat(frames)), true)).toEqual(events);
  });
});

const someFrame = fc.oneof(
  fc.tuple(fc.string({ maxLength: 200 }), fc.nat(4)).map(([s, cuts]) => fragments(1, Buffer.from(s), cuts)),
  fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.nat(4)).map(([s, cuts]) => fragments(2, s, cuts)),
  fc.uint8Array({ maxLength: 125 }).map((payload) => [ping(payload)]),
  fc.uint8Array({ maxLength: 125 }).map((payload) => [pong(payload)]),
);

function fragments(opcode: number, payload: Uint8Array, cuts: number): Buffer[] {
  const size = Math.ceil(payload.length / (cuts + 1)) || 1;
  const out: Buffer[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += size) {
    const fin = at + size >= payload.length;
    out.push(clientFrame({ opcode: at === 0 ? opcode : 0, fin, payload: payload.subarray(at, at + size) }));
  }
  return out;
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((x, y) => x - y);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

test("any split of the same bytes gives the same events", () => {
  fc.assert(
    fc.property(
      fc.array(someFrame, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.flat());
        expect(outcome(split(bytes, cuts))).toEqual(outcome([bytes]));
      },
    ),
    { numRuns: 300 },
  );
});

test("arbitrary bytes give events or a failure, and no more is kept than came", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    someFrame.map((frames) => Buffer.concat(frames)),
  );
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 10 }), fc.boolean(), (packets, compression) => {
      const connection = new FrameReader(limits, compression);
      let received = 0;
      for (const packet of packets) {
        received += packet.length;
        connection.receive(Buffer.from(packet));
        for (let event = connection.next(); event.type !== "need-data"; event = connection.next()) {
          if (event.type === "failed") expect(event.error.closeCode).toBeOneOf([1002, 1007, 1009]);
        }
        expect(connection.retainedBytes).toBeLessThanOrEqual(2 * received + 65_536);
      }
    }),
    { numRuns: 300 },
  );
});
