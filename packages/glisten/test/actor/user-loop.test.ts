import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type ExitReason,
  killedExit,
  type LoopHost,
  type LoopResult,
  type MailboxLimits,
  MailboxOverflowError,
  continue as next,
  normalExit,
  stop,
  UserLoop,
  type UserResult,
} from "../../src/actor/index.ts";
import { type VirtualClock, virtualClock } from "../../src/testing/index.ts";

type State = readonly string[];

/** A host that notes what it is asked and told, and whose user notes in the state what it handles. */
class Host implements LoopHost<State, string, number, string> {
  readonly told: string[] = [];
  readonly closes: [State, string][] = [];
  readonly user: UserLoop<State, string, number, string>;
  init: () => State | Promise<State> = () => [];
  handle: (state: State, message: string | number) => UserResult<State, number> = (state, message) =>
    next([...state, String(message)]);
  onShutdown: (state: State, deadlineMs: number) => UserResult<State, number> = (state, deadlineMs) =>
    next([...state, `shutdown ${deadlineMs}`]);
  close: (state: State, reason: string) => unknown = () => undefined;
  /** What `onEnd` answers. */
  reason: string | undefined = "of its own";

  constructor(limits: MailboxLimits = {}) {
    this.user = new UserLoop<State, string, number, string>(this, limits);
  }

  start(): void | Promise<void> {
    return this.user.start(this.init, this);
  }

  onMessage(state: State, message: string): UserResult<State, number> {
    return this.handle(state, message);
  }

  onUserMessage(state: State, message: number): UserResult<State, number> {
    return this.handle(state, message);
  }

  onClose(state: State, reason: string): unknown {
    this.closes.push([state, reason]);
    return this.close(state, reason);
  }

  onEnd(exit: ExitReason, begun: boolean): string | undefined {
    this.told.push(`${exit.type} ${begun}`);
    return this.reason;
  }

