// The life of a connection as a table: what happens to it, step by step, and the bytes that leave, without a socket.

import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { WebSocketConnection } from "../../src/websocket/connection.ts";
import type { Batch } from "../../src/websocket/outbox.ts";
import { binary, clientFrame, close, more, ping, pong, readServerFrames, text } from "./client-frames.ts";

const limits = { maxMessageBytes: 1000, maxFrames: 10 };

function bytesOf(batch: Batch): Buffer {
  if (typeof batch === "string") return Buffer.from(batch, "latin1");
  return batch instanceof Uint8Array ? Buffer.from(batch) : Buffer.concat(batch.map(bytesOf));
}

/** What leaves, a word for each frame. */
function frames(core: WebSocketConnection): string[] {
  const { frames, rest } = readServerFrames(bytesOf(core.take(false)));
  expect(rest).toHaveLength(0);
  return frames.map(({ opcode, payload }) => {
    if (opcode !== 8)
      return `${["more", "text", "binary"][opcode] ?? ["ping", "pong"][opcode - 9]} ${payload}`;
    return `close ${payload.length === 0 ? "" : payload.readUInt16BE(0)} ${payload.subarray(2)}`.trim();
  });
}

/** Something that happens, and what the core tells and writes because of it. */
type Step = readonly [happens: (core: WebSocketConnection) => void, ...told: string[]];

/** Bytes arrive. */
const arrives =
  (...bytes: Buffer[]) =>
  (core: WebSocketConnection): void =>
    core.receive(Buffer.concat(bytes));
const we = {
  open: (core: WebSocketConnection) => core.open(),
  say: (data: string) => (core: WebSocketConnection) => core.text(data, Buffer.byteLength(data)),
  ping: (core: WebSocketConnection) => core.ping(Buffer.from("?")),
  close:
    (code: number, reason = "") =>
    (core: WebSocketConnection) =>
      core.close(code, reason),
  fail: (core: WebSocketConnection) => core.fail(1011, ""),
  owe: (core: WebSocketConnection) => core.owe(),
  pay: (data: string) => (core: WebSocketConnection) => {
    core.text(data, data.length);
    core.pay();
  },
};
const eof = (core: WebSocketConnection): void => core.receiveEnd();
const timeout = (core: WebSocketConnection): void => core.lose("timeout");

/** Runs the steps; `split`: what arrives does so octet by octet. */
function run(steps: readonly Step[], split: boolean): string[][] {
  const core = new WebSocketConnection(limits, false);
  return steps.map(([happens]) => {
    const told: string[] = [];
    const drain = (): void => {
      for (let event = core.next(); event.type !== "need-data"; event = core.next()) {
        if (event.type === "failed") told.push(`failed ${event.error.closeCode}`);
        else if (event.type === "close") told.push(`peer closed ${event.code} ${event.reason}`.trim());
        else told.push(`got ${event.data}`);
      }
    };
    if (split) {
      const receive = WebSocketConnection.prototype.receive.bind(core);
      core.receive = (bytes) => {
        for (const octet of bytes) {
          receive(Buffer.from([octet]));
          drain();
        }
      };
    }
    happens(core);
    drain();
    told.push(...frames(core));
    const { status } = core;
    told.push(status === undefined ? core.state : `${core.state} ${status.code} ${status.reason}`.trim());
    if (core.finished) told.push("end the stream");
    return told;
  });
}

const lost = "closed 1006 the client closed the connection without a Close frame";
const opened: Step = [we.open, "open"];

