// A WebSocket client and the handler it talks to. The handler answers each message with the same, and sends some of its
// own; the client takes its steps, reads with a parser of its own, and both are judged.

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import * as mist from "@x/mist";
import { contentOf, textOf } from "./content.ts";
import type { ServerFacts } from "./facts.ts";
import { PlannedError } from "./handlers.ts";
import { coarseMs } from "./judge-http1.ts";
import { type ClientEnd, Link, type LinkOwner, mayLive } from "./link.ts";
import { type ResponseEvents, type ResponseHead, ResponseReader } from "./oracle-http1.ts";
import { clientFrame, type FrameEvents, FrameReader } from "./oracle-websocket.ts";
import { Random } from "./random.ts";
import type { BadFrame, WebSocketClient, WebSocketStep } from "./scenario.ts";
import type { World } from "./world.ts";

type MessageStep = Extract<WebSocketStep, { readonly type: "message" }>;

const key = "c2ltdWxhdGVkIGNsaWVudA==";
const acceptance = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

/** What a malformed frame is told. */
const badCodes: Readonly<Record<BadFrame, number>> = {
  unmasked: 1002,
  "reserved-bit": 1002,
  "reserved-opcode": 1002,
  "fragmented-ping": 1002,
  "long-ping": 1002,
  "continuation-first": 1002,
  "text-within-message": 1002,
  "not-utf8": 1007,
  "close-one-byte": 1002,
  "close-bad-code": 1002,
};

/** One WebSocket of a run. */
export class WebSocketClientRun implements LinkOwner, ResponseEvents, FrameEvents {
  readonly plan: WebSocketClient;
  readonly name: string;
  /** What the handler has failed with on purpose. */
  readonly failures: unknown[] = [];
  readonly #world: World;
  readonly #facts: ServerFacts;
  readonly #random: Random;
  readonly #messages: MessageStep[];
  readonly #reader: ResponseReader = new ResponseReader(this);
  #link: Link | undefined = undefined;
  #frames: FrameReader | undefined = undefined;
  #over = false;
  #wake: () => void = () => {};
  // The client's side.
  /** Why the connection may end, as a Close code. */
  readonly #codes: Set<number> = new Set();
  #sent = 0;
  #echoed = 0;
  #pushed = 0;
  readonly #pings: Buffer[] = [];
  #refused = false;
  /** The client has sent Close, a frame that is malformed, or a message that is too big. */
  #ended: "close" | "bad" | undefined = undefined;
  #closeSeen: number | undefined = undefined;
  #closeDelivered = false;
  #closedBothAt: number | undefined = undefined;
  #lostAt: number | undefined = undefined;
  // The handler's side.
  #inits = 0;
  #closes = 0;
  #toldAt: number = Number.NEGATIVE_INFINITY;
  #handled = 0;
  #usersHandled = 0;
  #toldClosed = 0;
  #serverEnds = false;
  #busy = false;

