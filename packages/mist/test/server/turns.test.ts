import { describe, expect, test } from "vitest";
import { Turns } from "../../src/server/websocket/turns.ts";

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Asks for turns; `came` lists whose has come. */
function line(turns: Turns, ...bytes: number[]) {
  const came: number[] = [];
  const all = bytes.map((count, index) => {
    const turn = turns.take(count);
    turn.come.then(
      () => came.push(index),
      () => {},
    );
    return turn;
  });
  return { came, all };
}

describe("turns", () => {
  test("come as long as there is room for their bytes, then one by one in order", async () => {
    const { came, all } = line(new Turns(100, 10), 60, 40, 50, 10, 50);
    await tick();
    expect(came).toEqual([0, 1]);
    // The third does not fit yet, and the fourth, which would, does not overtake it.
    all[1]!.end();
    await tick();
    expect(came).toEqual([0, 1]);
    all[0]!.end();
    await tick();
    expect(came).toEqual([0, 1, 2, 3]);
    all[2]!.end();
    await tick();
    expect(came).toEqual([0, 1, 2, 3, 4]);
  });

  test("come no more than so many at once", async () => {
    const { came, all } = line(new Turns(100, 2), 1, 1, 1);
    await tick();
    expect(came).toEqual([0, 1]);
    all[0]!.end();
    await tick();
    expect(came).toEqual([0, 1, 2]);
  });

  test("for more than there ever is room for come when nobody else is at work", async () => {
    const { came, all } = line(new Turns(100, 4), 10, 1000, 10);
    await tick();
    expect(came).toEqual([0]);
    all[0]!.end();
    await tick();
    expect(came).toEqual([0, 1]);
    all[1]!.end();
    await tick();
    expect(came).toEqual([0, 1, 2]);
  });

  test("that are given up make way, and reject", async () => {
    const turns = new Turns(100, 4);
    const { came, all } = line(turns, 100, 100, 100);
    all[1]!.leave();
    await expect(all[1]!.come).rejects.toMatchObject({ name: "TransportError", code: "closed" });
    all[0]!.end();
    await tick();
    expect(came).toEqual([0, 2]);
    expect(turns.waiting).toBe(0);
  });

  test("that have come are not given up: the room is theirs until the work is done", async () => {
    const { came, all } = line(new Turns(100, 4), 100, 100);
    await tick();
    all[0]!.leave();
    await tick();
    expect(came).toEqual([0]);
    all[0]!.end();
    await tick();
    expect(came).toEqual([0, 1]);
  });
});
