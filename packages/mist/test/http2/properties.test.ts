// Properties, and sessions nobody would write: any split gives the same, mutated sessions give events or the right
// error, nothing is kept that should not be, nothing hangs. Deterministic; H2_MUTATIONS sets how
// many, H2_SEED where they start.

import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Http2Connection } from "../../src/http2/connection.ts";
import type { Http2Event } from "../../src/http2/events.ts";
import { DEFAULT_LIMITS } from "../../src/http2/limits.ts";
import { answerComplete, Conversation, outcome } from "./conversation.ts";
import {
  block,
  data,
  type FieldList,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  POST,
  reset,
  SETTINGS_ACK,
  settings,
  windowUpdate,
} from "./frames.ts";
import { mutate, type Random, RECORDED, randomFrom, SESSIONS } from "./sessions.ts";

const MUTATIONS = Number(process.env["H2_MUTATIONS"] ?? 100_000);

/** What was said, without what depends on how the bytes were cut up. */
function transcript(talk: Conversation): unknown {
  const { answers, ...rest } = outcome(talk);
  // What waited for a window when the connection failed has left in one case and not in another.
  const kept = rest.goaway === undefined ? answers : Object.keys(answers);
  return { ...rest, answers: kept, events: talk.events.filter(({ type }) => type !== "data").map(plain) };
}

function plain(event: Http2Event): unknown {
  const id = "stream" in event ? event.stream.id : 0;
  switch (event.type) {
    case "request":
      return [id, event.head.method, event.head.target, event.head.fields];
    case "end":
      return [id, event.trailers];
    case "reset":
      return [id, event.code, event.by, event.reason];
    case "failed":
      return [event.code, event.error.message];
    default:
      return [id, event.type];
  }
}

function cutUp(bytes: Buffer, cuts: readonly number[]): Conversation {
  const talk = new Conversation();
  let from = 0;
  for (const cut of [...new Set(cuts.map((one) => one % bytes.length))].sort((a, b) => a - b)) {
    talk.feed(bytes.subarray(from, cut));
    from = cut;
  }
  return talk.feed(bytes.subarray(from));
}

describe("splits", () => {
  test.each(SESSIONS.map((bytes, index) => [index, bytes] as const))(
    "session %i, at every place",
    (_, bytes) => {
      const whole = transcript(new Conversation().feed(bytes));
      for (let at = 1; at < bytes.length; at++) expect(transcript(cutUp(bytes, [at]))).toEqual(whole);
    },
  );

  test.each(Object.entries(RECORDED))("as recorded from %s, at many places", (_, bytes) => {
    const talk = new Conversation().feed(bytes);
    const whole = transcript(talk);
    expect(talk.events.map(({ type }) => type)).toContain("request");
    expect(outcome(talk)).toMatchObject({ goaway: undefined, resets: {} });
    const step = Math.ceil(bytes.length / 400);
    for (let at = 1; at < bytes.length; at += step) expect(transcript(cutUp(bytes, [at]))).toEqual(whole);
    const single = Array.from({ length: bytes.length - 1 }, (_unused, at) => at + 1);
    expect(transcript(cutUp(bytes, single))).toEqual(whole);
  });

  const id = fc.constantFrom(0, 1, 3, 5, 7);
  const fields = fc.constantFrom<FieldList>(
    GET,
    POST,
    [...GET, ["x", "y"]],
    [["x", "y"]],
    [...GET, ["X", "y"]],
  );
  const arbitraryFrame = fc.oneof(
    fc.tuple(id, fields, fc.constantFrom(4, 5)).map(([one, list, flags]) => headers(one, list, flags)),
    fc
      .tuple(id, fc.string({ maxLength: 20 }), fc.constantFrom(0, 1, 8))
      .map(([one, body, flags]) => data(one, Buffer.from(body), flags)),
    fc.tuple(id, fc.nat({ max: 70_000 })).map(([one, increment]) => windowUpdate(one, increment)),
    id.map((one) => reset(one)),
    fc.constantFrom(PING, SETTINGS_ACK, settings(), settings([4, 10])),
    fc
      .tuple(fc.nat({ max: 17 }), fc.nat({ max: 255 }), id, fc.uint8Array({ maxLength: 12 }))
      .map(([type, flags, one, body]) => frame(type, flags, one, Buffer.from(body))),
  );

  test("random frames, at random places", { timeout: 60_000 }, () => {
    const property = fc.property(
      fc.array(arbitraryFrame, { maxLength: 12 }),
      fc.array(fc.nat({ max: 2000 }), { maxLength: 8 }),
      (frames, cuts) => {
        const bytes = Buffer.concat([HELLO, ...frames]);
        expect(transcript(cutUp(bytes, cuts))).toEqual(transcript(new Conversation().feed(bytes)));
      },
    );
    fc.assert(property, { numRuns: 2000, seed: 9113 });
  });
});

const CODES = new Set([1, 3, 5, 6, 9, 11]);

/** As `expect`, at the cost of a comparison: there are a hundred thousand of each. */
function must(holds: boolean, what: string, bytes: Buffer): void {
  if (!holds) throw new Error(`${what}: ${bytes.toString("hex")}`);
}

