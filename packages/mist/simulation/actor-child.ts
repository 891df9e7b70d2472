// One incarnation of a supervised child: an actor that does what its messages say, and notes it.

import * as actor from "@x/glisten/actor";
import { PlannedError } from "./handlers.ts";
import type { ChildPlan, MessagePlan } from "./scenario.ts";
import type { World } from "./world.ts";

/** A message, as it is sent. */
export interface Sent {
  readonly seq: number;
  readonly plan: MessagePlan;
  readonly reply?: actor.Subject<number> | undefined;
}

/** What a child of a tree can be asked. */
export interface Siblings {
  /** The living incarnation behind this one. */
  after(child: ChildPlan): Incarnation | undefined;
}

/** One life of one child. */
export class Incarnation {
  readonly name: string;
  readonly plan: ChildPlan;
  ref: actor.ActorRef<Sent> | undefined = undefined;
  exit: actor.ExitReason | undefined = undefined;
  exitedAt: number | undefined = undefined;
  /** What it failed with on purpose. */
  readonly failures: unknown[] = [];
  readonly #world: World;
  readonly #siblings: Siblings;
  #inits = 0;
  #closes = 0;
  #downs = 0;
  #sent = 0;
  #handled = 0;
  #last = -1;
  #busy = false;
  /** Handling never ends. */
  #stuck = false;
  #stops = false;
  #overflowed = false;
  #calls = 0;
  #answers = 0;

  constructor(world: World, name: string, plan: ChildPlan, siblings: Siblings) {
    this.#world = world;
    this.name = name;
    this.plan = plan;
    this.#siblings = siblings;
  }

  /** Between `init` and the end. */
  get alive(): boolean {
    return this.#inits > this.#closes;
  }

  async start(): Promise<actor.ActorRef<Sent>> {
    const { initMs, maxMailbox, overflow } = this.plan;
    const world = this.#world;
    const ref = await actor.start<number, Sent>({
      name: this.name,
      maxMailbox,
      overflow,
      init: () => {
        if (initMs < 0) return this.#init();
        return world.sleep(initMs).then(() => this.#init());
      },
      loop: (count, message) => this.#handle(count, message),
      onClose: (_count, reason) => this.#close(reason),
    });
    this.ref = ref;
    ref.monitor(({ reason }) => this.#down(reason));
    void ref.exited.then((reason) => {
      if (reason !== this.exit)
        world.fail(
          "monitors tell the truth",
          `${this.name}: exited says ${reason.type}, the monitor ${this.exit?.type}`,
        );
    });
    return ref;
  }

  #init(): number {
    this.#inits += 1;
    this.#world.log(this.name, "init");
    return 0;
  }

  #close(reason: actor.ExitReason): unknown {
    this.#closes += 1;
    this.#world.log(this.name, `onClose: ${reason.type}`);
    if (this.#closes > 1) this.#world.fail("one onClose per init", `${this.name}: called again`);
    if (this.#busy && !this.#stuck && reason.type !== "killed" && reason.type !== "abnormal")
      this.#world.fail(
        "one message at a time",
        `${this.name}: closes (${reason.type}) while it handles a message`,
      );
    return this.plan.closeMs < 0 ? undefined : this.#world.sleep(this.plan.closeMs);
  }

  #down(reason: actor.ExitReason): void {
    this.#downs += 1;
    this.exit = reason;
    this.exitedAt = this.#world.time.elapsed;
    this.#world.over();
    this.#world.log(this.name, `down: ${reason.type}`);
    if (this.#downs > 1) this.#world.fail("monitors tell the truth", `${this.name}: down twice`);
    const isTrue =
      reason.type === "abnormal"
        ? this.failures.includes(reason.error) || (reason.error as Error).name === "MailboxOverflowError"
        : reason.type === "normal"
          ? this.#stops
          : true;
    if (!isTrue)
      this.#world.fail(
        "reasons are true",
        `${this.name}: ${reason.type} ${String((reason as { readonly error?: unknown }).error)}`,
      );
    if (reason.type === "abnormal" && (reason.error as Error).name === "MailboxOverflowError") {
      this.#overflowed = true;
      const { maxMailbox, overflow } = this.plan;
      if (maxMailbox === undefined || overflow !== "stop")
        this.#world.fail("reasons are true", `${this.name}: overflow, and its mailbox has no such bound`);
    }
  }

