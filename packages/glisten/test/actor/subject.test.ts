import { describe, expect, it, vi } from "vitest";
import {
  abnormalExit,
  type ProcessDown,
  ReceiveError,
  type Receiver,
  type Source,
  selector,
  shutdownExit,
  subject,
} from "../../src/actor/index.ts";
import { isSelector, splitInitialised } from "../../src/actor/selector.ts";
import { OwnedSubject } from "../../src/actor/subject.ts";

describe("a free-standing subject", () => {
  it("keeps messages until somebody receives", async () => {
    const it = subject<number>();
    it.send(1);
    it.send(2);
    expect(it.length).toBe(2);
    expect(await it.receive()).toBe(1);
    expect(await it.receive({ timeout: 0 })).toBe(2);
  });

  it("serves waiting receivers in order", async () => {
    const it = subject<number>();
    const answers = Promise.all([it.receive(), it.receive({ timeout: 10_000 })]);
    it.send(1);
    it.send(2);
    expect(await answers).toEqual([1, 2]);
  });

  it("loses nothing after a timeout", async () => {
    const it = subject<number>();
    await expect(it.receive({ timeout: 0 })).rejects.toMatchObject({ reason: "timeout" });
    await expect(it.receive({ timeout: 5 })).rejects.toThrow(ReceiveError);
    it.send(1);
    expect(await it.receive({ timeout: 0 })).toBe(1);
  });

  it("hands what waits to the first subscriber, and every later message to all", () => {
    const it = subject<number>();
    it.send(1);
    const [a, b]: [number[], number[]] = [[], []];
    const leave = it.subscribe((message) => a.push(message));
    it.subscribe((message) => b.push(message));
    it.send(2);
    leave();
    leave();
    it.send(3);
    expect([a, b]).toEqual([
      [1, 2],
      [2, 3],
    ]);
  });

  it("lets a listener come or go while a message is handed out", () => {
    const it = subject<number>();
    const seen: string[] = [];
    const leave = it.subscribe((message) => {
      seen.push(`a${message}`);
      leave();
      it.subscribe((late) => seen.push(`c${late}`));
    });
    it.subscribe((message) => seen.push(`b${message}`));
    it.send(1);
    it.send(2);
    expect(seen).toEqual(["a1", "b1", "b2", "c2"]);
  });

  it("is bounded on request", async () => {
    const it = subject<number>({ maxMailbox: 2, overflow: "drop-oldest" });
    for (const message of [1, 2, 3]) it.send(message);
    expect([await it.receive(), await it.receive()]).toEqual([2, 3]);
    const strict = subject<number>({ maxMailbox: 1, overflow: "stop" });
    strict.send(1);
    strict.send(2);
    await expect(strict.receive()).rejects.toMatchObject({ reason: "closed" });
  });

  it("closed: drops messages, rejects waiting receivers, tells watchers", async () => {
    const it = subject<number>();
    const waiting = it.receive();
    const downs: ProcessDown[] = [];
    it.monitor?.((down) => downs.push(down));
    it.close();
    it.close();
    it.send(1);
    await expect(waiting).rejects.toMatchObject({ reason: "closed" });
    await expect(it.receive()).rejects.toMatchObject({ reason: "closed" });
    expect(it.length).toBe(0);
    expect(downs).toEqual([{ type: "process-down", reason: { type: "normal" }, process: it }]);
  });
});

