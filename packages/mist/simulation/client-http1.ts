// A client that speaks HTTP/1: takes its steps, reads what comes back with a parser of its own, and judges it.

import { Buffer } from "node:buffer";
import { AnswerCheck } from "./answer-check.ts";
import { contentOf } from "./content.ts";
import type { ServerFacts } from "./facts.ts";
import { garbage } from "./garbage.ts";
import { judgeAnswer, judgeContinue, judgeIdleEnd, judgeSilence, refusedHead } from "./judge-http1.ts";
import { type ClientEnd, Link, type LinkOwner, mayLive } from "./link.ts";
import { type ResponseEvents, type ResponseHead, ResponseReader } from "./oracle-http1.ts";
import type { Records, RequestRecord } from "./record.ts";
import type { PlainClient, RequestStep } from "./scenario.ts";
import type { World } from "./world.ts";

/** How long a client waits for a 100 before it sends its content. */
const continueMs = 1000;

/** What a client has asked for: a request, or bytes that are none. */
export type Asked = { readonly record: RequestRecord } | { readonly garbage: readonly number[] };

/** One client of a run. */
export class PlainClientRun implements LinkOwner, ResponseEvents {
  readonly plan: PlainClient;
  readonly name: string;
  readonly world: World;
  readonly facts: ServerFacts;
  link: Link | undefined = undefined;
  /** The server would not have it. */
  refusedAt: number | undefined = undefined;
  /** What the server has announced to be its last answer. */
  last: Asked | undefined = undefined;
  /** When the last answer was whole. */
  idleSince = 0;
  garbageSent = false;
  readonly asked: Asked[] = [];
  readonly all: RequestRecord[] = [];
  readonly #records: Records;
  readonly #reader: ResponseReader = new ResponseReader(this);
  #check: AnswerCheck | undefined = undefined;
  #over = false;
  #wake: () => void = () => {};
  /** The request whose content waits for a 100. */
  #expecting: RequestRecord | undefined = undefined;
  #continued: () => void = () => {};

  constructor(world: World, plan: PlainClient, records: Records, facts: ServerFacts) {
    this.world = world;
    this.plan = plan;
    this.name = `c${plan.id}`;
    this.facts = facts;
    this.#records = records;
    for (const step of plan.steps) if (step.type === "request") records.add(this.keyOf(step), step);
    world.atEnd(() => {
      if (!this.#over) world.fail("nothing waits for ever", `${this.name} still waits at the end`);
    });
  }

  keyOf(step: RequestStep): string {
    return `${this.name}/${step.id}`;
  }

  /** Whether the server may still have this connection at that instant. */
  mayLive(at: number): boolean {
    return mayLive(this.link, at, 0);
  }

  /** Whether its connection never ends by itself. */
  isHeld(): boolean {
    const first = this.asked[0];
    if (first === undefined || !("record" in first) || this.link?.open !== true) return false;
    const { calls, waits, step } = first.record;
    return calls > 0 && waits === "ever" && step.handler.answer.type === "never";
  }

  async run(connect: () => Promise<ClientEnd>): Promise<void> {
    const { world } = this;
    let socket: ClientEnd;
    try {
      socket = await connect();
    } catch (error) {
      this.refusedAt = world.time.elapsed;
      this.#over = true;
      this.world.over();
      world.log(this.name, `refused: ${(error as Error).message}`);
      const { drainAt, crashes } = this.facts;
      if (drainAt === undefined && crashes === 0)
        world.fail("a server accepts until it stops", `${this.name}: ${(error as Error).message}`);
      return;
    }
    world.log(this.name, "connected");
    this.link = new Link(world, this.name, socket, this.plan.network, this);
    this.idleSince = world.time.elapsed;
    for (const step of this.plan.steps) {
      if (!this.link.open || this.link.endSeenAt !== undefined) break;
      if (step.type === "request") await this.#request(step);
      else if (step.type === "pause") await world.sleep(step.ms);
      else if (step.type === "await") await this.#answered();
      else if (step.type === "stay") await this.#closed();
      else if (step.type === "stall") this.link.stall(step.ms);
      else if (step.type === "end") this.link.end();
      else if (step.type === "reset") this.link.break("reset");
      else this.#garbage(step.index);
    }
    if (this.link.open) await this.#answered();
    if (this.link.open) this.link.end();
    if (this.link.open) await this.#closed();
  }

  // ── asking ──────────────────────────────────────────────────────────────────────────────────────────────

  #garbage(index: number): void {
    const { text, statuses } = garbage[index % garbage.length] as (typeof garbage)[number];
    this.world.log(this.name, `garbage ${index}`);
    this.garbageSent = true;
    this.asked.push({ garbage: statuses });
    this.link?.send(Buffer.from(text, "latin1"));
  }

