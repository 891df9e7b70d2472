// The states of one stream, and every step that changes them: what is not in these tables cannot happen.
//
// # Theory of operation
//
// A stream is two machines side by side, as a cycle of HTTP/1 is: the READER follows the request, the WRITER our
// response. Together they are the states of RFC 9113 §5.1:
//
//                                   reader OPEN            reader ENDED             reader RESET
//   writer HEAD, BODY, ENDING       open                   half-closed (remote)     -
//   writer ENDED                    half-closed (local)    closed                   -
//   writer RESET                    -                      -                        closed
//
//             END_STREAM                        head         end            its last byte
//   reader  OPEN ──────► ENDED        writer  HEAD ────► BODY ────► ENDING ─────────────► ENDED
//
// ENDING: the application has said everything, and flow control holds some of it back. A reset, by either side, takes
// both machines to RESET.
//
// Idle and closed streams are no objects. A stream exists from its HEADERS frame until it is closed; which streams
// were is the stream table's knowledge (stream-table.ts).

import { type State, StateTable, type Step } from "../../http/state-table.ts";

export type ReaderState = State<"stream's reader">;
export const R_OPEN = 0 as ReaderState;
export const R_ENDED = 1 as ReaderState;
export const R_RESET = 2 as ReaderState;

export type ReaderStep = Step<"stream's reader">;
export const PEER_END = 0 as ReaderStep;
export const READ_RESET = 1 as ReaderStep;

const reader = new StateTable<ReaderState, ReaderStep>(3, 2, [
  [PEER_END, [R_OPEN, R_ENDED]],
  [READ_RESET, [R_OPEN, R_RESET], [R_ENDED, R_RESET]],
]);

/** The reader's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function readerAfter(state: ReaderState, step: ReaderStep): ReaderState {
  return reader.after(state, step);
}

export type WriterState = State<"stream's writer">;
export const W_HEAD = 0 as WriterState;
export const W_BODY = 1 as WriterState;
export const W_ENDING = 2 as WriterState;
export const W_ENDED = 3 as WriterState;
export const W_RESET = 4 as WriterState;

export type WriterStep = Step<"stream's writer">;
export const HEAD_SENT = 0 as WriterStep;
export const END_QUEUED = 1 as WriterStep;
export const END_SENT = 2 as WriterStep;
export const WRITE_RESET = 3 as WriterStep;

const writer = new StateTable<WriterState, WriterStep>(5, 4, [
  [HEAD_SENT, [W_HEAD, W_BODY]],
  [END_QUEUED, [W_BODY, W_ENDING]],
  [END_SENT, [W_ENDING, W_ENDED]],
  [WRITE_RESET, [W_HEAD, W_RESET], [W_BODY, W_RESET], [W_ENDING, W_RESET], [W_ENDED, W_RESET]],
]);

/** The writer's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function writerAfter(state: WriterState, step: WriterStep): WriterState {
  return writer.after(state, step);
}

/** What the writer is doing, for messages. */
export function writerStateName(state: WriterState): string {
  return ["due", "in its body", "ending", "complete", "reset"][state] as string;
}