const table: readonly (readonly [name: string, ...steps: Step[]])[] = [
  // ── who closes first ──
  [
    "the peer closes: answered in kind, without its reason",
    opened,
    [arrives(close(4000, "bye")), "peer closed 4000 bye", "close 4000", "closed 4000 bye", "end the stream"],
  ],
  [
    "the peer closes without a code: 1005 is told and never sent",
    opened,
    [arrives(close()), "peer closed 1005", "close", "closed 1005", "end the stream"],
  ],
  [
    "we close: the peer's answer ends it, with the peer's code",
    opened,
    [we.close(1001, "restart"), "close 1001 restart", "closing"],
    [arrives(close(1000)), "peer closed 1000", "closed 1000", "end the stream"],
  ],
  [
    "we close, and the peer answers without a code",
    opened,
    [we.close(1000), "close 1000", "closing"],
    [arrives(close()), "peer closed 1005", "closed 1005", "end the stream"],
  ],
  [
    "both close at once: neither answers the other's",
    opened,
    [we.close(4001), "close 4001", "closing"],
    [arrives(close(4002, "mine")), "peer closed 4002 mine", "closed 4002 mine", "end the stream"],
  ],
  [
    "closing twice says the first",
    opened,
    [we.close(4001), "close 4001", "closing"],
    [we.close(4002), "closing"],
  ],
  [
    "a reason too long is cut at a character",
    opened,
    [we.close(1000, "é".repeat(62)), `close 1000 ${"é".repeat(61)}`, "closing"],
  ],
  // ── before the application is ready ──
  [
    "what arrives before it is ready waits, what is sent leaves",
    [arrives(text("early"), ping("p")), "opening"],
    [we.say("hello"), "text hello", "opening"],
    [we.open, "got early", "pong p", "open"],
  ],
  [
    "closed before it is ready: no message is given out, the answer still ends it",
    [arrives(text("early")), "opening"],
    [we.close(1008), "close 1008", "closing"],
    [we.open, "closing"],
    [arrives(close(1008)), "peer closed 1008", "closed 1008", "end the stream"],
  ],
  [
    "getting ready fails",
    [we.fail, "close 1011", "closed 1011", "end the stream"],
    [we.open, "closed 1011", "end the stream"],
  ],
  // ── data around a Close ──
  [
    "nothing counts behind the peer's Close",
    opened,
    [
      arrives(text("a"), close(1000), text("b"), ping(), close(4000)),
      "got a",
      "peer closed 1000",
      "close 1000",
      "closed 1000",
      "end the stream",
    ],
    [arrives(text("c")), "closed 1000", "end the stream"],
  ],
  [
    "behind our Close messages are dropped and pings answered",
    opened,
    [we.close(1000), "close 1000", "closing"],
    [arrives(text("late"), ping("p"), binary("b")), "pong p", "closing"],
    [
      arrives(text("in ", { fin: false }), more("pieces"), close(1000)),
      "peer closed 1000",
      "closed 1000",
      "end the stream",
    ],
  ],
  [
    "a Close inside a fragmented message",
    opened,
    [
      arrives(text("a", { fin: false }), close(1000)),
      "peer closed 1000",
      "close 1000",
      "closed 1000",
      "end the stream",
    ],
  ],
  [
    "our Close leaves behind what was sent, and no ping of ours behind it",
    opened,
    [
      (core) => {
        we.say("last words")(core);
        core.close(1000, "");
        core.ping(Buffer.from("?"));
      },
      "text last words",
      "close 1000",
      "closing",
    ],
  ],
  // ── messages that are still being compressed ──
  [
    "our Close waits for the messages that are owed",
    opened,
    [we.owe, "open"],
    [we.owe, "open"],
    [we.close(1000), "closing"],
    [we.pay("one"), "text one", "closing"],
    [we.pay("two"), "text two", "close 1000", "closing"],
    [arrives(close(1000)), "peer closed 1000", "closed 1000", "end the stream"],
  ],
  [
    "so does the answer to the peer's, and the end of the stream",
    opened,
    [we.owe, "open"],
    [arrives(close(4000)), "peer closed 4000", "closed 4000"],
    [we.pay("one"), "text one", "close 4000", "closed 4000", "end the stream"],
  ],
  [
    "pings do not wait",
    opened,
    [we.owe, "open"],
    [arrives(ping("p")), "pong p", "open"],
    [we.ping, "ping ?", "open"],
  ],
  [
    "what is owed to a peer that is gone is forgotten",
    opened,
    [we.owe, "open"],
    [timeout, "closed 1006 timeout", "end the stream"],
  ],
  // ── the peer breaks a rule ──
  ...(
    [
      ["a Close of one octet", clientFrame({ opcode: 8, payload: "a" }), 1002],
      ["a close code below 1000", close(999), 1002],
      ["1004", close(1004), 1002],
      ["1005 on the wire", close(1005), 1002],
      ["1006 on the wire", close(1006), 1002],
      ["1015 on the wire", close(1015), 1002],
      ["1016, which nobody has registered", close(1016), 1002],
      ["2999", close(2999), 1002],
      ["5000", close(5000), 1002],
      ["a reason that is not UTF-8", close(1000, Buffer.from([0xc3])), 1007],
      ["a Close of 126 octets", close(1000, "x".repeat(124)), 1002],
      ["a fragmented Close", clientFrame({ opcode: 8, fin: false }), 1002],
      ["an unmasked frame", text("x", { mask: null }), 1002],
      ["a text that is not UTF-8", text(Buffer.from([0xff])), 1007],
      ["a message too big", binary(Buffer.alloc(1001)), 1009],
    ] as const
  ).flatMap(([name, bytes, code]): (readonly [string, ...Step[]])[] => [
    [
      `${name} fails the connection with ${code}`,
      opened,
      [arrives(bytes, text("behind")), `failed ${code}`, `close ${code}`, `closed ${code}`, "end the stream"],
      [arrives(close(1000)), `closed ${code}`, "end the stream"],
    ],
    [
      `${name} behind our Close: nothing more is sent`,
      opened,
      [we.close(1000), "close 1000", "closing"],
      [arrives(bytes), `failed ${code}`, `closed ${code}`, "end the stream"],
    ],
  ]),
  ["our own failure: 1011", opened, [we.fail, "close 1011", "closed 1011", "end the stream"]],
  [
    "our own failure behind our Close",
    opened,
    [we.close(1000), "close 1000", "closing"],
    [we.fail, "closed 1011", "end the stream"],
  ],
  // ── the stream ends ──
  [
    "it ends before the application is ready",
    [eof, lost, "end the stream"],
    [we.open, lost, "end the stream"],
  ],
  ["it ends while open", opened, [eof, lost, "end the stream"]],
  [
    "it ends inside a header",
    opened,
    [arrives(text("x").subarray(0, 3)), "open"],
    [eof, lost, "end the stream"],
  ],
  [
    "it ends inside a message",
    opened,
    [arrives(text("x", { fin: false })), "open"],
    [eof, lost, "end the stream"],
  ],
  [
    "it ends inside a Close",
    opened,
    [arrives(close(1000, "x").subarray(0, -1)), "open"],
    [eof, lost, "end the stream"],
  ],
  [
    "it ends in place of an answer to our Close",
    opened,
    [we.close(1000), "close 1000", "closing"],
    [eof, lost, "end the stream"],
  ],
  [
    "it ends behind the peer's Close, as it should",
    opened,
    [arrives(close(1000)), "peer closed 1000", "close 1000", "closed 1000", "end the stream"],
    [eof, "closed 1000", "end the stream"],
  ],
  [
    "what waits still leaves when the peer has only stopped sending",
    opened,
    [
      (core) => {
        we.say("hello")(core);
        core.receiveEnd();
      },
      "text hello",
      lost,
      "end the stream",
    ],
  ],
  // ── time ──
  [
    "no pong in time",
    opened,
    [we.ping, "ping ?", "open"],
    [timeout, "closed 1006 timeout", "end the stream"],
  ],
  [
    "no answer to our Close in time",
    opened,
    [we.close(1000), "close 1000", "closing"],
    [timeout, "closed 1006 timeout", "end the stream"],
    [arrives(close(1000)), "closed 1006 timeout", "end the stream"],
  ],
  [
    "what waits is lost with the peer",
    opened,
    [
      (core) => {
        we.say("hello")(core);
        core.lose("timeout");
      },
      "closed 1006 timeout",
      "end the stream",
    ],
  ],
  // ── pings ──
  [
    "every ping is answered, in order, with its payload",
    opened,
    [arrives(ping("a"), text("x"), ping(""), ping("é\0")), "got x", "pong a", "pong ", "pong é\0", "open"],
  ],
  ["a pong says nothing", opened, [arrives(pong("unsolicited"), pong()), "open"]],
];