  async #request(step: RequestStep): Promise<void> {
    const link = this.link as Link;
    const { world } = this;
    const record = this.#records.requests.get(this.keyOf(step)) as RequestRecord;
    this.all.push(record);
    this.asked.push({ record });
    const head = this.headOf(record);
    world.log(record.key, `${step.method} of ${head.length} + ${step.body?.size ?? 0} bytes`);
    link.watch(link.sent + step.emptyLines * 2 + 1, () => {
      record.begunAt = world.time.elapsed;
    });
    const delivered = (): void => {
      record.deliveredAt = world.time.elapsed;
    };
    const { body } = step;
    if (body === undefined) {
      link.send(head, delivered);
      record.endsAtByte = link.sent;
      return;
    }
    link.send(head);
    const contentFrom = link.sent;
    record.contentDelivered = () => link.delivered - contentFrom;
    if (body.expect) await this.#continueOr(record);
    const end = body.cutAt === undefined ? body.size : Math.min(body.cutAt, body.size);
    const pauseAt = Math.min(body.pause?.atByte ?? 0, end);
    if (body.pause !== undefined) {
      link.send(this.#content(record, 0, pauseAt, false));
      await world.sleep(body.pause.ms);
    }
    if (body.cutAt !== undefined) {
      link.send(this.#content(record, pauseAt, end, false));
      record.cut = true;
      link.end();
      return;
    }
    link.send(this.#content(record, pauseAt, end, true), delivered);
    record.endsAtByte = link.sent;
  }

  async #continueOr(record: RequestRecord): Promise<void> {
    this.#expecting = record;
    await new Promise<void>((resolve) => {
      const timer = this.world.after(continueMs, resolve);
      this.#continued = () => {
        timer.cancel();
        resolve();
      };
      if (record.outcome !== "none" || this.link?.open !== true) this.#continued();
    });
    this.#continued = () => {};
  }

  /** The bytes of a request's head. */
  headOf({ key, step }: RequestRecord): Buffer {
    const { method, version, connection, body } = step;
    let target = `/${key}`;
    if (step.targetBytes !== undefined && step.targetBytes > target.length + 1)
      target += `?${"q".repeat(step.targetBytes - target.length - 1)}`;
    const fields = [`host: sim.example`];
    if (connection !== undefined) fields.push(`connection: ${connection}`);
    if (body?.chunks !== undefined) fields.push("transfer-encoding: chunked");
    else if (body !== undefined) fields.push(`content-length: ${body.size}`);
    if (body?.expect === true) fields.push("expect: 100-continue");
    for (let i = fields.length; i < (step.fieldLines ?? 0); i++) fields.push(`x-${i}: ${i}`);
    const whole = (): string => `${method} ${target} HTTP/${version}\r\n${fields.join("\r\n")}\r\n\r\n`;
    const room = (step.headBytes ?? 0) - whole().length - "x-pad: \r\n".length;
    if (room > 0) fields.push(`x-pad: ${"p".repeat(room)}`);
    return Buffer.from("\r\n".repeat(step.emptyLines) + whole(), "latin1");
  }

