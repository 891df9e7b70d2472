// An HTTP/2 client: several requests at once on one connection, with flow control both ways.

import { Buffer } from "node:buffer";
import { AnswerCheck } from "./answer-check.ts";
import { contentOf } from "./content.ts";
import type { ServerFacts } from "./facts.ts";
import { coarseMs, plannedStatuses } from "./judge-http1.ts";
import { type ClientEnd, Link, type LinkOwner, mayLive } from "./link.ts";
import * as h2 from "./oracle-http2.ts";
import type { Records, RequestRecord } from "./record.ts";
import type { Http2Client, Http2Step, RequestStep } from "./scenario.ts";
import type { World } from "./world.ts";

const largestFrame = 16_384;

class Stream {
  readonly id: number;
  readonly record: RequestRecord;
  check: AnswerCheck | undefined = undefined;
  /** What we may send, and what the server may. */
  sendWindow: number;
  receiveWindow: number;
  /** Content that waits for its turn, or for a window. */
  readonly waiting: Buffer[] = [];
  trailers = false;
  sentAll = false;
  cancelled = false;
  ended = false;
  resetWith = -1;
  /** Opened before the server's settings had come. */
  readonly isEarly: boolean;

  constructor(
    id: number,
    record: RequestRecord,
    sendWindow: number,
    receiveWindow: number,
    isEarly: boolean,
  ) {
    this.isEarly = isEarly;
    this.id = id;
    this.record = record;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
}

/** One HTTP/2 connection of a run. */
export class Http2ClientRun implements LinkOwner {
  readonly plan: Http2Client;
  readonly name: string;
  readonly #world: World;
  readonly #facts: ServerFacts;
  readonly #records: Records;
  readonly #frames: h2.FrameStream = new h2.FrameStream();
  readonly #blocks: h2.BlockReader = new h2.BlockReader();
  readonly #streams: Map<number, Stream> = new Map();
  #link: Link | undefined = undefined;
  #over = false;
  #wake: () => void = () => {};
  #nextId = 1;
  #sendWindow = 65_535;
  #receiveWindow = 65_535;
  #firstWindow = 65_535;
  #maxStreams = 100;
  #settled = false;
  /** The last stream that the server will answer. */
  #lastId = Number.POSITIVE_INFINITY;
  #goneWith = -1;
  #block: { readonly stream: number; readonly flags: number; readonly parts: Buffer[] } | undefined =
    undefined;
  #pings = 0;
  #pongs = 0;