describe("a subject with an owner", () => {
  it("hands messages to the owner, unless somebody has subscribed", () => {
    const seen: string[] = [];
    const it = new OwnedSubject<number>((message) => seen.push(`owner ${message}`));
    it.send(1);
    const leave = it.subscribe((message) => seen.push(`other ${message}`));
    it.send(2);
    leave();
    it.send(3);
    expect(seen).toEqual(["owner 1", "other 2", "owner 3"]);
  });

  it("whose owner is dead drops messages and answers monitors at once", () => {
    const seen: number[] = [];
    const it = new OwnedSubject<number>((message) => seen.push(message));
    const downs: string[] = [];
    const unwatch = it.monitor(() => downs.push("unwatched"));
    it.monitor((down) => downs.push(down.reason.type));
    unwatch();
    it.close(shutdownExit);
    it.close(abnormalExit("late"));
    it.send(1);
    it.subscribe((message) => seen.push(message))();
    it.monitor((down) => downs.push(`late ${down.reason.type}`));
    expect(seen).toEqual([]);
    expect(downs).toEqual(["shutdown", "late shutdown"]);
  });

  it("never lets the sender fail because of a listener", async () => {
    const raised: unknown[] = [];
    const note = (warning: Error): void => void raised.push(warning);
    process.on("warning", note);
    const it = new OwnedSubject<number>(() => {
      throw new Error("mistake");
    });
    expect(() => it.send(1)).not.toThrow();
    await vi.waitUntil(() => raised.length > 0);
    process.off("warning", note);
    expect(raised).toEqual([new Error("mistake")]);
  });
});

describe("a selector", () => {
  /** A source of another library: it knows nothing of ours. */
  class Foreign<Message> implements Source<Message> {
    readonly receivers = new Set<Receiver<Message>>();
    subscribe(receiver: Receiver<Message>): () => void {
      this.receivers.add(receiver);
      return () => this.receivers.delete(receiver);
    }
    emit(message: Message): void {
      for (const receiver of this.receivers) receiver(message);
    }
  }

  it("hears several sources, each converted", () => {
    const [numbers, texts, flags] = [subject<number>(), new Foreign<string>(), subject<boolean>()];
    const seen: string[] = [];
    const it = selector<string>()
      .selectMap(numbers, (one) => `number ${one}`)
      .select(texts)
      .merge(
        selector<boolean>()
          .select(flags)
          .map((flag) => `flag ${flag}`),
      )
      .map((text) => `${text}!`);
    const leave = it.subscribe((message) => seen.push(message));
    numbers.send(1);
    texts.emit("text");
    flags.send(true);
    leave();
    numbers.send(2);
    texts.emit("late");
    expect(seen).toEqual(["number 1!", "text!", "flag true!"]);
    expect(texts.receivers.size).toBe(0);
    expect(numbers.length).toBe(1);
  });

  it("is a value: select leaves the original as it was", () => {
    const [a, b] = [new Foreign<number>(), new Foreign<number>()];
    const one = selector<number>().select(a);
    one.select(b);
    one.subscribe(() => {});
    expect([a.receivers.size, b.receivers.size]).toEqual([1, 0]);
  });

  it("leaves the sources it had when one cannot be subscribed to", () => {
    const good = new Foreign<number>();
    const bad: Source<number> = {
      subscribe: () => {
        throw new Error("bad");
      },
    };
    expect(() =>
      selector<number>()
        .select(good)
        .select(bad)
        .subscribe(() => {}),
    ).toThrow("bad");
    expect(good.receivers.size).toBe(0);
  });

  it("tells a failing map to onError, through any nesting", () => {
    const source = subject<number>();
    const errors: unknown[] = [];
    const seen: number[] = [];
    const inner = selector<number>().selectMap(source, (message: number) => {
      if (message === 1) throw new Error("one");
      return message;
    });
    selector<number>()
      .select(inner.map((message) => message * 10))
      .subscribe(
        (message) => seen.push(message),
        (error) => errors.push(error),
      );
    source.send(1);
    source.send(2);
    expect(errors).toEqual([new Error("one")]);
    expect(seen).toEqual([20]);
  });

  it("is told apart from a state that is an array", () => {
    const it = selector<number>();
    expect(isSelector(it)).toBe(true);
    expect(isSelector(subject())).toBe(false);
    expect(isSelector(null)).toBe(false);
    expect(splitInitialised<string, number>(["state", it])).toEqual({ state: "state", selector: it });
    expect(splitInitialised<unknown, number>([1, 2])).toEqual({ state: [1, 2], selector: undefined });
    expect(splitInitialised<unknown, number>([[1, 2], it])).toEqual({ state: [1, 2], selector: it });
  });
});
