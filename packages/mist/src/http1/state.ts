/**
 * The states of one connection, and every step that changes them: what is not in these tables cannot
 * happen. connection.ts takes the steps.
 *
 * # Theory of operation
 *
 * A connection is two machines side by side: the READER follows the peer's requests, the WRITER
 * follows our answers. One request and its answer are a cycle.
 *
 *               head              body end           next cycle
 *   reader  IDLE ────► BODY ──────────────► DONE ───────────────► IDLE
 *            │  └──────── no body ───────────▲
 *            │ peer's end, or the last cycle is over      upgrade: DONE ► SWITCHED
 *            └──► CLOSED                                  any fault: ► ERROR ► CLOSED
 *
 *               request head        head out           end           next cycle
 *   writer  IDLE ────────► HEAD ─────────────► BODY ─────────► DONE ──────────► IDLE
 *                                                               upgrade: HEAD ► SWITCHED
 *                                                               any fault: ► BROKEN
 *
 * The machines meet in three places only:
 *
 * - a request head arrives        reader leaves IDLE, writer goes IDLE → HEAD
 * - both are DONE                 a new cycle, or the end, by persistence (RFC 9112 §9.3)
 * - an upgrade is accepted        both SWITCHED; what is left in the buffer belongs to the new protocol
 *
 * A reader in ERROR parses nothing more, ever: after a framing fault nobody knows where the next
 * request starts, and guessing is request smuggling. The writer may still say why (one head, with
 * `connection: close`), and so goes from IDLE to HEAD on the fault.
 */

/** Room for one row of a table: no machine has more steps. */
const WIDTH = 8;

// --- the reader ----------------------------------------------------------------------------------

/** Reader states. Numbers, so that a step is one load from a flat table. */
export const R_IDLE = 0;
export const R_BODY = 1;
export const R_DONE = 2;
export const R_SWITCHED = 3;
export const R_CLOSED = 4;
export const R_ERROR = 5;

/** Reader steps. */
export const HEAD_WITH_BODY = 0;
export const HEAD_ALONE = 1;
export const BODY_END = 2;
export const READ_NEXT_CYCLE = 3;
export const LAST_CYCLE_OVER = 4;
export const PEER_END = 5;
export const READ_UPGRADE = 6;
export const READ_FAULT = 7;

const READER = transitions([
  [R_IDLE, HEAD_WITH_BODY, R_BODY],
  [R_IDLE, HEAD_ALONE, R_DONE],
  [R_IDLE, PEER_END, R_CLOSED],
  [R_IDLE, LAST_CYCLE_OVER, R_CLOSED],
  [R_IDLE, READ_FAULT, R_ERROR],
  [R_BODY, BODY_END, R_DONE],
  [R_BODY, LAST_CYCLE_OVER, R_CLOSED],
  [R_BODY, READ_FAULT, R_ERROR],
  [R_DONE, READ_NEXT_CYCLE, R_IDLE],
  [R_DONE, LAST_CYCLE_OVER, R_CLOSED],
  [R_DONE, READ_UPGRADE, R_SWITCHED],
  [R_CLOSED, LAST_CYCLE_OVER, R_CLOSED],
  [R_ERROR, LAST_CYCLE_OVER, R_CLOSED],
]);

/** The reader's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function readerAfter(state: number, step: number): number {
  return READER[state * WIDTH + step] ?? impossible("reader", state, step);
}

// --- the writer ----------------------------------------------------------------------------------

/** Writer states. */
export const W_IDLE = 0;
export const W_HEAD = 1;
export const W_BODY = 2;
export const W_DONE = 3;
export const W_SWITCHED = 4;
export const W_BROKEN = 5;

/** Writer steps. */
export const REQUEST = 0;
export const FAULT_ANSWER_DUE = 1;
export const HEAD_SENT = 2;
export const BODY_SENT = 3;
export const WRITE_NEXT_CYCLE = 4;
export const WRITE_UPGRADE = 5;
export const WRITE_FAULT = 6;

const WRITER = transitions([
  [W_IDLE, REQUEST, W_HEAD],
  [W_IDLE, FAULT_ANSWER_DUE, W_HEAD],
  [W_IDLE, WRITE_FAULT, W_BROKEN],
  [W_HEAD, FAULT_ANSWER_DUE, W_HEAD],
  [W_HEAD, HEAD_SENT, W_BODY],
  [W_HEAD, WRITE_UPGRADE, W_SWITCHED],
  [W_HEAD, WRITE_FAULT, W_BROKEN],
  [W_BODY, FAULT_ANSWER_DUE, W_BODY],
  [W_BODY, BODY_SENT, W_DONE],
  [W_BODY, WRITE_FAULT, W_BROKEN],
  [W_DONE, FAULT_ANSWER_DUE, W_DONE],
  [W_DONE, WRITE_NEXT_CYCLE, W_IDLE],
  [W_DONE, WRITE_FAULT, W_BROKEN],
  [W_BROKEN, FAULT_ANSWER_DUE, W_BROKEN],
  [W_BROKEN, WRITE_FAULT, W_BROKEN],
]);

/** The writer's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function writerAfter(state: number, step: number): number {
  return WRITER[state * WIDTH + step] ?? impossible("writer", state, step);
}

/** What the writer is doing, for messages. */
export function writerStateName(state: number): string {
  return ["not due", "due", "in its body", "complete", "switched to another protocol", "broken off"][
    state
  ] as string;
}

function transitions(
  rows: readonly (readonly [from: number, step: number, to: number])[],
): readonly (number | undefined)[] {
  const table = new Array<number | undefined>(6 * WIDTH).fill(undefined);
  for (const [from, step, to] of rows) table[from * WIDTH + step] = to;
  return table;
}

function impossible(machine: string, state: number, step: number): never {
  throw new Error(`the ${machine} cannot take step ${step} in state ${state}`);
}