  constructor(world: World, plan: WebSocketClient, facts: ServerFacts) {
    this.#world = world;
    this.plan = plan;
    this.name = `w${plan.id}`;
    this.#facts = facts;
    this.#random = new Random(plan.network.seed + 1);
    this.#messages = plan.steps.filter((step) => step.type === "message");
    world.atEnd(() => {
      if (!this.#over) world.fail("nothing waits for ever", `${this.name} still waits at the end`);
      if (this.#inits !== this.#closes)
        world.fail("one onClose per init", `${this.name}: ${this.#inits} inits, ${this.#closes} closes`);
    });
  }

  // ── the handler ─────────────────────────────────────────────────────────────────────────────────────────

  serve(request: mist.Request): mist.ServerResponse {
    const { server: plan } = this.plan;
    this.#world.log(this.name, "handler called");
    return mist.websocket<number, number>({
      request,
      pingIntervalMs: plan.pingIntervalMs,
      pongTimeoutMs: plan.pongTimeoutMs,
      closeTimeoutMs: plan.closeTimeoutMs,
      idleTimeoutMs: plan.idleTimeoutMs,
      maxMessageBytes: plan.maxMessageBytes,
      compression: plan.compression ? { threshold: 100 } : false,
      onInit: (socket) => (plan.initMs < 0 ? this.#init(socket.subject) : this.#initLater(socket.subject)),
      handler: (_count, message, socket) => this.#handle(message, socket),
      onClose: (_count, { code, reason }) => this.#onClose(code, reason),
    });
  }

  #init(subject: mist.Subject<number>): number {
    const { server: plan } = this.plan;
    if (plan.initFails) throw this.#planned("init fails");
    this.#inits += 1;
    this.#world.log(this.name, "init");
    this.#push(subject, 0);
    return 0;
  }

  async #initLater(subject: mist.Subject<number>): Promise<number> {
    this.#busy = true;
    await this.#world.sleep(this.plan.server.initMs);
    this.#busy = false;
    return this.#init(subject);
  }

  #push(subject: mist.Subject<number>, index: number): void {
    const piece = this.plan.server.push[index];
    if (piece === undefined) return;
    this.#world.after(Math.max(0, piece.waitMs), () => {
      subject.send(index);
      this.#push(subject, index + 1);
    });
  }

  #planned(what: string): PlannedError {
    const error = new PlannedError(`${this.name} ${what}`);
    this.failures.push(error);
    this.#codes.add(1011);
    this.#serverEnds = true;
    return error;
  }

  #handle(
    message: mist.WebSocketMessage<number>,
    socket: mist.WebSocket<number>,
  ): mist.Next<number, number> | void | Promise<mist.Next<number, number> | void> {
    if (this.#toldClosed > 0)
      this.#world.fail("closed comes last", `${this.name}: ${message.type} behind it`);
    if (this.#busy) this.#world.fail("one message at a time", `${this.name}: ${message.type}`);
    switch (message.type) {
      case "text":
      case "binary":
        return this.#answer(
          message.type === "text" ? Buffer.from(message.data) : message.data,
          message.type === "text",
          socket,
        );
      case "user": {
        const index = message.message;
        if (index !== this.#usersHandled)
          this.#world.fail(
            "messages in order, none twice",
            `${this.name}: push ${index}, not ${this.#usersHandled}`,
          );
        this.#usersHandled += 1;
        const { size } = this.plan.server.push[index] as { readonly size: number };
        const sent = socket.sendText(this.#pushText(index, size));
        if (!this.plan.server.awaitsSends) return;
        this.#busy = true;
        return sent.then(
          () => {
            this.#busy = false;
          },
          () => {
            this.#busy = false;
          },
        );
      }
      case "shutdown":
        this.#world.log(this.name, "handler is told of the stop");
        if (this.#facts.drainAt === undefined)
          this.#world.fail("reasons are true", `${this.name}: shutdown without a stop`);
        this.#codes.add(1001);
        return;
      case "closed":
        this.#toldClosed += 1;
        this.#world.log(this.name, `handler is told: closed ${message.code} ${message.reason}`);
        this.#judgeCode("the handler", message.code);
    }
  }

  #pushText(index: number, size: number): string {
    return `push ${index} ${textOf(`${this.name}p${index}`, size)}`;
  }

  #answer(
    data: Buffer,
    text: boolean,
    socket: mist.WebSocket<number>,
  ): mist.Next<number, number> | void | Promise<mist.Next<number, number> | void> {
    const index = this.#handled;
    const step = this.#messages[index];
    if (step === undefined || text !== step.text || Buffer.compare(data, this.#contentOf(step)) !== 0)
      this.#world.fail(
        "messages are the client's",
        `${this.name}: message ${index} is ${data.length} bytes of ${text ? "text" : "binary"}`,
      );
    this.#handled += 1;
    const { server: plan } = this.plan;
    if (data.length > plan.maxMessageBytes)
      this.#world.fail("limits are kept", `${this.name}: a message of ${data.length} bytes`);
    if (plan.answerMs < 0 && !plan.awaitsSends) return this.#react(index, data, text, socket);
    this.#busy = true;
    const wait = plan.answerMs > 0 ? this.#world.sleep(plan.answerMs) : Promise.resolve();
    return wait.then(async () => {
      const next = this.#react(index, data, text, socket);
      if (plan.awaitsSends) await this.#lastSend.catch(() => {});
      this.#busy = false;
      return next;
    });
  }

  #lastSend: Promise<void> = Promise.resolve();

  #react(
    index: number,
    data: Buffer,
    text: boolean,
    socket: mist.WebSocket<number>,
  ): mist.Next<number, number> | void {
    const { server: plan } = this.plan;
    if (index === plan.failsAt) {
      this.#busy = false;
      throw this.#planned("handler fails");
    }
    if (index === plan.stopsAt) {
      this.#codes.add(1000);
      this.#serverEnds = true;
      return mist.stop();
    }
    if (index === plan.closesAt && socket.open) {
      this.#codes.add(4000);
      this.#serverEnds = true;
      socket.close(4000, "as planned");
    }
    this.#lastSend = text ? socket.sendText(data.toString()) : socket.sendBinary(Buffer.from(data));
  }

  #onClose(code: number, reason: string): unknown {
    this.#closes += 1;
    this.#toldAt = this.#world.time.elapsed;
    this.#world.log(this.name, `onClose ${code} ${reason}`);
    if (this.#closes > 1) this.#world.fail("one onClose per init", `${this.name}: called again`);
    this.#judgeCode("onClose", code);
    const { closeMs } = this.plan.server;
    return closeMs < 0 ? undefined : this.#world.sleep(closeMs);
  }

  /** A Close code must have its reason. */
  #judgeCode(who: string, code: number): void {
    const { facts, link } = { facts: this.#facts, link: this.#link };
    const now = this.#world.time.elapsed;
    if (this.#codes.has(code)) return;
    if (code === 1001 && (facts.drainAt !== undefined || this.plan.server.idleTimeoutMs > 0)) return;
    const isLost =
      link === undefined || link.brokenAt !== undefined || link.finAt !== undefined || facts.mayKill(now);
    if (code === 1006 && (isLost || this.#isSlow() || !this.plan.polite)) return;
    this.#world.fail(
      "reasons are true",
      `${this.name}: ${who} is told ${code}, and could be told ${[...this.#codes].join(" or ") || "nothing"}`,
    );
  }

  /** A client that answers late may be taken for one that is gone. */
  #isSlow(): boolean {
    const { network, server } = this.plan;
    const patience = Math.min(server.pongTimeoutMs, server.closeTimeoutMs, this.#facts.deadline("sendMs"));
    const roundMs = 2 * network.latencyMs + network.jitterMs * 40;
    return (
      network.readBytes > 0 ||
      (this.#link?.stalledMs ?? 0) > 0 ||
      roundMs >= patience ||
      network.segmentBytes < 50
    );
  }

  // ── the client's steps ──────────────────────────────────────────────────────────────────────────────────

  /** Whether the server may still have this connection at that instant. */
  mayLive(at: number): boolean {
    const { server } = this.plan;
    // Its onClose takes its time, or it has yet to handle what came.
    if (this.#toldAt + Math.max(0, server.closeMs) + 1 >= at) return true;
    if (this.#handled < this.#sent) return true;
    return mayLive(
      this.#link,
      at,
      Math.max(0, server.closeMs) + Math.max(0, server.answerMs) + Math.max(0, server.initMs),
    );
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
      this.#world.over();
      world.log(this.name, "refused");
      if (this.#facts.drainAt === undefined && this.#facts.crashes === 0)
        world.fail("a server accepts until it stops", this.name);
      return;
    }
    const link = new Link(world, this.name, socket, this.plan.network, this);
    this.#link = link;
    world.log(this.name, "connected");
    const extension = this.plan.server.compression ? "sec-websocket-extensions: permessage-deflate\r\n" : "";
    link.send(
      Buffer.from(
        `GET /w/${this.name} HTTP/1.1\r\nhost: sim.example\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n${extension}\r\n`,
      ),
    );
    while (this.#frames === undefined && !this.#over && !this.#refused) await this.#woken();
    for (const step of this.plan.steps) {
      if (
        !link.open ||
        link.endSeenAt !== undefined ||
        this.#ended !== undefined ||
        this.#closeSeen !== undefined
      )
        break;
      await this.#step(step, link);
    }
    while (!this.#over && link.endSeenAt === undefined && link.open) await this.#woken();
    if (link.open) link.end();
  }

  async #step(step: WebSocketStep, link: Link): Promise<void> {
    switch (step.type) {
      case "message":
        this.#message(step, link);
        return;
      case "ping": {
        const payload = contentOf(`${this.name}i`, this.#pings.length, this.#pings.length + step.size);
        this.#pings.push(payload);
        link.send(this.#frame(9, payload));
        return;
      }
      case "pause":
        await this.#world.sleep(step.ms);
        return;
      case "stall":
        link.stall(step.ms);
        return;
      case "await":
        while (
          this.#echoed < this.#sent &&
          !this.#over &&
          link.endSeenAt === undefined &&
          this.#closeSeen === undefined
        )
          await this.#woken();
        return;
      case "stay":
        while (!this.#over && link.endSeenAt === undefined && this.#closeSeen === undefined)
          await this.#woken();
        return;
      case "close":
        this.#close(step.code, link);
        return;
      case "bad":
        this.#ended = "bad";
        this.#codes.add(badCodes[step.how]);
        this.#world.log(this.name, `sends ${step.how}`);
        link.send(this.#bad(step.how));
        return;
      case "end":
        link.end();
        return;
      case "reset":
        link.break("reset");
    }
  }

  #close(code: number | undefined, link: Link): void {
    this.#ended = "close";
    this.#codes.add(code ?? 1005);
    const payload = Buffer.alloc(code === undefined ? 0 : 2);
    if (code !== undefined) payload.writeUInt16BE(code);
    this.#world.log(this.name, `sends Close ${code}`);
    link.send(this.#frame(8, payload), () => {
      this.#closeDelivered = true;
      if (this.#closeSeen !== undefined) this.#closedBothAt = this.#world.time.elapsed;
    });
  }

  #contentOf({ id, text, size }: MessageStep): Buffer {
    const name = `${this.name}m${id}`;
    return text ? Buffer.from(textOf(name, size)) : contentOf(name, 0, size);
  }

  #frame(
    opcode: number,
    payload: Uint8Array,
    options: { fin?: boolean; masked?: boolean; reserved?: number } = {},
  ): Buffer {
    return clientFrame(opcode, payload, this.#random.word(), options);
  }

  #message(step: MessageStep, link: Link): void {
    let data = this.#contentOf(step);
    const { server: plan } = this.plan;
    if (data.length > plan.maxMessageBytes) {
      this.#ended = "bad";
      this.#codes.add(1009);
    }
    const compressed = plan.compression && this.#random.chance(0.7);
    if (compressed) data = deflateRawSync(data, { finishFlush: 2 }).subarray(0, -4);
    if (data.length > plan.maxMessageBytes) this.#codes.add(1009);
    this.#sent += 1;
    this.#world.log(this.name, `sends message ${step.id}, ${data.length} bytes`);
    const each = Math.ceil(data.length / step.frames);
    for (let i = 0; i < step.frames; i++) {
      const opcode = i > 0 ? 0 : step.text ? 1 : 2;
      const fin = i === step.frames - 1;
      link.send(
        this.#frame(opcode, data.subarray(i * each, fin ? undefined : (i + 1) * each), {
          fin,
          reserved: compressed && i === 0 ? 4 : 0,
        }),
      );
      if (step.ping && !fin) {
        const payload = Buffer.from(`within ${step.id}`);
        this.#pings.push(payload);
        link.send(this.#frame(9, payload));
      }
    }
  }

  #bad(how: BadFrame): Buffer {
    const text = Buffer.from("text");
    switch (how) {
      case "unmasked":
        return this.#frame(1, text, { masked: false });
      case "reserved-bit":
        return this.#frame(1, text, { reserved: 2 });
      case "reserved-opcode":
        return this.#frame(3, text);
      case "fragmented-ping":
        return this.#frame(9, text, { fin: false });
      case "long-ping":
        return this.#frame(9, Buffer.alloc(126));
      case "continuation-first":
        return this.#frame(0, text);
      case "text-within-message":
        return Buffer.concat([this.#frame(1, text, { fin: false }), this.#frame(1, text)]);
      case "not-utf8":
        return this.#frame(1, Buffer.from([0x61, 0xff]));
      case "close-one-byte":
        return this.#frame(8, Buffer.from([3]));
      case "close-bad-code":
        return this.#frame(8, Buffer.from([3, 0xed]));
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  // ── what the link tells ─────────────────────────────────────────────────────────────────────────────────

  received(bytes: Buffer): void {
    const frames = this.#frames === undefined ? this.#reader.receive(bytes) : bytes;
    if (frames.length > 0) this.#frames?.receive(frames);
    this.#wake();
  }

  ended(): void {
    if (this.#frames !== undefined && this.#closeSeen === undefined) this.#judgeLoss();
    this.#judgeEnd();
    this.#link?.end();
    this.#wake();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#world.over();
    this.#lostAt = this.#world.time.elapsed;
    if (this.#frames !== undefined && this.#closeSeen === undefined) this.#judgeLoss();
    if (this.#frames === undefined) this.#judgeNoHandshake();
    if (this.#link?.endSeenAt === this.#link?.closedAt && this.#link?.brokenAt === undefined)
      this.#judgeEnd();
    this.#wake();
  }

  /** Both Close frames were exchanged: then the server ends the connection, at once. */
  #judgeEnd(): void {
    const now = this.#world.time.elapsed;
    if (
      this.#closedBothAt === undefined ||
      now <= this.#closedBothAt + coarseMs + 2 * Math.max(0, this.plan.server.answerMs) ||
      this.#isSlow()
    )
      return;
    this.#world.fail(
      "a closed WebSocket ends",
      `${this.name}: ${now - this.#closedBothAt} ms behind the Close frames`,
    );
  }

  /** The connection ended, and no Close frame had come. */
  #judgeLoss(): void {
    const { facts, link } = { facts: this.#facts, link: this.#link };
    const now = this.#lostAt ?? this.#world.time.elapsed;
    if (link === undefined || link.brokenAt !== undefined || link.finAt !== undefined || facts.mayKill(now))
      return;
    if (this.#isSlow() || !this.plan.polite) return;
    this.#world.fail("WebSockets end with a Close frame", `${this.name}: the connection was lost at ${now}`);
  }

  #judgeNoHandshake(): void {
    const { facts, link } = { facts: this.#facts, link: this.#link };
    const now = this.#world.time.elapsed;
    if (
      this.#refused ||
      link === undefined ||
      link.brokenAt !== undefined ||
      link.finAt !== undefined ||
      facts.mayRefuse ||
      facts.mayKill(now)
    )
      return;
    // It may be on its way to a client that is taken for one that is gone.
    if (this.#inits > 0 && (this.#isSlow() || !this.plan.polite)) return;
    const headMs = Math.min(
      facts.deadline("headMs"),
      facts.drainAt === undefined ? Number.POSITIVE_INFINITY : facts.deadline("stopGraceMs"),
    );
    if (facts.drainAt !== undefined || now >= headMs || this.plan.server.initFails) return;
    this.#world.fail("every request is answered", `${this.name}: no handshake`);
  }

  // ── what the parsers tell ───────────────────────────────────────────────────────────────────────────────

  method(): string {
    return "GET";
  }

  informational(head: ResponseHead): void {
    this.#world.fail("answers are the handler's", `${this.name}: a ${head.status}`);
  }

  head(head: ResponseHead): void {
    this.#refused = true;
    this.#world.log(this.name, `answered ${head.status}`);
    const isLarge = this.#facts.limit("maxHead") < 400 || this.#facts.limit("maxFields") < 7;
    const allowed =
      head.status === 503 ? this.#facts.mayRefuse : head.status === 408 || (head.status === 431 && isLarge);
    if (!allowed) this.#world.fail("answers are the handler's", `${this.name}: a ${head.status}`);
  }

  data(): void {}

  end(): void {}

  upgraded({ fields }: ResponseHead): void {
    const value = (name: string): string | undefined => fields.find(([one]) => one === name)?.[1];
    this.#world.log(this.name, "upgraded");
    if (value("sec-websocket-accept") !== acceptance)
      this.#world.fail("answers are the handler's", `${this.name}: the wrong sec-websocket-accept`);
    const deflated = value("sec-websocket-extensions") !== undefined;
    if (deflated && !this.plan.server.compression)
      this.#world.fail("answers are the handler's", `${this.name}: an extension nobody asked for`);
    this.#frames = new FrameReader(this, deflated);
    this.#wake();
  }

  message(text: boolean, data: Buffer): void {
    const pushed = text && data.subarray(0, 5).toString() === "push " ? data.toString() : undefined;
    if (pushed !== undefined) {
      const plan = this.plan.server.push[this.#pushed];
      if (plan === undefined || pushed !== this.#pushText(this.#pushed, plan.size))
        this.#world.fail(
          "messages in order, none twice",
          `${this.name}: ${JSON.stringify(pushed.slice(0, 20))} is push ${this.#pushed}`,
        );
      this.#pushed += 1;
      return;
    }
    const step = this.#messages[this.#echoed];
    if (
      this.#echoed >= this.#sent ||
      step === undefined ||
      step.text !== text ||
      Buffer.compare(data, this.#contentOf(step)) !== 0
    )
      this.#world.fail(
        "messages in order, none twice",
        `${this.name}: answer ${this.#echoed} is ${data.length} bytes of ${text ? "text" : "binary"}`,
      );
    this.#world.log(this.name, `answer ${this.#echoed}`);
    this.#echoed += 1;
    this.#wake();
  }

  ping(data: Buffer): void {
    if (this.plan.polite && this.#ended !== "close") this.#link?.send(this.#frame(10, data));
  }

  pong(data: Buffer): void {
    const at = this.#pings.findIndex((ping) => ping.equals(data));
    if (at < 0) this.#world.fail("pongs answer pings", `${this.name}: ${data.toString("hex").slice(0, 20)}`);
    else this.#pings.splice(0, at + 1);
  }

  close(code: number, reason: string): void {
    this.#closeSeen = code;
    this.#world.log(this.name, `Close ${code} ${reason}`);
    this.#judgeCode("the client", code < 0 ? 1005 : code);
    if (this.#ended === "close") {
      if (this.#closeDelivered) this.#closedBothAt = this.#world.time.elapsed;
      this.#judgeComplete(code);
    } else if (this.plan.polite) {
      const payload = Buffer.alloc(code < 0 ? 0 : 2);
      if (code >= 0) {
        payload.writeUInt16BE(code);
        this.#codes.add(code);
      }
      this.#codes.add(code < 0 ? 1005 : code);
      this.#ended = "close";
      this.#link?.send(this.#frame(8, payload), () => {
        this.#closedBothAt = this.#world.time.elapsed;
      });
    }
    this.#wake();
  }

  /** The server answers our Close: behind everything that came before it. */
  #judgeComplete(code: number): void {
    const own = this.plan.steps.findLast((step) => step.type === "close");
    const isOurs = own?.type === "close" && (own.code ?? -1) === code;
    const stops = this.#facts.drainAt !== undefined || this.#serverEnds || this.plan.server.idleTimeoutMs > 0;
    if (isOurs && !stops && this.#echoed < this.#sent)
      this.#world.fail(
        "every message is answered",
        `${this.name}: ${this.#echoed} of ${this.#sent}, and Close is answered`,
      );
    if (isOurs && !stops && this.#pings.length > 0)
      this.#world.fail("pongs answer pings", `${this.name}: ${this.#pings.length} pings have no pong`);
  }

  broken(why: string): void {
    this.#world.fail("frames are well-formed", `${this.name}: ${why}`);
  }
}
