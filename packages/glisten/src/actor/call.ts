// A request to an actor, and its answer.

import { clock, type Timer } from "../clock.ts";
import { UsageError } from "../errors.ts";
import { checkFunction, shown } from "../option-names.ts";
import type { ExitReason } from "./exit.ts";
import { normalExit } from "./exit.ts";
import type { Unsubscribe } from "./selector.ts";
import { OwnedSubject, type Subject } from "./subject.ts";
import { after } from "./timer.ts";
import { harmless } from "./user-code.ts";

/**
 * Why a {@link call} got no answer.
 *
 * - `timeout`: none came in time. One that comes later is dropped.
 * - `callee-down`: the actor had ended, or ended before it answered; `exit` says why.
 */
export class CallError extends Error {
  override readonly name: string = "CallError";
  /** Whether no answer came in time, or the callee has ended. */
  readonly reason: "timeout" | "callee-down";
  /** Why the callee ended; only with `callee-down`. */
  readonly exit: ExitReason | undefined;

  constructor(reason: "timeout" | "callee-down", message: string, exit?: ExitReason) {
    super(message, exit?.type === "abnormal" ? { cause: exit.error } : undefined);
    this.reason = reason;
    this.exit = exit;
  }
}

/**
 * Sends a request that carries an address for the answer, and waits for it.
 *
 * `timeoutMs` may be `Infinity`. Throws a UsageError for what is no time. Rejects with a {@link CallError}; a promise nobody looks at does no harm.
 *
 * ```ts
 * const count = await call(counter.subject, (reply: Subject<number>) => ({ type: "get", reply }), 100);
 * ```
 */
export function call<Message, Reply>(
  subject: Subject<Message>,
  makeRequest: (reply: Subject<Reply>) => Message,
  timeoutMs: number,
): Promise<Reply> {
  checkFunction("makeRequest", makeRequest);
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new UsageError(`timeoutMs must be a number of at least 0, got ${shown(timeoutMs)}`);
  }
  const answered = new Promise<Reply>((resolve, reject) => {
    let timer: Timer | undefined;
    let unwatch: Unsubscribe | undefined;
    let settled = false;
    const finish = (): void => {
      settled = true;
      clock.clearTimer(timer);
      unwatch?.();
      reply.close(normalExit);
    };
    const reply = new OwnedSubject<Reply>((answer) => {
      finish();
      resolve(answer);
    });
    const fail = (error: CallError): void => {
      finish();
      reject(error);
    };
    const request = makeRequest(reply);
    unwatch = subject.monitor?.(({ reason }) => {
      if (!settled) fail(new CallError("callee-down", `the callee is down (${reason.type})`, reason));
    });
    if (settled) return;
    subject.send(request);
    if (settled) return unwatch?.();
    timer = after(timeoutMs, () => fail(new CallError("timeout", `no answer within ${timeoutMs} ms`)));
  });
  return harmless(answered);
}
