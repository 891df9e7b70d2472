// The state of one HTTP/1 connection, and every step that changes it. What is not in these tables cannot happen:
// connection.ts takes the steps and keeps no flag of its own.
//
// # Theory of operation
//
// Four machines share one alphabet of steps. The READER follows the peer's requests, the WRITER our responses. One
// request with its response is a cycle.
//
//                 request                 body end           next cycle
//   reader  IDLE ─────────► BODY ─────────────────► DONE ───────────────► IDLE
//            │  ├─ expects ► EXPECTING ─ 100, or content ► BODY
//            │  └─ no body ────────────────────────► DONE     upgrade: DONE ► SWITCHED
//            └─ no more requests ► CLOSED                     read fault: ► ERROR
//
//                 request         head sent          body sent        next cycle
//   writer  IDLE ─────────► HEAD ───────────► BODY ───────────► DONE ───────────► IDLE
//                                                             upgrade: HEAD ► SWITCHED
//                                                             broken off: ► BROKEN
//
// PERSISTENCE goes from KEEP to LAST and never back: there is no cycle after this one (RFC 9112 §9.3). The INPUT goes
// from OPEN to ENDED when the peer sends FIN; what it sent before is still read.
//
// The machines meet in three places:
//
// - a request head arrives    the reader leaves IDLE, the writer goes from IDLE to HEAD
// - both are DONE             a new cycle if the connection persists, else the end
// - an upgrade is accepted    both are SWITCHED; the bytes left in the buffer belong to the new protocol
//
// A reader in ERROR parses nothing more: after a framing fault nobody knows where the next request starts, and
// guessing is request smuggling. The writer may still say why, once, and therefore goes from IDLE to HEAD on a fault.

import { IMPOSSIBLE, type State, StateTable, type Step as StepOf } from "../http/state-table.ts";

export type ReaderState = State<"reader">;
export const R_IDLE = 0 as ReaderState;
export const R_EXPECTING = 1 as ReaderState;
export const R_BODY = 2 as ReaderState;
export const R_DONE = 3 as ReaderState;
export const R_SWITCHED = 4 as ReaderState;
export const R_CLOSED = 5 as ReaderState;
export const R_ERROR = 6 as ReaderState;

export type WriterState = State<"writer">;
export const W_IDLE = 0 as WriterState;
export const W_HEAD = 1 as WriterState;
export const W_BODY = 2 as WriterState;
export const W_DONE = 3 as WriterState;
export const W_SWITCHED = 4 as WriterState;
export const W_BROKEN = 5 as WriterState;

export type PersistenceState = State<"persistence">;
export const KEEP = 0 as PersistenceState;
export const LAST = 1 as PersistenceState;

export type InputState = State<"input">;
export const OPEN = 0 as InputState;
export const ENDED = 1 as InputState;

/** Something that happens on the connection. Every machine takes it, or it is a bug here. */
export type Step = StepOf<"connection">;

/** A request head without a body. */
export const REQUEST = 0 as Step;
/** A request head; its body follows. */
export const REQUEST_WITH_BODY = 1 as Step;
/** A request head whose body waits for a 100 (RFC 9110 §10.1.1). */
export const REQUEST_EXPECTING = 2 as Step;
/** The 100 was sent, or the client began its body without one. */
export const CONTINUED = 3 as Step;
/** The request body is complete. */
export const BODY_END = 4 as Step;
/** The peer has sent FIN. */
export const FIN = 5 as Step;
/** The input has ended between two requests. */
export const NO_MORE_REQUESTS = 6 as Step;
/** The peer broke the protocol, or a deadline did. */
export const READ_FAULT = 7 as Step;
/** The request or its response rules out another cycle. */
export const LAST_CYCLE = 8 as Step;
/** The final head was sent. */
export const HEAD_SENT = 9 as Step;
/** The response is complete. */
export const BODY_SENT = 10 as Step;
/** The response cannot be completed. */
export const BROKEN_OFF = 11 as Step;
/** A 101 was sent. */
export const UPGRADE = 12 as Step;
/** Both sides are done, and the connection persists. */
export const NEXT_CYCLE = 13 as Step;
/** The last response is complete or broken off. */
export const CYCLES_OVER = 14 as Step;