  #content({ upName, step }: RequestRecord, from: number, to: number, last: boolean): Buffer {
    const body = step.body as NonNullable<RequestStep["body"]>;
    if (body.chunks === undefined) return contentOf(upName, from, to);
    const parts: Buffer[] = [];
    for (let at = from, i = from; at < to; i++) {
      const size = Math.max(1, Math.min(to - at, body.chunks[i % body.chunks.length] as number));
      parts.push(
        Buffer.from(`${size.toString(16)}${body.extension ? ";x=y" : ""}\r\n`),
        contentOf(upName, at, at + size),
        Buffer.from("\r\n"),
      );
      at += size;
    }
    if (last) parts.push(Buffer.from(`0\r\n${body.trailers ? "x-trailer: here\r\n" : ""}\r\n`));
    return Buffer.concat(parts);
  }

  // ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────

  async #answered(): Promise<void> {
    while (this.asked.length > 0 && !this.#over && this.link?.endSeenAt === undefined) await this.#woken();
  }

  async #closed(): Promise<void> {
    while (!this.#over && this.link?.endSeenAt === undefined) await this.#woken();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  // ── what the link tells ─────────────────────────────────────────────────────────────────────────────────

  received(bytes: Buffer): void {
    this.#reader.receive(bytes);
    this.#wake();
  }

  ended(): void {
    const whole = this.#reader.receiveEnd();
    if (
      !whole &&
      this.#check === undefined &&
      this.#reader.state !== "broken" &&
      !this.facts.mayKill(this.world.time.elapsed)
    )
      this.world.fail("answers are whole", `${this.name}: the server's FIN within a head`);
    if (whole && this.asked.length === 0) judgeIdleEnd(this);
    this.#wake();
    this.#continued();
    this.link?.end();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.world.over();
    const record = this.#check?.record;
    if (record !== undefined && record.outcome === "begun") record.outcome = "broken";
    const isCut = this.link?.endSeenAt === this.link?.closedAt && this.link?.brokenAt === undefined;
    if (isCut && this.link !== undefined && this.asked.length === 0) judgeIdleEnd(this);
    for (const asked of this.asked) judgeSilence(this, asked);
    this.#wake();
    this.#continued();
  }

  // ── what the parser tells ───────────────────────────────────────────────────────────────────────────────

  method(head: ResponseHead): string | undefined {
    const first = this.asked[0];
    if (this.#isRefusal(head)) return undefined;
    if (first === undefined || !("record" in first)) return undefined;
    const { record } = first;
    // Who refuses what stands before the method cannot know it.
    const isUnknown =
      head.status === 400 && refusedHead(record, this.headOf(record), this.facts).includes(400);
    return isUnknown ? undefined : record.step.method;
  }

  /** The server is full, and says so before it has read anything. */
  #isRefusal({ status, fields }: ResponseHead): boolean {
    return (
      this.facts.mayRefuse &&
      status === 503 &&
      fields.some(([name, value]) => name === "content-length" && value === "8")
    );
  }

  informational(head: ResponseHead): void {
    const first = this.asked[0];
    if (first === undefined || !("record" in first)) {
      this.world.fail("answers are to requests", `${this.name}: a ${head.status} to nothing`);
      return;
    }
    const { record } = first;
    record.informational.push(head.status);
    this.world.log(record.key, `informational ${head.status}`);
    if (head.status === 100) {
      if (record.step.body?.expect !== true) this.world.fail("100 is for those who expect it", record.key);
      this.#continued();
    } else if (head.status !== 103 || !record.step.handler.informational)
      this.world.fail("answers are the handler's", `${record.key}: a ${head.status}`);
  }

  head(head: ResponseHead, framing: "none" | "length" | "chunked" | "close", length: number): void {
    const { world } = this;
    const first = this.asked[0];
    if (this.#isRefusal(head)) {
      this.last = { garbage: [503] };
      this.facts.refused += 1;
      return;
    }
    if (first === undefined) {
      // A stop, or a deadline, may come while a head is on its way.
      world.fail("answers are to requests", `${this.name}: a ${head.status} to nothing`);
      return;
    }
    if (this.last !== undefined)
      world.fail("nothing comes behind the last answer", `${this.name}: a ${head.status}`);
    if (announcesClose(head, framing)) this.last = first;
    if (!("record" in first)) {
      world.log(this.name, `garbage is answered ${head.status}`);
      const since =
        world.time.elapsed -
        Math.min(
          this.facts.deadline("headMs"),
          this.facts.drainAt === undefined ? Number.POSITIVE_INFINITY : this.facts.deadline("stopGraceMs"),
        );
      const isSlow = this.link?.isSlow === true || (this.link?.stalledMs ?? 0) > 0;
      const late = head.status === 408 && (isSlow || this.idleSince <= since);
      if (!late && !first.garbage.includes(head.status))
        world.fail(
          "garbage is refused",
          `${this.name}: answered ${head.status}, not ${first.garbage.join()}`,
        );
      if (this.last === undefined)
        world.fail("garbage is refused", `${this.name}: the connection goes on behind it`);
      return;
    }
    const { record } = first;
    world.log(record.key, `answered ${head.status}, ${framing}`);
    record.status = head.status;
    record.headAt = world.time.elapsed;
    record.outcome = "begun";
    record.announcedClose = this.last === first;
    if (record === this.#expecting) this.#continued();
    this.#check = new AnswerCheck(world, record, head, framing, length);
    judgeAnswer(this, record, head);
  }

  data(bytes: Buffer): void {
    this.#check?.data(bytes);
  }

  end(trailers: ResponseHead["fields"]): void {
    if (this.last !== undefined && this.#check === undefined && !this.asked.includes(this.last)) return;
    const first = this.asked.shift();
    this.idleSince = this.world.time.elapsed;
    if (first === undefined) return;
    if ("record" in first) {
      first.record.outcome = "whole";
      first.record.wholeAt = this.world.time.elapsed;
      this.world.log(first.record.key, "whole");
      this.#check?.end(trailers, this.facts);
      judgeContinue(this, first.record);
    }
    this.#check = undefined;
    this.#wake();
  }

  upgraded(head: ResponseHead): void {
    this.world.fail("answers are the handler's", `${this.name}: a ${head.status}`);
  }

  broken(why: string): void {
    this.world.fail("responses are well-formed", `${this.name}: ${why}`);
  }
}

function announcesClose(head: ResponseHead, framing: string): boolean {
  const tokens = head.fields
    .filter(([name]) => name === "connection")
    .flatMap(([, value]) => value.toLowerCase().split(/[ ,\t]+/));
  return tokens.includes("close") || framing === "close";
}
