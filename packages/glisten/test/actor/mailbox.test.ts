import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Mailbox, type OverflowPolicy } from "../../src/actor/mailbox.ts";
import { Queue } from "../../src/actor/queue.ts";
import { UsageError } from "../../src/errors.ts";

type Step = { readonly type: "offer"; readonly message: number } | { readonly type: "take" | "clear" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("offer" as const), message: fc.nat() }) },
  { weight: 3, arbitrary: fc.constant({ type: "take" as const }) },
  { weight: 1, arbitrary: fc.constant({ type: "clear" as const }) },
);

/** What a mailbox is, in an array. */
class Model {
  messages: number[] = [];
  readonly max: number;
  readonly overflow: OverflowPolicy;

  constructor(max: number, overflow: OverflowPolicy) {
    this.max = max;
    this.overflow = overflow;
  }

  offer(message: number): boolean {
    if (this.messages.length === this.max) {
      if (this.overflow === "stop") return false;
      if (this.overflow === "drop-newest") return true;
      this.messages.shift();
    }
    this.messages.push(message);
    return true;
  }
}

describe("a mailbox", () => {
  it("does what an array with a policy does", () => {
    const policy = fc.constantFrom<OverflowPolicy>("drop-oldest", "drop-newest", "stop");
    const max = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(Number.POSITIVE_INFINITY));
    fc.assert(
      fc.property(policy, max, fc.array(step, { maxLength: 200 }), (overflow, maxMailbox, steps) => {
        const mailbox = new Mailbox<number>({ maxMailbox, overflow });
        const model = new Model(maxMailbox, overflow);
        for (const one of steps) {
          if (one.type === "offer") expect(mailbox.offer(one.message)).toBe(model.offer(one.message));
          else if (one.type === "clear") {
            mailbox.clear();
            model.messages = [];
          } else if (model.messages.length > 0) expect(mailbox.take()).toBe(model.messages.shift());
          expect(mailbox.length).toBe(model.messages.length);
        }
      }),
    );
  });

  it.each([
    [{ maxMailbox: 0 }],
    [{ maxMailbox: -1 }],
    [{ maxMailbox: 1.5 }],
    [{ maxMailbox: Number.NaN }],
    [{ maxMailbox: 1, overflow: "drop" as OverflowPolicy }],
  ])("refuses %o", (limits) => {
    expect(() => new Mailbox(limits)).toThrow(UsageError);
  });

  it("without limits takes everything", () => {
    const mailbox = new Mailbox<number>();
    for (let i = 0; i < 10_000; i += 1) expect(mailbox.offer(i)).toBe(true);
    for (let i = 0; i < 10_000; i += 1) expect(mailbox.take()).toBe(i);
    expect(mailbox.length).toBe(0);
  });
});

describe("a queue", () => {
  it("keeps the order over any run of pushes and shifts", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -60, max: 100 }), { maxLength: 60 }), (runs) => {
        const queue = new Queue<number | undefined>();
        const model: (number | undefined)[] = [];
        let next = 0;
        for (const run of runs) {
          for (let i = 0; i < run; i += 1) {
            const item = next % 7 === 0 ? undefined : next;
            next += 1;
            queue.push(item);
            model.push(item);
          }
          for (let i = 0; i > run && model.length > 0; i -= 1) expect(queue.shift()).toBe(model.shift());
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });
});