const steps = 15;

const reader = new StateTable<ReaderState, Step>(7, steps, [
  [REQUEST, [R_IDLE, R_DONE]],
  [REQUEST_WITH_BODY, [R_IDLE, R_BODY]],
  [REQUEST_EXPECTING, [R_IDLE, R_EXPECTING]],
  [CONTINUED, [R_EXPECTING, R_BODY]],
  [BODY_END, [R_BODY, R_DONE]],
  [NO_MORE_REQUESTS, [R_IDLE, R_CLOSED]],
  [READ_FAULT, [R_IDLE, R_ERROR], [R_EXPECTING, R_ERROR], [R_BODY, R_ERROR]],
  [UPGRADE, [R_DONE, R_SWITCHED]],
  [NEXT_CYCLE, [R_DONE, R_IDLE]],
  [
    CYCLES_OVER,
    [R_IDLE, R_CLOSED],
    [R_EXPECTING, R_CLOSED],
    [R_BODY, R_CLOSED],
    [R_DONE, R_CLOSED],
    [R_CLOSED, R_CLOSED],
    [R_ERROR, R_CLOSED],
  ],
]);

const writer = new StateTable<WriterState, Step>(6, steps, [
  [REQUEST, [W_IDLE, W_HEAD]],
  [REQUEST_WITH_BODY, [W_IDLE, W_HEAD]],
  [REQUEST_EXPECTING, [W_IDLE, W_HEAD]],
  [READ_FAULT, [W_IDLE, W_HEAD], [W_HEAD, W_HEAD], [W_BODY, W_BODY], [W_DONE, W_DONE], [W_BROKEN, W_BROKEN]],
  [HEAD_SENT, [W_HEAD, W_BODY]],
  [BODY_SENT, [W_BODY, W_DONE]],
  [
    BROKEN_OFF,
    [W_IDLE, W_BROKEN],
    [W_HEAD, W_BROKEN],
    [W_BODY, W_BROKEN],
    [W_DONE, W_BROKEN],
    [W_BROKEN, W_BROKEN],
  ],
  [UPGRADE, [W_HEAD, W_SWITCHED]],
  [NEXT_CYCLE, [W_DONE, W_IDLE]],
]);

const persistence = new StateTable<PersistenceState, Step>(2, steps, [
  [NO_MORE_REQUESTS, [KEEP, LAST], [LAST, LAST]],
  [READ_FAULT, [KEEP, LAST], [LAST, LAST]],
  [LAST_CYCLE, [KEEP, LAST], [LAST, LAST]],
  [BROKEN_OFF, [KEEP, LAST], [LAST, LAST]],
  [UPGRADE, [KEEP, LAST], [LAST, LAST]],
  [NEXT_CYCLE, [KEEP, KEEP]],
]);

const input = new StateTable<InputState, Step>(2, steps, [
  [FIN, [OPEN, ENDED], [ENDED, ENDED]],
  [NO_MORE_REQUESTS, [ENDED, ENDED]],
]);

/** The four machines of one connection. */
export class ConnectionState {
  reader: ReaderState = R_IDLE;
  writer: WriterState = W_IDLE;
  persistence: PersistenceState = KEEP;
  input: InputState = OPEN;

  /** Takes a step in all machines. Throws, and changes nothing, if one of them cannot: that is a bug here. */
  take(step: Step): void {
    const nextReader = reader.next(this.reader, step);
    const nextWriter = writer.next(this.writer, step);
    const nextPersistence = persistence.next(this.persistence, step);
    const nextInput = input.next(this.input, step);
    if ((nextReader | nextWriter | nextPersistence | nextInput) >= IMPOSSIBLE) {
      throw new Error(
        `step ${step} cannot be taken by reader ${this.reader}, writer ${this.writer}, persistence ${this.persistence}, input ${this.input}`,
      );
    }
    this.reader = nextReader as ReaderState;
    this.writer = nextWriter as WriterState;
    this.persistence = nextPersistence as PersistenceState;
    this.input = nextInput as InputState;
  }
}

/** What the writer is doing, for messages. */
export function writerStateName(state: WriterState): string {
  return ["not due", "due", "in its body", "complete", "switched to another protocol", "broken off"][
    state
  ] as string;
}
