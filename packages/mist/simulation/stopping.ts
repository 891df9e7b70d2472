// How a server of a run ends, and what must hold of every stop.

import type { ServerFacts } from "./facts.ts";
import type { Crash, Stop } from "./scenario.ts";
import type { World } from "./world.ts";

interface Report {
  readonly drained: number;
  readonly killed: number;
  readonly byKind: Readonly<Record<string, { readonly drained: number; readonly killed: number }>>;
}

/** A running server, of glisten's or mist's. */
export interface Stoppable {
  readonly closed: Promise<{ readonly type: string }>;
  readonly stopping: AbortSignal;
  info(): {
    readonly connections: number;
    readonly accepted: number;
    readonly states: Readonly<Record<string, number>>;
  };
  stop(options?: { readonly deadlineMs?: number; readonly delayMs?: number }): Promise<Report>;
  kill(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Supervised {
  which(id: string): { kill(): void; stop(): Promise<unknown> } | undefined;
}

/** How much later than its deadline a stop may be over. */
const slackMs = 600;
/** `stopDeadlineMs` when nobody says. */
const defaultDeadlineMs = 10_000;

/** Ends parts of the server's own tree. */
export function runCrashes(
  world: World,
  crashes: readonly Crash[],
  supervisor: unknown,
  facts: ServerFacts,
): void {
  for (const { atMs, child, how } of crashes) {
    world.after(atMs, () => {
      if (facts.stopCalledAt !== undefined) return;
      const found = (supervisor as Supervised).which(child);
      world.log("server", `${how} ${child}: ${found === undefined ? "not there" : "done"}`);
      facts.crashes += 1;
      if (how === "kill") found?.kill();
      else void found?.stop();
    });
  }
}

/** Ends the server when the plan says so, and judges how that went. */
export function stopServer(
  world: World,
  name: string,
  server: Stoppable,
  stop: Stop,
  facts: ServerFacts,
  clients: readonly { mayLive(at: number): boolean; isHeld(): boolean }[],
  closed: () => void,
): void {
  const { time } = world;
  let isClosed = false;
  let reported = 0;
  let asked = 0;
  let calledAt = 0;
  let before = { connections: 0, accepted: 0 };
  /** Whether somebody was held at the deadline who never ends by himself. */
  let isHeld = false;
  const judge = (report: Report): void => {
    reported += 1;
    const now = time.elapsed;
    world.log(name, `stopped: ${report.drained} drained, ${report.killed} killed`);
    if (!isClosed) world.fail("stop reports the truth", "it resolved before the server was closed");
    const kinds = Object.values(report.byKind);
    const sum = (what: "drained" | "killed"): number => kinds.reduce((total, kind) => total + kind[what], 0);
    if (sum("drained") !== report.drained || sum("killed") !== report.killed)
      world.fail("stop reports the truth", `byKind does not add up: ${JSON.stringify(report)}`);
    if (report.killed > 0 && now < facts.deadlineAt - 1)
      world.fail(
        "stop reports the truth",
        `${report.killed} killed ${facts.deadlineAt - now} ms before the deadline`,
      );
    if (isHeld && report.killed === 0)
      world.fail("stop reports the truth", "none killed, and there was one that never ends");
    const living = clients.filter((client) => client.mayLive(facts.deadlineAt)).length;
    if (report.killed > living)
      world.fail(
        "stop kills what is left and nothing else",
        `${report.killed} killed, and ${living} clients may have been there`,
      );
    const came = server.info().accepted - before.accepted;
    const total = report.drained + report.killed;
    if (stop.delayMs === 0 && total !== before.connections + came)
      world.fail("stop reports the truth", `${total} connections of ${before.connections} and ${came} more`);
  };
  const begin = (how: Stop["how"], delayMs: number, deadlineMs: number): void => {
    if (isClosed) return;
    const now = time.elapsed;
    world.log(name, `${how}, delay ${delayMs}, deadline ${deadlineMs}`);
    if (facts.stopCalledAt === undefined) {
      before = server.info();
      calledAt = now;
    }
    if (how === "kill") {
      facts.killed(now);
      server.kill();
    } else if (how === "dispose") {
      facts.stopping(now, { delayMs: 0, deadlineMs: defaultDeadlineMs });
      void server[Symbol.asyncDispose]();
    } else {
      facts.stopping(now, { delayMs, deadlineMs });
      asked += 1;
      const at = now + delayMs + deadlineMs;
      world.after(delayMs + deadlineMs, () => {
        if (facts.deadlineAt === at && facts.killedAt === undefined && !isClosed)
          isHeld = clients.some((client) => client.isHeld());
      });
      void server.stop({ delayMs, deadlineMs }).then(judge);
    }
    const isTold = (): void => {
      if (!server.stopping.aborted) world.fail("stop reports the truth", "`stopping` is not aborted");
    };
    // Disposing of a server ends its own client first.
    if (how === "dispose") world.after(0, isTold);
    else isTold();
  };
  world.after(stop.atMs, () => {
    begin(stop.how, stop.delayMs, stop.deadlineMs);
    const { again } = stop;
    if (again !== undefined) world.after(again.afterMs, () => begin(again.how, 0, again.deadlineMs));
  });
  void server.closed.then((reason) => {
    const now = time.elapsed;
    isClosed = true;
    facts.closedAt = now;
    world.over();
    world.log(name, `closed: ${reason.type}`);
    const isExpected = facts.killedAt !== undefined ? ["killed", "shutdown"] : ["shutdown"];
    if (facts.stopCalledAt === undefined)
      world.fail(
        "a server ends when it is stopped",
        `it ended by itself: ${reason.type} ${String((reason as { error?: unknown }).error)}`,
      );
    else if (!isExpected.includes(reason.type))
      world.fail("a server ends when it is stopped", `it ended with ${reason.type}`);
    if (now > facts.deadlineAt + slackMs)
      world.fail(
        "stop meets its deadline",
        `closed ${now - facts.deadlineAt} ms behind it (called at ${calledAt})`,
      );
    const { connections, states } = server.info();
    const left = Object.values(states).reduce((sum, count) => sum + count, 0);
    if (connections !== 0 || left !== 0)
      world.fail("counters are back to zero", `${connections} connections, ${JSON.stringify(states)}`);
    closed();
  });
  world.atEnd(() => {
    if (!isClosed) world.fail("stop meets its deadline", `${name} was never closed`);
    if (reported !== asked) world.fail("nothing waits for ever", `${asked} stops, ${reported} reports`);
  });
}
