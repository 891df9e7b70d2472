// One worker process as the primary sees it.

import cluster, { type Worker } from "node:cluster";
import { abnormalExit, type ExitReason, killedExit, shutdownExit } from "../actor/index.ts";
import { ignore, StartError } from "../errors.ts";
import type { StopCount } from "../server/server-interface.ts";
import { closeUnclaimed } from "./handovers.ts";
import { type Answer, type Counters, isOurs, type Order, type WorkerAddress, zeroOf } from "./messages.ts";

/** How much longer than its stop deadline a worker may live: for its cleanup, and to report how its server stopped. */
const graceMs = 2_000;
const infoTimeoutMs = 2_000;

type Ready = Answer & { readonly glisten: "ready" };

/** A forked worker whose server listens. */
export class WorkerProcess {
  readonly address: WorkerAddress;
  /** What its server counts, all at 0. */
  readonly zero: Counters;
  /** Resolves when the process has ended. */
  readonly exited: Promise<ExitReason>;
  /** What its server reported when it stopped; undefined if it ended in another way. */
  report: StopCount | undefined = undefined;
  readonly #worker: Worker;
  readonly #questions = new Map<number, (figures: Counters) => void>();
  #lastQuestion = 0;
  #stopAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined = undefined;

  private constructor(worker: Worker, ready: Ready, exited: Promise<ExitReason>) {
    this.#worker = worker;
    this.address = ready.address;
    this.zero = zeroOf(ready.figures);
    this.exited = exited;
    worker.on("message", (message: unknown) => {
      if (isOurs(message)) this.#hear(message as Answer);
    });
  }

  /**
   * Forks a worker; resolves when its server listens. Rejects with a StartError if it does not come to that: with the
   * signal's own, should it abort with one.
   */
  static start(startTimeoutMs: number, signal: AbortSignal): Promise<WorkerProcess> {
    if (signal.aborted) return Promise.reject(givenUp(signal));
    return new Promise((resolve, reject) => {
      const worker = cluster.fork();
      closeUnclaimed(worker);
      const exited = exitOf(worker);
      const give = (error: Error): void => {
        settle();
        worker.process.kill("SIGKILL");
        reject(error);
      };
      const hear = (message: unknown): void => {
        if (!isOurs(message)) return;
        const answer = message as Answer;
        if (answer.glisten === "failed") give(startError(answer.message));
        if (answer.glisten !== "ready") return;
        settle();
        resolve(new WorkerProcess(worker, answer, exited));
      };
      const gone = (code: number | null, by: string | null): void =>
        give(startError(`it ended with ${by ?? `code ${code}`} before it listened`));
      const aborted = (): void => give(givenUp(signal));
      const timer = setTimeout(() => {
        const message = `A worker could not start: it did not listen within ${startTimeoutMs} ms.`;
        give(new StartError("listener-timeout", { message }));
      }, startTimeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        worker.off("message", hear);
        worker.off("exit", gone);
        signal.removeEventListener("abort", aborted);
      };
      worker.on("message", hear);
      worker.once("exit", gone);
      worker.on("error", ignore); // a channel that breaks is followed by the exit
      signal.addEventListener("abort", aborted);
    });
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  /** Whether it has been told to stop. */
  get stopping(): boolean {
    return this.#stopAt !== Number.POSITIVE_INFINITY;
  }

  /**
   * Drains the worker's server after `delayMs` and ends the process; kills it when it has not ended soon after the
   * deadline. A second call can only make it end sooner.
   */
  stop(deadlineMs: number, delayMs = 0): Promise<ExitReason> {
    this.#say({ glisten: "stop", deadlineMs, delayMs });
    const leftMs = delayMs + deadlineMs;
    const at = performance.now() + leftMs;
    if (at < this.#stopAt) {
      this.#stopAt = at;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.kill(), leftMs + graceMs);
      // It may have ended already.
      void this.exited.then(() => clearTimeout(this.#timer));
    }
    return this.exited;
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  /** The figures of the worker's server; undefined if it does not answer. */
  info(): Promise<Counters | undefined> {
    this.#lastQuestion += 1;
    const id = this.#lastQuestion;
    return new Promise((resolve) => {
      const answered = (figures: Counters | undefined): void => {
        clearTimeout(timer);
        this.#questions.delete(id);
        resolve(figures);
      };
      const timer = setTimeout(() => answered(undefined), infoTimeoutMs);
      void this.exited.then(() => answered(undefined));
      this.#questions.set(id, answered);
      this.#say({ glisten: "info", id });
    });
  }

  #hear(answer: Answer): void {
    if (answer.glisten === "info") this.#questions.get(answer.id)?.(answer.figures);
    if (answer.glisten !== "stopped") return;
    this.report = answer.report;
    this.#say({ glisten: "leave" });
  }

  #say(order: Order): void {
    if (this.#worker.isConnected()) this.#worker.send(order);
  }
}

function exitOf(worker: Worker): Promise<ExitReason> {
  return new Promise((resolve) => {
    worker.once("exit", (code, signal) => {
      // Its last messages may still be in the channel.
      const end = (): void => resolve(reasonOf(code, signal));
      if (worker.isConnected()) worker.once("disconnect", end);
      else end();
    });
  });
}

function startError(why: string): StartError {
  return new StartError("acceptor-failed", { message: `A worker could not start: ${why}` });
}

function givenUp({ reason }: AbortSignal): StartError {
  return reason instanceof StartError ? reason : startError("the cluster was stopped meanwhile.");
}

function reasonOf(code: number | null, signal: string | null): ExitReason {
  if (signal === "SIGKILL") return killedExit;
  return code === 0
    ? shutdownExit
    : abnormalExit(new Error(`a worker ended with ${signal ?? `code ${code}`}`));
}