/** Are the events of every stream in an order that makes sense: the request, its body, one end? */
function isOrdered(events: readonly Http2Event[]): boolean {
  const states = new Map<number, "open" | "ended" | "over">();
  for (const event of events) {
    if (!("stream" in event)) continue;
    const { stream, type } = event;
    const before = states.get(stream.id);
    if (type === "request" || type === "refused") {
      if (before !== undefined) return false;
      states.set(stream.id, type === "refused" || event.head.hasBody ? "open" : "ended");
    } else if (type === "reset") {
      if (before === undefined || before === "over") return false;
      states.set(stream.id, "over");
    } else if (type !== "room") {
      if (before !== "open") return false;
      if (type === "end") states.set(stream.id, "ended");
    }
  }
  return true;
}

describe("mutated sessions", () => {
  /** Does something of its own with every stream: half of a response, a reset, nothing at all. */
  const erratic = (random: Random) => (event: Http2Event, core: Http2Connection) => {
    if (!("stream" in event) || event.type === "reset") return;
    const { stream } = event;
    const choice = random(8);
    if (choice < 3) {
      if (!stream.responseStarted) answerComplete(event, core);
    } else if (choice === 3) core.read(stream);
    else if (choice === 4) core.stopReading(stream);
    else if (choice === 5) core.reset(stream, random(14));
    else if (choice === 6 && !stream.responseStarted && !stream.isReset) {
      core.sendHead(stream, { status: 200, fields: [["x", "y"]], length: undefined }, "");
      core.sendData(stream, Buffer.alloc(random(5000)));
      if (random(2) === 0) core.sendEnd(stream, random(2) === 0 ? [["t", "1"]] : []);
    }
  };

  test(`${MUTATIONS} of them give events or the right error, and keep little`, {
    timeout: Math.max(120_000, MUTATIONS),
  }, () => {
    const random = randomFrom(Number(process.env["H2_SEED"] ?? 7541));
    let failures = 0;
    for (let run = 0; run < MUTATIONS; run++) {
      const bytes = mutate(random);
      const talk = new Conversation(run % 3 === 0 ? answerComplete : erratic(random));
      talk.feed(bytes);
      // What was said is well formed: the parser has found frames to the last byte, and every block can be decoded.
      const { goaway } = outcome(talk);
      const failed = talk.events.find((event) => event.type === "failed");
      must(goaway === (failed?.type === "failed" ? failed.code : undefined), "the peer is told", bytes);
      if (goaway !== undefined) {
        failures++;
        must(CODES.has(goaway), `code ${goaway}`, bytes);
        must(talk.core.next().type === "closed" && talk.core.openStreams === 0, "it is over", bytes);
      }
      must(isOrdered(talk.events), "events in order", bytes);
      must(talk.core.retainedBytes <= bytes.length, "little is kept", bytes);
      // Deadlines end what does not end by itself.
      talk.core.late(DEFAULT_LIMITS.settingsAckMs + DEFAULT_LIMITS.headMs + DEFAULT_LIMITS.sendMs);
      talk.turn();
    }
    expect(failures).toBeGreaterThan(MUTATIONS / 10);
    expect(failures).toBeLessThan(MUTATIONS);
  });

  test("a handler that writes into its request's fields does not reach other connections", () => {
    // accept-encoding of the static table
    const request = frame(1, 5, 1, Buffer.concat([block(GET), Buffer.from([0x90])]));
    const field = () => {
      const talk = new Conversation().feed(Buffer.concat([HELLO, request]));
      return talk.stream(1).head?.fields.find(([name]) => name === "accept-encoding");
    };
    expect(() => {
      (field() as unknown as string[])[1] = "changed";
    }).toThrow(TypeError);
    expect(field()).toEqual(["accept-encoding", "gzip, deflate"]);
  });

  test("two connections never influence each other", { timeout: 60_000 }, () => {
    const random = randomFrom(8441);
    for (let run = 0; run < 1000; run++) {
      const [one, two] = [mutate(random), mutate(random)];
      const pieces = (bytes: Buffer) =>
        Array.from({ length: Math.ceil(bytes.length / 37) }, (_, i) => bytes.subarray(i * 37, i * 37 + 37));
      const alone = (bytes: Buffer) => {
        const talk = new Conversation();
        for (const piece of pieces(bytes)) talk.feed(piece);
        return talk;
      };
      const together = [new Conversation(), new Conversation()] as const;
      const [ones, twos] = [pieces(one), pieces(two)];
      for (let i = 0; i < Math.max(ones.length, twos.length); i++) {
        if (i < twos.length) together[1].feed(twos[i] as Buffer);
        if (i < ones.length) together[0].feed(ones[i] as Buffer);
      }
      for (const [index, bytes] of [one, two].entries()) {
        const [talk, expected] = [together[index] as Conversation, alone(bytes)];
        expect(talk.sent).toEqual(expected.sent);
        expect(transcript(talk)).toEqual(transcript(expected));
      }
    }
  });
});