describe.each([
  ["whole", false],
  ["octet by octet", true],
])("as it arrives %s", (_name, split) => {
  test.each(table.map(([title, ...steps]) => [title, steps] as const))("%s", (_title, steps) => {
    const expected = steps.map(([, ...told]) => told);
    // A failure's reason is the error's text, which the reader's table pins.
    const plain = (told: string[]): string[] =>
      told.map((word) => word.replace(/^((?:close|closed) (?:1002|1007|1009)).*/, "$1"));
    expect(run(steps, split).map(plain)).toEqual(expected);
  });
});

test("pongs and short ASCII texts of one packet leave as one latin1 text, the cheapest write there is", () => {
  const core = new WebSocketConnection(limits, false);
  core.open();
  core.receive(Buffer.concat(Array.from({ length: 100 }, (_, i) => ping(`${i}`))));
  expect(core.next().type).toBe("need-data");
  core.text("behind", 6);
  const batch = core.take(false);
  expect(typeof batch).toBe("string");
  expect(readServerFrames(bytesOf(batch)).frames).toHaveLength(101);
});

test("a reader takes over the packet only until the connection is closed, and keeps nothing then", () => {
  const core = new WebSocketConnection(limits, false);
  core.open();
  core.receive(text("never finished", { fin: false }));
  core.next();
  expect(core.retainedBytes).toBeGreaterThan(0);
  core.lose("timeout");
  core.receive(text("more"));
  expect(core.retainedBytes).toBe(0);
});
