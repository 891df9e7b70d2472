// A TCP client, and the loop of its connection: what comes is sent back in frames, beside messages of other actors.

import { Buffer } from "node:buffer";
import * as glisten from "@x/glisten";
import { contentOf, differsAt } from "./content.ts";
import type { ServerFacts } from "./facts.ts";
import { PlannedError } from "./handlers.ts";
import { type ClientEnd, Link, type LinkOwner, mayLive } from "./link.ts";
import type { TcpClient, TcpStep } from "./scenario.ts";
import type { World } from "./world.ts";

type Loop = glisten.Next<number, number> | undefined;
type Connection = glisten.Connection<number>;

/** What the sockets' buffers hold at most, both ends', and a segment under way. */
export const transportBytes: number = 8 * 65_536;
const readAheadBytes = 1024 * 1024;

/** One connection of a run, both ends of it. */
export class TcpClientRun implements LinkOwner {
  readonly plan: TcpClient;
  readonly name: string;
  /** What the loop has failed with on purpose. */
  readonly failures: unknown[] = [];
  readonly #world: World;
  readonly #facts: ServerFacts;
  readonly #heldLimit: number;
  #link: Link | undefined = undefined;
  #over = false;
  #wake: () => void = () => {};
  /** How long all connections of the server may take to initialise, one behind the other. */
  initsMs = 0;
  #connectedAt = 0;
  // The client's side.
  #received: Buffer = Buffer.alloc(0);
  #echoed = 0;
  #messages = 0;
  #greeted = 0;
  // The server's side.
  /** Why the connection may end. */
  readonly #reasons: Set<string> = new Set();
  #created = 0;
  #inits = 0;
  #closes = 0;
  #toldAt: number = Number.NEGATIVE_INFINITY;
  #handled = 0;
  #packets = 0;
  #userHandled = 0;
  #lost = 0;
  #userSent = 0;
  #toldToStop = false;
  #busy = false;
  #restsSince = 0;
  #serverEnds = false;

  constructor(world: World, plan: TcpClient, facts: ServerFacts, activeState: glisten.ActiveState) {
    this.#world = world;
    this.plan = plan;
    this.name = `t${plan.id}`;
    this.#facts = facts;
    this.#heldLimit =
      transportBytes +
      (activeState === "once" ? 0 : activeState === "active" ? readAheadBytes : activeState.count * 65_536);
    world.atEnd(() => {
      if (!this.#over) world.fail("nothing waits for ever", `${this.name} still waits at the end`);
      if (this.#inits !== this.#closes)
        world.fail("one onClose per init", `${this.name}: ${this.#inits} inits, ${this.#closes} closes`);
    });
  }

  get port(): number {
    return 10_000 + this.plan.id;
  }

  // ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

  init(connection: Connection): number | Promise<number> {
    this.#created += 1;
    if (this.#created > 1) this.#world.fail("one init per connection", this.name);
    const { initMs } = this.plan.server;
    if (initMs < 0) return this.#begin(connection);
    this.#busy = true;
    return this.#world.sleep(initMs).then(() => {
      this.#busy = false;
      return this.#begin(connection);
    });
  }

  #begin(connection: Connection): number {
    const { initFails, greeting, messages } = this.plan.server;
    if (initFails) throw this.#planned("init");
    this.#inits += 1;
    this.#restsSince = this.#world.time.elapsed;
    this.#world.log(this.name, "init");
    if (greeting > 0) void connection.send(frameOf("g", contentOf(`${this.name}g`, 0, greeting)));
    for (const atMs of messages) this.#world.after(atMs, () => connection.subject.send(this.#userSent++));
    return 0;
  }

