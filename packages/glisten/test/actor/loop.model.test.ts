import fc from "fast-check";
import { expect, it } from "vitest";
import { continue as next, normalExit } from "../../src/actor/index.ts";
import { Loop } from "../../src/actor/loop.ts";

/** What handling one message does: answers now, after a microtask, or in a later turn; and sends some more. */
type Message = {
  readonly source: string;
  readonly number: number;
  readonly how: "sync" | "microtask" | "turn";
  readonly sends: readonly ("sync" | "microtask" | "turn")[];
};

const how = fc.constantFrom("sync" as const, "microtask" as const, "turn" as const);
const step = fc.oneof(
  fc.record({
    type: fc.constantFrom("deliver" as const, "post" as const),
    how,
    sends: fc.array(how, { maxLength: 3 }),
  }),
  fc.record({ type: fc.constantFrom("turn" as const, "microtask" as const) }),
);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("handles every message once, one at a time, each source's in order, and settles what it promised", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      let inside = false;
      let overlaps = 0;
      let sent = 0;
      let unsettled = 0;
      const numbers = { deliver: 0, post: 0, own: 0 };
      const handled: Record<string, number[]> = { deliver: [], post: [], own: [] };

      const work = (message: Message): void => {
        for (const kind of message.sends) {
          loop.post({ source: "own", number: numbers.own, how: kind, sends: [] });
          numbers.own += 1;
          sent += 1;
        }
      };
      const loop: Loop<number, Message> = new Loop<number, Message>({
        handle: (count, message) => {
          if (inside) overlaps += 1;
          inside = true;
          handled[message.source]?.push(message.number);
          if (message.how === "sync") {
            work(message);
            inside = false;
            return next(count + 1);
          }
          return (async () => {
            await (message.how === "turn" ? turn() : null);
            work(message);
            inside = false;
            return next<number, Message>(count + 1);
          })();
        },
      });

      loop.begin(0);
      for (const one of steps) {
        if (!("how" in one)) await (one.type === "turn" ? turn() : null);
        else {
          const message = { source: one.type, number: numbers[one.type], how: one.how, sends: one.sends };
          numbers[one.type] += 1;
          sent += 1;
          if (one.type === "post") loop.post(message);
          else {
            const promise = loop.deliver(message);
            if (promise === undefined) {
              expect(handled["deliver"]).toContain(message.number);
            } else {
              unsettled += 1;
              void promise.then(() => {
                unsettled -= 1;
                expect(handled["deliver"]).toContain(message.number);
              });
            }
          }
        }
      }
      while (loop.state < sent) await turn();
      await turn();
      expect(overlaps).toBe(0);
      expect(unsettled).toBe(0);
      for (const [source, seen] of Object.entries(handled)) {
        expect(seen).toEqual(Array.from({ length: numbers[source as "own"] }, (_, index) => index));
      }
      loop.stop(normalExit);
    }),
    { numRuns: 300 },
  );
});