  onFault(error: unknown): void {
    this.told.push(`fault ${(error as Error).message}`);
  }
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((yes) => {
    resolve = yes;
  });
  return { promise, resolve };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("messages that come before the loop runs", () => {
  it.each(["at once", "later"])(
    "are handled in order, ahead of any answer; init is done %s",
    async (when) => {
      const host = new Host();
      const seen: unknown[] = [];
      host.init = () => {
        for (const message of [1, 2]) host.user.subject.send(message);
        return when === "later" ? turn().then(() => []) : [];
      };
      host.handle = (_state, message) => {
        seen.push(message);
        if (message === 1) host.user.subject.send(3);
        return undefined;
      };
      await host.start();
      expect(seen).toEqual([1, 2, 3]);
    },
  );

  it("are bounded, and dropped as the policy says", async () => {
    const host = new Host({ maxMailbox: 2, overflow: "drop-oldest" });
    host.init = async () => {
      for (const message of [1, 2, 3, 4]) host.user.subject.send(message);
      return [];
    };
    await host.start();
    host.user.stop(normalExit);
    expect(host.closes).toEqual([[["3", "4"], "of its own"]]);
  });

  it("end the loop when they overflow; the state that comes late is still closed", async () => {
    const host = new Host({ maxMailbox: 1 });
    const ends: ExitReason[] = [];
    host.onEnd = (exit, begun) => {
      expect(begun).toBe(false);
      ends.push(exit);
      return "overflow";
    };
    const first = deferred<State>();
    host.init = () => first.promise;
    const starting = host.start();
    for (const message of [1, 2]) host.user.subject.send(message);
    expect(ends).toEqual([{ type: "abnormal", error: expect.any(MailboxOverflowError) }]);
    first.resolve(["late"]);
    await starting;
    expect(host.closes).toEqual([[["late"], "overflow"]]);
  });

  it("wait with their deliverer", async () => {
    const host = new Host();
    const first = deferred<State>();
    host.init = () => first.promise;
    void host.start();
    const delivered = host.user.deliver("packet");
    const shutdown = host.user.shutdown(7);
    expect([delivered, shutdown]).toEqual([expect.any(Promise), expect.any(Promise)]);
    first.resolve([]);
    await Promise.all([delivered, shutdown]);
    host.user.stop(normalExit);
    expect(host.closes).toEqual([[["packet", "shutdown 7"], "of its own"]]);
  });
});

describe("the end", () => {
  let clock: VirtualClock;
  beforeEach(() => {
    clock = virtualClock();
  });
  afterEach(() => clock[Symbol.dispose]());

  it("by its own answer: onEnd, then onClose with the last state", () => {
    const host = new Host();
    void host.start();
    void host.user.deliver("a");
    host.handle = () => stop();
    void host.user.deliver("b");
    expect(host.told).toEqual(["normal true"]);
    expect(host.closes).toEqual([[["a"], "of its own"]]);
    expect(host.user.close("closed", normalExit)).toBeUndefined();
    expect(host.closes).toHaveLength(1);
  });

  it("waits for the host's reason, if onEnd gives none", () => {
    const host = new Host();
    host.reason = undefined;
    void host.start();
    host.user.stop(normalExit);
    expect(host.closes).toEqual([]);
    void host.user.close("reset", normalExit);
    void host.user.close("again", normalExit);
    expect(host.closes).toEqual([[[], "reset"]]);
  });

  it("lets the handler at work finish, hands it the last message and nothing else", async () => {
    const host = new Host();
    void host.start();
    const work = deferred<LoopResult<State, number>>();
    host.handle = () => work.promise;
    void host.user.deliver("first");
    void host.user.deliver("second");
    host.user.subject.send(3);
    const ending = host.user.close("gone", normalExit, "closed");
    expect(ending).toBeInstanceOf(Promise);
    host.handle = (state, message) => next([...state, String(message)]);
    work.resolve(next(["first"]));
    await ending;
    expect(host.closes).toEqual([[["first", "closed"], "gone"]]);
    expect(clock.pendingTimers).toEqual([]);
  });

  it("leaves a handler behind that outlives its grace of 5 seconds", async () => {
    const host = new Host();
    void host.start();
    host.handle = () => new Promise(() => {});
    void host.user.deliver("hang");
    const ending = host.user.close("gone", normalExit);
    await clock.advance(4_999);
    expect(host.closes).toEqual([]);
    await clock.advance(1);
    await ending;
    expect(host.closes).toEqual([[[], "gone"]]);
  });

  it("leaves it behind at once when it is killed", () => {
    const host = new Host();
    void host.start();
    host.handle = () => new Promise(() => {});
    void host.user.deliver("hang");
    expect(host.user.close("killed", killedExit)).toBeUndefined();
    expect(host.closes).toEqual([[[], "killed"]]);
  });

  it("is not held up by an init that is pending; what that makes is still closed", async () => {
    const host = new Host();
    const first = deferred<State>();
    host.init = () => first.promise;
    const starting = host.start();
    expect(host.user.close("gone", normalExit, "closed")).toBeUndefined();
    first.resolve(["late"]);
    await starting;
    expect(host.closes).toEqual([[["late", "closed"], "gone"]]);
  });

  it("has no onClose when init failed", async () => {
    const host = new Host();
    host.init = () => Promise.reject(new Error("init"));
    await host.start();
    void host.user.close("gone", normalExit);
    expect(host.told).toEqual(["abnormal false"]);
    expect(host.closes).toEqual([]);
  });

  it("is waited for until onClose is done, which may fail", async () => {
    const host = new Host();
    void host.start();
    host.close = () => Promise.reject(new Error("close"));
    const ending = host.user.close("gone", normalExit);
    expect(host.user.ending).toBe(ending);
    await ending;
    expect(host.told).toEqual(["normal true", "fault close"]);
  });

  it("closes the subject, also one that is asked for later", () => {
    const host = new Host();
    void host.start();
    host.user.stop(normalExit);
    const downs: unknown[] = [];
    host.user.subject.monitor?.((down) => downs.push(down.reason));
    expect(downs).toEqual([normalExit]);
  });
});
