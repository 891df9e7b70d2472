/**
 * The state of one connection: everything that changes it stands in this file.
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
 * The machines meet in three places only, and those are the functions below the tables:
 *
 * - a request head arrives        reader leaves IDLE, writer goes IDLE → HEAD
 * - both are DONE                 a new cycle, or the end, by persistence (RFC 9112 §9.3)
 * - an upgrade is accepted        both SWITCHED; what is left in the buffer belongs to the new protocol
 *
 * A reader in ERROR parses nothing more, ever: after a framing fault nobody knows where the next
 * request starts, and guessing is request smuggling. The writer may still say why (one head, with
 * `connection: close`), and so goes from IDLE to HEAD on the fault.
 */

export type ReaderState = "idle" | "body" | "done" | "switched" | "closed" | "error";
export type WriterState = "idle" | "head" | "body" | "done" | "switched" | "broken";

export type ReaderStep =
  | "head"
  | "head-only"
  | "body-end"
  | "next-cycle"
  | "last-cycle"
  | "end"
  | "upgrade"
  | "fault";
export type WriterStep = "request" | "fault-answer" | "head" | "end" | "next-cycle" | "upgrade" | "fault";

const READER: Readonly<Record<ReaderState, Partial<Record<ReaderStep, ReaderState>>>> = {
  idle: { head: "body", "head-only": "done", end: "closed", "last-cycle": "closed", fault: "error" },
  body: { "body-end": "done", "last-cycle": "closed", fault: "error" },
  done: { "next-cycle": "idle", "last-cycle": "closed", upgrade: "switched", fault: "error" },
  switched: {},
  closed: { "last-cycle": "closed" },
  error: { "last-cycle": "closed", fault: "error" },
};

const WRITER: Readonly<Record<WriterState, Partial<Record<WriterStep, WriterState>>>> = {
  idle: { request: "head", "fault-answer": "head", fault: "broken" },
  head: { "fault-answer": "head", head: "body", upgrade: "switched", fault: "broken" },
  body: { "fault-answer": "body", end: "done", fault: "broken" },
  done: { "fault-answer": "done", "next-cycle": "idle", fault: "broken" },
  switched: {},
  broken: { "fault-answer": "broken", fault: "broken" },
};

/** The reader's next state, or `undefined` when the step is not allowed in this one. */
export function readerAfter(state: ReaderState, step: ReaderStep): ReaderState | undefined {
  return READER[state][step];
}

/** The writer's next state, or `undefined` when the step is not allowed in this one. */
export function writerAfter(state: WriterState, step: WriterStep): WriterState | undefined {
  return WRITER[state][step];
}
