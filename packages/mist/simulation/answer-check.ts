// Compares the content of one answer with what the handler gave, byte by byte, as it comes.

import { Buffer } from "node:buffer";
import { contentOf, differsAt } from "./content.ts";
import type { ServerFacts } from "./facts.ts";
import { eventData, expectedText } from "./handlers.ts";
import { EventReader } from "./oracle-events.ts";
import type { RequestRecord } from "./record.ts";
import type { World } from "./world.ts";

export interface AnswerHead {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

type Kind = "none" | "content" | "text" | "echo" | "events" | "failure";

/** One answer. */
export class AnswerCheck {
  readonly record: RequestRecord;
  readonly #world: World;
  readonly #framing: "none" | "length" | "chunked" | "close" | "http2";
  readonly #kind: Kind;
  #events = 0;
  #reader: EventReader | undefined = undefined;
  #failure = "";
  #wrong = false;

  constructor(
    world: World,
    record: RequestRecord,
    head: AnswerHead,
    framing: "none" | "length" | "chunked" | "close" | "http2",
    length: number,
  ) {
    this.#world = world;
    this.record = record;
    this.#framing = framing;
    this.#kind = kindOf(record, head.status);
    // RFC 9110 §6.6.1: a 5xx may go without.
    if (head.status < 500 && !head.fields.some(([name]) => name === "date")) this.#fail("no date");
    const whole = this.#wholeLength();
    const isSized = length >= 0 && this.#kind !== "failure" && whole !== undefined;
    if (isSized && length !== whole && record.step.handler.answer.type !== "source")
      this.#fail(`a length of ${length}, not ${whole}`);
    if (this.#kind === "events") {
      this.#reader = new EventReader(({ data, id }) => this.#event(data, id));
      if (!head.fields.some(([name, value]) => name === "content-type" && value === "text/event-stream"))
        this.#fail("not an event stream");
    }
  }

  data(bytes: Buffer): void {
    const { record } = this;
    const at = record.received;
    record.received += bytes.length;
    switch (this.#kind) {
      case "none":
        this.#fail("content where there is none");
        return;
      case "content":
        this.#compare(record.downName, at, bytes);
        return;
      case "echo":
        this.#compare(record.upName, at, bytes);
        return;
      case "text": {
        const expected = expectedText(record, this.#sizeOfBytes());
        if (Buffer.compare(expected.subarray(at, at + bytes.length), bytes) !== 0)
          this.#fail(`text that differs behind byte ${at}`);
        return;
      }
      case "events":
        this.#reader?.receive(bytes);
        return;
      default:
        this.#failure += bytes.toString("latin1");
    }
  }

  /** The answer is whole, as far as a client can tell. */
  end(trailers: AnswerHead["fields"], facts: ServerFacts): void {
    const { record } = this;
    if (this.#kind === "failure") {
      if (
        record.step.method !== "HEAD" &&
        !this.#failure.startsWith(`${record.status} `) &&
        this.#failure !== `${record.key}\n`
      )
        this.#fail(`a failure that says ${JSON.stringify(this.#failure.slice(0, 60))}`);
      return;
    }
    if (this.#framing === "none" || this.#kind === "none") return;
    const { answer } = record.step.handler;
    const whole = this.#wholeLength();
    // A loop that is told to stop ends its response where it is.
    const stopped = facts.drains(this.#world.time.elapsed) && answer.type === "events";
    if (answer.type === "events") {
      const complete = answer.end === "end" && this.#events === answer.events.length;
      if (!complete && !stopped)
        this.#fail(`ends whole after ${this.#events} of ${answer.events.length} events`);
      return;
    }
    if (whole === undefined) this.#fail("ends whole, and its producer has not ended");
    else if (record.received !== whole) this.#fail(`ends whole after ${record.received} of ${whole} bytes`);
    const isTrailed =
      "trailers" in answer && answer.trailers && (this.#framing === "chunked" || this.#framing === "http2");
    if (trailers.length !== (isTrailed ? 1 : 0)) this.#fail(`has ${trailers.length} trailers`);
  }

  #sizeOfBytes(): number {
    const { answer } = this.record.step.handler;
    return answer.type === "bytes" ? answer.size : 0;
  }

  /** The length of the whole content; undefined: it never ends in order. */
  #wholeLength(): number | undefined {
    const { answer } = this.record.step.handler;
    switch (answer.type) {
      case "bytes":
        return answer.text ? expectedText(this.record, answer.size).length : answer.size;
      case "empty":
        return 0;
      case "iterable":
      case "source":
      case "chunked":
        return answer.end === "end" ? answer.pieces.reduce((sum, { size }) => sum + size, 0) : undefined;
      case "echo":
        return this.record.step.body?.size ?? 0;
      default:
        return undefined;
    }
  }

  #compare(name: string, at: number, bytes: Buffer): void {
    const wrong = differsAt(name, at, bytes);
    if (wrong >= 0)
      this.#fail(
        `differs at byte ${wrong} (${JSON.stringify(bytes.subarray(wrong - at, wrong - at + 12).toString("latin1"))}, not ${JSON.stringify(contentOf(name, wrong, wrong + 12).toString("latin1"))})`,
      );
  }

  #event(data: string, id: string | undefined): void {
    const { answer } = this.record.step.handler;
    const plan = answer.type === "events" ? answer.events[this.#events] : undefined;
    if (
      plan === undefined ||
      data !== eventData(this.record, this.#events, plan.size) ||
      id !== `${this.#events}`
    )
      this.#fail(`event ${this.#events} is ${JSON.stringify(data.slice(0, 40))} with id ${id}`);
    this.#events += 1;
  }

  #fail(what: string): void {
    if (this.#wrong) return;
    this.#wrong = true;
    this.#world.fail("bytes are the handler's", `${this.record.key}: ${what}`);
  }
}

function kindOf({ step }: RequestRecord, status: number): Kind {
  const { answer } = step.handler;
  if (answer.type === "bytes" && status === answer.status) return answer.text ? "text" : "content";
  if (answer.type === "empty" && status === answer.status) return "none";
  if (status !== 200) return "failure";
  if (answer.type === "echo") return "echo";
  if (answer.type === "events") return "events";
  return "content";
}
