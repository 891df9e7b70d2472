import { expect, test } from "vitest";
import { Flow, quietRejection } from "../../src/kit.ts";

test("an unblocked flow has room at once, by one shared promise", async () => {
  const flow = new Flow();
  expect(flow.blocked).toBe(false);
  expect(flow.whenRoom()).toBe(new Flow().whenRoom());
  await flow.whenRoom();
});

test("a blocked flow keeps everyone waiting until it opens", async () => {
  const flow = new Flow();
  flow.block();
  let passed = 0;
  const both = Promise.all([flow.whenRoom(), flow.whenRoom()].map((room) => room.then(() => passed++)));
  await Promise.resolve();
  expect([flow.blocked, passed]).toEqual([true, 0]);
  flow.open();
  await both;
  expect([flow.blocked, passed]).toEqual([false, 2]);
});

test("abandoning rejects those who wait and those who come later", async () => {
  const flow = new Flow();
  flow.block();
  const waiting = flow.whenRoom();
  flow.abandon(() => new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  await expect(flow.whenRoom()).rejects.toThrow("gone");
  flow.block();
  expect([flow.blocked, flow.abandoned]).toEqual([false, true]);
});

test("abandoning makes no error as long as nobody waits", async () => {
  const flow = new Flow();
  let made = 0;
  flow.abandon(() => {
    made += 1;
    return new Error("gone");
  });
  expect(made).toBe(0);
  await expect(flow.whenRoom()).rejects.toThrow("gone");
  expect(made).toBe(1);
});

test("promises nobody looks at do no harm", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", note);
  try {
    const flow = new Flow();
    flow.block();
    void flow.whenRoom();
    flow.abandon(() => new Error("gone"));
    void flow.whenRoom();
    void quietRejection(new Error("refused"));
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("unhandledRejection", note);
  }
  expect(unhandled).toEqual([]);
});
