import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteQueue } from "../../src/transport/byte-queue.ts";

it("gives out what was put in, in order, whatever the pieces", () => {
  const step = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => ({ push: Buffer.from(bytes) })),
    fc.nat(25).map((take) => ({ take })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new ByteQueue();
      const [pushed, taken]: [Buffer[], Buffer[]] = [[], []];
      for (const each of steps) {
        if ("push" in each) {
          queue.push(each.push);
          pushed.push(each.push);
        } else if (each.take <= queue.length) {
          const length = queue.length;
          const bytes = queue.take(each.take);
          expect(bytes.length).toBe(each.take === 0 ? length : each.take);
          taken.push(bytes);
        }
      }
      taken.push(queue.take(0));
      expect(queue.length).toBe(0);
      expect(Buffer.concat(taken)).toEqual(Buffer.concat(pushed));
    }),
  );
});

it("does not copy a chunk that is taken whole", () => {
  const queue = new ByteQueue();
  const chunk = Buffer.from("chunk");
  queue.push(chunk);
  expect(queue.take(0).buffer).toBe(chunk.buffer);
});

it("forgets when told to", () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from("chunk"));
  queue.clear();
  expect([queue.length, queue.take(0).length]).toEqual([0, 0]);
});