  /** Sends it what a plan says. */
  send(plan: MessagePlan): void {
    const { ref } = this;
    if (ref === undefined || this.exit !== undefined) return;
    const seq = this.#sent++;
    if (plan.does !== "call" && plan.does !== "call-late") {
      ref.subject.send({ seq, plan });
      return;
    }
    const world = this.#world;
    const began = world.time.elapsed;
    this.#calls += 1;
    actor
      .call<Sent, number>(ref.subject, (reply) => ({ seq, plan, reply }), plan.timeoutMs)
      .then(
        (answer) => {
          this.#answers += 1;
          world.log(this.name, `call ${seq} is answered`);
          if (answer !== seq) world.fail("calls are answered", `${this.name}: ${answer} to ${seq}`);
        },
        (error: actor.CallError) => {
          this.#answers += 1;
          const waited = world.time.elapsed - began;
          world.log(this.name, `call ${seq}: ${error.reason}`);
          // Asked to stop, or with a full mailbox, it ends as soon as it has handled what it is at, and nothing else.
          const mayEnd = this.#busy;
          const isTrue =
            error.reason === "timeout"
              ? waited >= plan.timeoutMs && waited <= plan.timeoutMs + 1
              : this.exit !== undefined || !ref.alive || mayEnd;
          if (!isTrue)
            world.fail(
              "calls are answered",
              `${this.name}: ${error.reason} after ${waited} of ${plan.timeoutMs} ms`,
            );
        },
      );
  }

  #handle(
    count: number,
    { seq, plan, reply }: Sent,
  ): actor.Next<number, Sent> | undefined | Promise<actor.Next<number, Sent> | undefined> {
    const world = this.#world;
    if (this.#busy) world.fail("one message at a time", this.name);
    if (this.#closes > 0) world.fail("onClose comes last", this.name);
    if (seq <= this.#last)
      world.fail("messages in order, none twice", `${this.name}: ${seq} behind ${this.#last}`);
    const mayDrop = this.plan.maxMailbox !== undefined && this.plan.overflow !== "stop";
    if (!mayDrop && seq !== this.#last + 1)
      world.fail("messages in order, none twice", `${this.name}: ${seq} behind ${this.#last}`);
    this.#last = seq;
    this.#handled += 1;
    const { handleMs } = this.plan;
    if (handleMs < 0 && plan.does !== "reject" && plan.does !== "never")
      return this.#do(count, seq, plan, reply);
    this.#busy = true;
    if (plan.does === "never") {
      this.#stuck = true;
      return new Promise(() => {});
    }
    return world.sleep(Math.max(0, handleMs)).then(() => {
      this.#busy = false;
      return this.#do(count, seq, plan, reply);
    });
  }

  #do(
    count: number,
    seq: number,
    plan: MessagePlan,
    reply: actor.Subject<number> | undefined,
  ): actor.Next<number, Sent> | undefined {
    switch (plan.does) {
      case "throw":
      case "reject":
        throw this.#planned(plan.does);
      case "stop":
        this.#stops = true;
        return actor.stop();
      case "stop-abnormal":
        return actor.stopAbnormal(this.#planned(plan.does));
      case "call":
        reply?.send(seq);
        break;
      case "call-late":
        this.#world.after(plan.timeoutMs + 5, () => reply?.send(seq));
        break;
      case "forward":
        this.#siblings.after(this.plan)?.send({ ...plan, does: "count" });
        break;
      default:
        break;
    }
    return actor.continue(count + 1);
  }

  #planned(what: string): PlannedError {
    const error = new PlannedError(`${this.name} ${what}`);
    this.failures.push(error);
    return error;
  }

  /** What must hold once all is over. */
  judge(): void {
    const world = this.#world;
    if (this.#inits !== this.#closes)
      world.fail("one onClose per init", `${this.name}: ${this.#inits} inits, ${this.#closes} closes`);
    if (this.ref !== undefined && this.#downs !== 1)
      world.fail("monitors tell the truth", `${this.name}: down ${this.#downs} times`);
    if (this.#answers !== this.#calls)
      world.fail("nothing waits for ever", `${this.name}: ${this.#calls} calls, ${this.#answers} answers`);
    const { maxMailbox, overflow } = this.plan;
    const waits = this.#sent - this.#handled;
    const isBusyAtEnd = this.exit?.type === "killed" || this.exit?.type === "shutdown" || this.#stuck;
    if (this.#handled === 0 && waits > 0 && !isBusyAtEnd && this.exit?.type === "normal")
      world.fail("every message is handled", this.name);
    if (this.#overflowed && maxMailbox !== undefined && waits < maxMailbox && overflow === "stop")
      world.fail("reasons are true", `${this.name}: overflow with ${waits} waiting`);
  }
}