  constructor(world: World, plan: Http2Client, records: Records, facts: ServerFacts) {
    this.#world = world;
    this.plan = plan;
    this.name = `h${plan.id}`;
    this.#records = records;
    this.#facts = facts;
    for (const step of plan.steps) if (step.type === "request") records.add(this.#keyOf(step), step);
    world.atEnd(() => {
      if (!this.#over) world.fail("nothing waits for ever", `${this.name} still waits at the end`);
    });
  }

  #keyOf(step: RequestStep): string {
    return `${this.name}/${step.id}`;
  }

  /** Whether its connection never ends by itself. */
  isHeld(): boolean {
    return false;
  }

  async run(connect: () => Promise<ClientEnd>): Promise<void> {
    const world = this.#world;
    let socket: ClientEnd;
    try {
      socket = await connect();
    } catch {
      this.#over = true;
      world.over();
      world.log(this.name, "refused");
      if (this.#facts.drainAt === undefined && this.#facts.crashes === 0)
        world.fail("a server accepts until it stops", this.name);
      return;
    }
    const link = new Link(world, this.name, socket, this.plan.network, this);
    this.#link = link;
    world.log(this.name, "connected");
    link.send(Buffer.concat([h2.preface, h2.frame(h2.SETTINGS, 0, 0, h2.setting(4, this.plan.window))]));
    for (const step of this.plan.steps) {
      if (!link.open || link.endSeenAt !== undefined || this.#goneWith >= 0) break;
      await this.#step(step, link);
    }
    await this.#until(() => this.#open.length === 0);
    if (link.open) link.end();
    await this.#until(() => link.endSeenAt !== undefined);
  }

  /** Whether the server may still have this connection at that instant. */
  mayLive(at: number): boolean {
    return mayLive(this.#link, at, 0);
  }

  get #open(): Stream[] {
    return [...this.#streams.values()].filter((stream) => !stream.ended || !stream.sentAll);
  }

  async #step(step: Http2Step, link: Link): Promise<void> {
    switch (step.type) {
      case "request":
        await this.#until(() => this.#open.length < this.#maxStreams || this.#goneWith >= 0);
        if (link.open && link.endSeenAt === undefined && this.#goneWith < 0) this.#request(step, link);
        return;
      case "pause":
        await this.#world.sleep(step.ms);
        return;
      case "await":
        await this.#until(() => this.#open.length === 0);
        return;
      case "stay":
        await this.#until(() => link.endSeenAt !== undefined);
        return;
      case "stall":
        link.stall(step.ms);
        return;
      case "ping":
        this.#pings += 1;
        link.send(h2.frame(h2.PING, 0, 0, Buffer.alloc(8, this.#pings)));
        return;
      case "cancel": {
        const stream = [...this.#streams.values()].find(({ record }) => record.step.id === step.id);
        if (stream !== undefined && !stream.ended) this.#cancel(stream, link);
        return;
      }
      case "end":
        link.end();
        return;
      case "reset":
        link.break("reset");
    }
  }

  #cancel(stream: Stream, link: Link): void {
    this.#world.log(stream.record.key, "cancelled");
    stream.cancelled = true;
    stream.ended = true;
    stream.sentAll = true;
    stream.waiting.length = 0;
    const { record } = stream;
    link.send(h2.frame(h2.RST_STREAM, 0, stream.id, h2.number32(8)), () => {
      this.#world.after(200, () => {
        const { type } = record.step.handler.answer;
        const isOurs = type === "events" || type === "chunked";
        if (isOurs && link.open && !this.#isLate() && record.opened > record.closed)
          this.#world.fail("producers are let go of", `${record.key}: not when its stream was reset`);
      });
    });
  }

  #request(step: RequestStep, link: Link): void {
    const record = this.#records.requests.get(this.#keyOf(step)) as RequestRecord;
    record.window = this.plan.window;
    const stream = new Stream(this.#nextId, record, this.#firstWindow, this.plan.window, !this.#settled);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    const { body } = step;
    const fields: (readonly [string, string])[] = [
      [":method", step.method],
      [":scheme", "http"],
      [":authority", "sim.example"],
      [":path", `/${record.key}`],
    ];
    if (body !== undefined && body.chunks === undefined) fields.push(["content-length", `${body.size}`]);
    this.#world.log(record.key, `${step.method} on stream ${stream.id}, ${body?.size ?? 0} bytes`);
    const isLast = body === undefined;
    link.watch(link.sent + 1, () => {
      record.begunAt = this.#world.time.elapsed;
    });
    const delivered = (): void => {
      if (isLast) record.deliveredAt = this.#world.time.elapsed;
    };
    link.send(
      h2.frame(h2.HEADERS, h2.END_HEADERS | (isLast ? h2.END_STREAM : 0), stream.id, h2.headerBlock(fields)),
      delivered,
    );
    if (isLast) stream.sentAll = true;
    else void this.#content(stream, link);
  }

  async #content(stream: Stream, link: Link): Promise<void> {
    const { record } = stream;
    const body = record.step.body as NonNullable<RequestStep["body"]>;
    const end = Math.min(body.cutAt ?? body.size, body.size);
    const pauseAt = Math.min(body.pause?.atByte ?? 0, end);
    if (body.pause !== undefined) {
      if (pauseAt > 0) stream.waiting.push(contentOf(record.upName, 0, pauseAt));
      this.#flush(link);
      await this.#world.sleep(body.pause.ms);
    }
    if (stream.cancelled || !link.open) return;
    if (end > pauseAt) stream.waiting.push(contentOf(record.upName, pauseAt, end));
    stream.trailers = true;
    record.cut = body.cutAt !== undefined;
    this.#flush(link);
  }

  /** Sends what the windows allow. */
  #flush(link: Link): void {
    for (const stream of this.#streams.values()) {
      if (stream.sentAll || stream.cancelled) continue;
      const { record } = stream;
      while (stream.waiting.length > 0) {
        const first = stream.waiting[0] as Buffer;
        const size = Math.min(first.length, largestFrame, this.#sendWindow, stream.sendWindow);
        if (size <= 0) break;
        this.#sendWindow -= size;
        stream.sendWindow -= size;
        link.send(h2.frame(h2.DATA, 0, stream.id, first.subarray(0, size)));
        if (size === first.length) stream.waiting.shift();
        else stream.waiting[0] = first.subarray(size);
      }
      if (stream.waiting.length > 0 || !stream.trailers) continue;
      stream.sentAll = true;
      if (record.cut) {
        this.#cancel(stream, link);
        continue;
      }
      const isTrailed = record.step.body?.trailers === true && record.step.body.chunks !== undefined;
      const end = isTrailed
        ? h2.frame(
            h2.HEADERS,
            h2.END_HEADERS | h2.END_STREAM,
            stream.id,
            h2.headerBlock([["x-trailer", "here"]]),
          )
        : h2.frame(h2.DATA, h2.END_STREAM, stream.id);
      link.send(end, () => {
        record.deliveredAt = this.#world.time.elapsed;
      });
    }
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done() && !this.#over && this.#link?.endSeenAt === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  // ── what the link tells ─────────────────────────────────────────────────────────────────────────────────

  received(bytes: Buffer): void {
    const link = this.#link as Link;
    for (const one of this.#frames.receive(bytes))
      this.#frame(one.type, one.flags, one.stream, one.payload, link);
    if (link.open) this.#flush(link);
    this.#wake();
  }

  ended(): void {
    if (
      this.#frames.busy &&
      !this.#facts.mayKill(this.#world.time.elapsed) &&
      !this.#facts.mayRefuse &&
      this.#settled
    )
      this.#world.fail("frames are well-formed", `${this.name}: the server's FIN within a frame`);
    this.#link?.end();
    this.#wake();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#world.over();
    for (const stream of this.#streams.values()) if (!stream.ended) this.#judgeSilence(stream);
    const link = this.#link as Link;
    const isWhole =
      !this.#isLate() &&
      this.#settled &&
      link.brokenAt === undefined &&
      link.finAt === undefined &&
      !this.#facts.mayKill(this.#world.time.elapsed);
    if (isWhole && this.#pongs < this.#pings && this.#goneWith < 0)
      this.#world.fail("pongs answer pings", `${this.name}: ${this.#pongs} of ${this.#pings}`);
    this.#wake();
  }

  #fail(what: string): void {
    this.#world.fail("frames are well-formed", `${this.name}: ${what}`);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer, link: Link): void {
    if (!this.#settled && type !== h2.SETTINGS) {
      // What is sent to those who are turned away is HTTP/1.
      if (!this.#facts.mayRefuse) this.#fail(`a frame ${type} before SETTINGS`);
      return;
    }
    if (this.#block !== undefined && (type !== h2.CONTINUATION || id !== this.#block.stream))
      this.#fail("a frame within a header block");
    if (payload.length > largestFrame) this.#fail(`a frame of ${payload.length} bytes`);
    switch (type) {
      case h2.SETTINGS:
        if ((flags & h2.ACK) === 0) this.#settings(payload, link);
        return;
      case h2.HEADERS:
      case h2.CONTINUATION:
        this.#headers(type, flags, id, payload);
        return;
      case h2.DATA:
        this.#data(flags, id, payload, link);
        return;
      case h2.PING:
        if ((flags & h2.ACK) !== 0) this.#pongs += 1;
        else link.send(h2.frame(h2.PING, h2.ACK, 0, payload));
        return;
      case h2.WINDOW_UPDATE: {
        const more = payload.readUInt32BE(0);
        if (more === 0) this.#fail("a WINDOW_UPDATE of 0");
        const stream = this.#streams.get(id);
        if (id === 0) this.#sendWindow += more;
        else if (stream !== undefined) stream.sendWindow += more;
        return;
      }
      case h2.RST_STREAM:
        this.#reset(id, payload.readUInt32BE(0));
        return;
      case h2.GOAWAY: {
        const last = payload.readUInt32BE(0);
        this.#goneWith = payload.readUInt32BE(4);
        this.#world.log(this.name, `GOAWAY, last ${last}, code ${this.#goneWith} ${payload.subarray(8)}`);
        if (last > this.#lastId) this.#fail("a GOAWAY with a higher stream than before");
        this.#lastId = Math.min(this.#lastId, last);
        if (this.#goneWith !== 0 && !this.#isLate())
          this.#fail(`a GOAWAY with ${this.#goneWith}: ${payload.subarray(8)}`);
        return;
      }
      default:
        this.#fail(`a frame ${type}`);
    }
  }

  #settings(payload: Buffer, link: Link): void {
    for (let at = 0; at < payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const id = payload.readUInt16BE(at);
      if (id === 3) this.#maxStreams = value;
      if (id === 4) {
        for (const stream of this.#streams.values()) stream.sendWindow += value - this.#firstWindow;
        this.#firstWindow = value;
      }
    }
    if (!this.#settled) {
      this.#settled = true;
      // Windows for the server: that of the connection is ours to open.
      if (this.plan.window > 65_535) {
        link.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, h2.number32(1_000_000)));
        this.#receiveWindow += 1_000_000;
      }
    }
    link.send(h2.frame(h2.SETTINGS, h2.ACK, 0));
  }

  #headers(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === h2.HEADERS) {
      if ((flags & 0x28) !== 0) this.#fail("padding or priority");
      this.#block = { stream: id, flags, parts: [payload] };
    } else if (this.#block === undefined) this.#fail("a CONTINUATION out of order");
    else this.#block.parts.push(payload);
    if ((flags & h2.END_HEADERS) === 0 || this.#block === undefined) return;
    const block = this.#block;
    this.#block = undefined;
    try {
      this.#fields(
        block.stream,
        (block.flags & h2.END_STREAM) !== 0,
        this.#blocks.read(Buffer.concat(block.parts)),
      );
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  #fields(id: number, isEnd: boolean, fields: h2.Fields): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#fail(`HEADERS on stream ${id}`);
      return;
    }
    const { record } = stream;
    if (stream.cancelled) return;
    if (stream.ended) this.#world.fail("one answer per request", `${record.key}: HEADERS behind the end`);
    const status = Number(fields.find(([name]) => name === ":status")?.[1]);
    if (stream.check !== undefined) {
      if (!isEnd || !Number.isNaN(status))
        this.#world.fail("one answer per request", `${record.key}: HEADERS within the content`);
      this.#end(stream, fields);
      return;
    }
    if (status < 200) {
      record.informational.push(status);
      if (status !== 103 || !record.step.handler.informational)
        this.#world.fail("answers are the handler's", `${record.key}: a ${status}`);
      return;
    }
    this.#world.log(record.key, `answered ${status}`);
    record.status = status;
    record.headAt = this.#world.time.elapsed;
    record.outcome = "begun";
    this.#judgeStatus(record, status);
    const length = fields.find(([name]) => name === "content-length")?.[1];
    const isBodyless = record.step.method === "HEAD" || status === 204 || status === 304;
    stream.check = new AnswerCheck(
      this.#world,
      record,
      { status, fields },
      isBodyless ? "none" : "http2",
      length === undefined ? -1 : Number(length),
    );
    if (isEnd) this.#end(stream, []);
  }

  #judgeStatus(record: RequestRecord, status: number): void {
    const { limits } = this.#facts;
    const planned = plannedStatuses(record, Buffer.alloc(0), this.#facts);
    const isSmall =
      (limits["maxHead"] ?? 0) < 400 || (limits["maxFields"] ?? 0) < 8 || (limits["maxTarget"] ?? 0) < 30;
    if (planned.includes(status) || ((status === 431 || status === 414) && isSmall)) return;
    if (status === 400 && this.#link?.finAt !== undefined && record.deliveredAt === undefined) return;
    if (status === 408 && (record.step.body?.pause !== undefined || this.#isLate())) return;
    this.#world.fail(
      "answers are the handler's",
      `${record.key} is answered ${status}, not ${planned.join(" or ") || "at all"}`,
    );
  }

  #data(flags: number, id: number, payload: Buffer, link: Link): void {
    const stream = this.#streams.get(id);
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0)
      this.#world.fail(
        "held bytes stay within limits",
        `${this.name}: the connection's window is exceeded by ${-this.#receiveWindow}`,
      );
    if (payload.length > 0) {
      this.#receiveWindow += payload.length;
      link.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, h2.number32(payload.length)));
    }
    if (stream === undefined) {
      this.#fail(`DATA on stream ${id}`);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0)
      this.#world.fail(
        "held bytes stay within limits",
        `${stream.record.key}: the window is exceeded by ${-stream.receiveWindow}`,
      );
    if (stream.cancelled) return;
    if (stream.ended || stream.check === undefined)
      this.#world.fail("one answer per request", `${stream.record.key}: DATA out of order`);
    if (payload.length > 0) stream.check?.data(payload);
    if ((flags & h2.END_STREAM) !== 0) this.#end(stream, []);
    else if (payload.length > 0) {
      stream.receiveWindow += payload.length;
      link.send(h2.frame(h2.WINDOW_UPDATE, 0, id, h2.number32(payload.length)));
    }
  }

  #end(stream: Stream, trailers: h2.Fields): void {
    const { record } = stream;
    stream.ended = true;
    record.outcome = "whole";
    record.wholeAt = this.#world.time.elapsed;
    this.#world.log(record.key, "whole");
    stream.check?.end(trailers, this.#facts);
  }

  #reset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#fail(`RST_STREAM of stream ${id}`);
      return;
    }
    const { record } = stream;
    this.#world.log(record.key, `reset with ${code}`);
    stream.resetWith = code;
    // Behind a whole answer it says that the rest of the request is not needed (RFC 9113 §8.1).
    stream.sentAll = true;
    stream.waiting.length = 0;
    if (stream.ended) return;
    stream.ended = true;
    if (record.outcome === "begun") record.outcome = "broken";
    this.#judgeSilence(stream);
  }

  // ── judging ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Slow enough for a deadline to have passed. */
  #isLate(): boolean {
    const { network } = this.plan;
    const stalled = this.#link?.stalledMs ?? 0;
    return network.readBytes > 0 || stalled > 0 || network.segmentBytes < 200 || this.plan.window < 1000;
  }

  #judgeSilence(stream: Stream): void {
    const { record } = stream;
    const excuse = this.#excuse(stream);
    if (excuse === undefined)
      this.#world.fail(
        "every request is answered",
        `${record.key} (${record.outcome}) is not (reset with ${stream.resetWith}), and nothing calls for it`,
      );
    else this.#world.log(record.key, `stays unanswered: ${excuse}`);
  }

  #excuse(stream: Stream): string | undefined {
    const { link, facts } = { link: this.#link as Link, facts: this.#facts };
    const { record } = stream;
    const now = this.#world.time.elapsed;
    if (stream.cancelled || record.cut) return "cancelled";
    if (link.brokenAt !== undefined) return "the client broke its link";
    if (link.finAt !== undefined) return "the client hung up";
    if (record.failures.length > 0) return "a producer failed";
    if (facts.mayRefuse && !this.#settled) return "turned away";
    if (stream.id > this.#lastId) {
      if (record.calls > 0)
        this.#world.fail(
          "a GOAWAY tells the truth",
          `${record.key} is above the last stream, and reached the handler`,
        );
      return "behind the last stream";
    }
    if (stream.resetWith === 7) {
      if (record.calls > 0) this.#world.fail("a refused stream was not begun", record.key);
      if (stream.isEarly) return "more than the server allows, which it had not said yet";
      return facts.drainAt !== undefined ? "refused by a stop" : undefined;
    }
    if (facts.mayKill(now)) return this.#isStuck(record) || this.#isStarved(stream) ? undefined : "killed";
    if (this.#isLate()) return "slow";
    if (record.readError !== undefined || record.step.body?.pause !== undefined)
      return "its content did not come";
    if (record.deliveredAt === undefined && facts.drainAt !== undefined) return "the server stopped";
    const endedAt = link.endSeenAt ?? now;
    if ((record.begunAt ?? now) >= endedAt - 1) return "it came behind the server's FIN";
    return undefined;
  }

  /** The handler waits for content, and the client for a window. */
  #isStarved({ record, waiting, sendWindow }: Stream): boolean {
    const since = this.#facts.deadlineAt - 2 * coarseMs;
    const { handler } = record.step;
    const asks = handler.pauseMs === 0 && (handler.read === "all" || handler.read === "stream");
    const { network } = this.plan;
    const isSlow =
      (this.#link as Link).stalledMs > 0 || network.readEveryMs > 0 || network.segmentBytes < 200;
    if (this.#facts.killedAt !== undefined || isSlow || !asks || waiting.length === 0) return false;
    const askedAt = (record.calledAt ?? since) + Math.max(0, handler.waitMs);
    const isShut = sendWindow <= 0 || this.#sendWindow <= 0;
    return isShut && askedAt < since && (this.#link as Link).lastDeliveredAt < since;
  }

  /** The handler has answered, and nothing came of it. */
  #isStuck(record: RequestRecord): boolean {
    const since = this.#facts.deadlineAt - 2 * coarseMs;
    if (this.#facts.killedAt !== undefined || this.#isLate() || record.calls === 0) return false;
    const { waits, waitsSince, deliveredAt, returnedAt, step } = record;
    if (deliveredAt === undefined || deliveredAt >= since) return false;
    // It is still taking what it is sent.
    if ((this.#link as Link).lastReceivedAt >= since) return false;
    // Event streams end when they are told of the stop, whatever they wait for.
    if (step.handler.answer.type === "events" && (returnedAt ?? since) < since) return true;
    return waitsSince < since && waits !== "ever" && waits !== "time";
  }
}