  #planned(what: string): PlannedError {
    const error = new PlannedError(`${this.name} ${what}`);
    this.failures.push(error);
    this.#reasons.add("handler");
    this.#serverEnds = true;
    return error;
  }

  loop(count: number, message: glisten.Message<number>, connection: Connection): Loop | Promise<Loop> {
    if (this.#busy) this.#world.fail("one message at a time", this.name);
    if (this.#closes > 0) this.#world.fail("onClose comes last", this.name);
    if (message.type === "user") {
      if (message.message !== this.#userHandled)
        this.#world.fail(
          "messages in order, none twice",
          `${this.name}: ${message.message}, not ${this.#userHandled}`,
        );
      this.#userHandled += 1;
      const index = Buffer.alloc(4);
      index.writeUInt32BE(message.message);
      connection.send(frameOf("m", index)).catch(() => {
        // The connection is closing.
        this.#lost += 1;
      });
      return glisten.continue(count);
    }
    const { data } = message;
    const wrong = differsAt(`${this.name}>`, this.#handled, data);
    if (wrong >= 0)
      this.#world.fail("bytes are the peer's", `${this.name} differs at byte ${wrong} in the loop`);
    this.#handled += data.length;
    const { server: plan } = this.plan;
    if (plan.answerMs < 0 && !plan.awaitsSends) return this.#answer(count, data, connection);
    this.#busy = true;
    const wait = plan.answerMs > 0 ? this.#world.sleep(plan.answerMs) : Promise.resolve();
    return wait.then(async () => {
      const next = this.#answer(count, data, connection);
      if (plan.awaitsSends) await this.#lastSend.catch(() => {});
      this.#rest();
      return next;
    });
  }

  #rest(): void {
    this.#busy = false;
    this.#restsSince = this.#world.time.elapsed;
  }

  #lastSend: Promise<void> = Promise.resolve();

  #answer(count: number, data: Buffer, connection: Connection): Loop {
    const { server: plan } = this.plan;
    const index = this.#packets++;
    if (index === plan.failsAt) {
      this.#busy = false;
      throw this.#planned("loop");
    }
    if (index === plan.stopsAt) {
      this.#reasons.add("normal");
      this.#serverEnds = true;
      return glisten.stop();
    }
    if (index === plan.stopsAbnormallyAt) return glisten.stopAbnormal(this.#planned("stopAbnormal"));
    if (index === plan.resetsAt) {
      this.#reasons.add("normal");
      this.#serverEnds = true;
      connection.reset();
      return glisten.continue(count);
    }
    this.#lastSend = connection.send(frameOf("e", data));
    if (index === plan.endsAt) {
      this.#serverEnds = true;
      connection.end();
    }
    return glisten.continue(count + 1);
  }

  onShutdown(count: number): Loop | Promise<Loop> {
    this.#toldToStop = true;
    const { onShutdown } = this.plan.server;
    if (this.#facts.drainAt === undefined)
      this.#world.fail("reasons are true", `${this.name}: shutdown without a stop`);
    this.#world.log(this.name, `told of the stop: ${onShutdown}`);
    if (onShutdown === "go-on") return glisten.continue(count);
    this.#serverEnds = true;
    return onShutdown === "stop" ? glisten.stop() : this.#world.sleep(200).then(() => glisten.stop());
  }

  onClose(reason: glisten.CloseReason): unknown {
    const now = this.#world.time.elapsed;
    this.#closes += 1;
    this.#toldAt = this.#world.time.elapsed;
    this.#world.log(this.name, `onClose: ${JSON.stringify({ ...reason, error: undefined })}`);
    if (this.#closes > 1) this.#world.fail("one onClose per init", `${this.name}: called again`);
    this.#judgeReason(reason);
    const { drainAt = now } = this.#facts;
    const isDeaf =
      reason.type === "killed" &&
      this.plan.server.onShutdown === "stop" &&
      !this.#toldToStop &&
      this.#link?.finAt === undefined;
    if (isDeaf && !this.#busy && now > Math.max(drainAt, this.#restsSince) + 300)
      this.#world.fail("connections hear of the stop", this.name);
    const { closeMs, closeFails } = this.plan.server;
    if (closeMs < 0 && !closeFails) return undefined;
    return this.#world.sleep(Math.max(0, closeMs)).then(() => {
      if (closeFails) throw this.#planned("onClose");
    });
  }

  #judgeReason(reason: glisten.CloseReason): void {
    const { link, facts } = { link: this.#link, facts: this.#facts };
    const now = this.#world.time.elapsed;
    const isTrue = (): boolean => {
      switch (reason.type) {
        case "normal":
          return (
            !facts.drains((link?.finAt ?? link?.endSeenAt ?? now) - 1) &&
            (this.#reasons.has("normal") || link?.finAt !== undefined || link?.brokenAt !== undefined)
          );
        case "handler":
          return this.failures.includes(reason.error);
        case "reset":
          return link?.brokenAt !== undefined;
        case "shutdown":
          return facts.drains(now);
        case "killed":
          return facts.mayKill(now);
        case "deadline":
          return this.#isLate(reason.deadline, now);
        default:
          return false;
      }
    };
    if (!isTrue()) this.#world.fail("reasons are true", `${this.name}: ${JSON.stringify(reason)}`);
  }

  #isLate(deadline: string, now: number): boolean {
    const { link, facts } = { link: this.#link, facts: this.#facts };
    if (deadline === "init") return this.plan.server.initMs >= facts.deadline("initTimeoutMs");
    if (deadline !== "send" || link === undefined) return false;
    const { minSendRate = 0 } = facts.deadlines;
    const isSlow =
      link.bytesPerSecond < 4 * minSendRate + 1000 || link.stalledMs > 0 || link.brokenAt !== undefined;
    return isSlow && now - this.plan.atMs >= Math.min(facts.deadline("sendMs"), facts.deadline("stallMs"));
  }

  // ── the client ──────────────────────────────────────────────────────────────────────────────────────────

  /** Whether the server may still have this connection at that instant. */
  mayLive(at: number): boolean {
    const { server } = this.plan;
    // Its onClose takes its time, or it has yet to handle what came.
    if (this.#toldAt + Math.max(0, server.closeMs) + 1 >= at) return true;
    if (this.#handled < (this.#link?.delivered ?? 0)) return true;
    return mayLive(
      this.#link,
      at,
      Math.max(0, server.closeMs) + Math.max(0, server.answerMs) + Math.max(0, server.initMs),
    );
  }

  /** Whether its connection never ends by itself. */
  isHeld(): boolean {
    const { finAt, open } = this.#link ?? { finAt: 0, open: false };
    return (
      open &&
      finAt === undefined &&
      this.#inits > 0 &&
      this.#closes === 0 &&
      !this.#serverEnds &&
      this.plan.server.onShutdown === "go-on"
    );
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
    this.#connectedAt = world.time.elapsed;
    for (const step of this.plan.steps) {
      if (!link.open || link.endSeenAt !== undefined) break;
      await this.#step(step, link);
    }
    if (link.open) link.end();
    await this.#until(() => link.endSeenAt !== undefined);
  }

  async #step(step: TcpStep, link: Link): Promise<void> {
    switch (step.type) {
      case "send":
        link.send(contentOf(`${this.name}>`, link.sent, link.sent + step.size), () => this.#judgeHeld());
        return;
      case "await":
        await this.#until(() => this.#echoed >= link.sent);
        return;
      case "stay":
        await this.#until(() => link.endSeenAt !== undefined);
        return;
      case "pause":
        await this.#world.sleep(step.ms);
        return;
      case "stall":
        link.stall(step.ms);
        return;
      case "end":
        link.end();
        return;
      case "reset":
        link.break("reset");
    }
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done() && !this.#over && this.#link?.endSeenAt === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #judgeHeld(): void {
    // What comes when the connection is closing is dropped.
    if (this.#closes > 0 || this.#serverEnds) return;
    const held = (this.#link?.delivered ?? 0) - this.#handled;
    if (held > this.#heldLimit)
      this.#world.fail("held bytes stay within limits", `${this.name}: ${held} bytes`);
  }

  received(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    for (;;) {
      const held = this.#received;
      if (held.length < 5) break;
      const length = held.readUInt32BE(1);
      if (held.length < 5 + length) break;
      this.#received = held.subarray(5 + length);
      this.#frame(String.fromCharCode(held[0] as number), held.subarray(5, 5 + length));
    }
    this.#judgeHeld();
    this.#wake();
  }

  #frame(type: string, payload: Buffer): void {
    if (type === "e") {
      const wrong = differsAt(`${this.name}>`, this.#echoed, payload);
      if (wrong >= 0)
        this.#world.fail("bytes are the handler's", `${this.name}: the echo differs at byte ${wrong}`);
      this.#echoed += payload.length;
    } else if (type === "g") {
      this.#greeted += 1;
      if (differsAt(`${this.name}g`, 0, payload) >= 0 || this.#greeted > 1 || this.#echoed > 0)
        this.#world.fail("bytes are the handler's", `${this.name}: the greeting`);
    } else if (type === "m") {
      if (payload.readUInt32BE(0) !== this.#messages)
        this.#world.fail(
          "messages in order, none twice",
          `${this.name}: ${payload.readUInt32BE(0)} is message ${this.#messages}`,
        );
      this.#messages += 1;
    } else this.#world.fail("bytes are the handler's", `${this.name}: a frame ${type}`);
  }

  ended(): void {
    this.#judgeEnd();
    this.#link?.end();
    this.#wake();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#world.over();
    if (this.#link?.endSeenAt === this.#link?.closedAt) this.#judgeEnd();
    this.#wake();
  }

  /** A connection that waits for an acceptor gets one when those before it are initialised. */
  #judgeOpening(link: Link, now: number): void {
    const { facts } = { facts: this.#facts };
    if (this.#created > 0 || facts.mayRefuse || facts.crashes > 0) return;
    const until = Math.min(facts.drainAt ?? now, link.finAt ?? now, link.brokenAt ?? now);
    const waited = until - this.#connectedAt;
    if (waited > this.initsMs + 300)
      this.#world.fail("every connection is opened", `${this.name}: not in ${waited} ms`);
  }

  /** A client that has hung up, and whose bytes are answered, is not kept. */
  #judgeLate(link: Link, now: number): void {
    if (
      link.finAt === undefined ||
      this.#busy ||
      link.isSlow ||
      link.stalledMs > 0 ||
      this.#inits === 0 ||
      this.failures.length > 0
    )
      return;
    const due = Math.max(link.finAt, this.#restsSince);
    if (now > due + 600)
      this.#world.fail("connections end in time", `${this.name}: ${now - due} ms behind its FIN`);
  }

  /** The server has ended the connection: everything must be there, or have its reason for not being. */
  #judgeEnd(): void {
    const { link, facts } = { link: this.#link as Link, facts: this.#facts };
    const now = this.#world.time.elapsed;
    this.#judgeLate(link, now);
    this.#judgeOpening(link, now);
    if (link.brokenAt !== undefined || facts.mayKill(now) || this.#serverEnds || this.failures.length > 0)
      return;
    if (facts.mayRefuse && this.#created === 0) return;
    if (this.plan.server.initMs >= facts.deadline("initTimeoutMs")) return;
    const isSlow = link.isSlow || link.stalledMs > 0;
    if (
      isSlow &&
      now >= Math.min(facts.deadline("sendMs"), facts.deadline("stallMs"), facts.deadline("lingerMs"))
    )
      return;
    if (this.#created === 0 && facts.drainAt !== undefined) return;
    if (link.finAt === undefined) {
      this.#world.fail("connections end for a reason", `${this.name}: at ${now}`);
      return;
    }
    if (this.#echoed !== link.delivered)
      this.#world.fail("every byte is answered", `${this.name}: ${this.#echoed} of ${link.delivered}`);
    if (this.#greeted !== (this.plan.server.greeting > 0 ? 1 : 0))
      this.#world.fail("every byte is answered", `${this.name}: no greeting`);
    if (this.#messages !== this.#userHandled - this.#lost)
      this.#world.fail(
        "every byte is answered",
        `${this.name}: ${this.#messages} of ${this.#userHandled} messages`,
      );
  }
}

function frameOf(type: string, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + payload.length);
  frame[0] = type.charCodeAt(0);
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, 5);
  return frame;
}
