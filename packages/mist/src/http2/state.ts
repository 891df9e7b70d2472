/**
 * The states of one stream, and every step that changes them: what is not in these tables cannot happen.
 *
 * # Theory of operation
 *
 * A stream is two machines side by side, as a cycle of HTTP/1 is: the READER follows the request, the WRITER our
 * response. Together they are the states of RFC 9113 §5.1:
 *
 *                                   reader OPEN            reader ENDED             reader RESET
 *   writer HEAD, BODY, ENDING       open                   half-closed (remote)     -
 *   writer ENDED                    half-closed (local)    closed                   -
 *   writer RESET                    -                      -                        closed
 *
 *             END_STREAM                        head         end            its last byte
 *   reader  OPEN ──────► ENDED        writer  HEAD ────► BODY ────► ENDING ─────────────► ENDED
 *
 * ENDING: the application has said everything, and flow control holds some of it back. A reset, by either side, takes
 * both machines to RESET.
 *
 * Idle and closed streams are no objects. A stream exists from its HEADERS frame until it is closed; which streams
 * were is the stream table's knowledge (stream-table.ts).
 */

import { StateTable } from "../http/state-table.ts";

/** Reader states. */
export const R_OPEN = 0;
export const R_ENDED = 1;
export const R_RESET = 2;

/** Reader steps. */
export const PEER_END = 0;
export const READ_RESET = 1;

const READER = new StateTable("stream's reader", [
  [R_OPEN, PEER_END, R_ENDED],
  [R_OPEN, READ_RESET, R_RESET],
  [R_ENDED, READ_RESET, R_RESET],
]);

/** The reader's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function readerAfter(state: number, step: number): number {
  return READER.after(state, step);
}

/** Writer states. */
export const W_HEAD = 0;
export const W_BODY = 1;
export const W_ENDING = 2;
export const W_ENDED = 3;
export const W_RESET = 4;

/** Writer steps. */
export const HEAD_SENT = 0;
export const END_QUEUED = 1;
export const END_SENT = 2;
export const WRITE_RESET = 3;

const WRITER = new StateTable("stream's writer", [
  [W_HEAD, HEAD_SENT, W_BODY],
  [W_HEAD, WRITE_RESET, W_RESET],
  [W_BODY, END_QUEUED, W_ENDING],
  [W_BODY, WRITE_RESET, W_RESET],
  [W_ENDING, END_SENT, W_ENDED],
  [W_ENDING, WRITE_RESET, W_RESET],
  [W_ENDED, WRITE_RESET, W_RESET],
]);

/** The writer's next state. Throws when the step cannot happen in this one: that is a bug here. */
export function writerAfter(state: number, step: number): number {
  return WRITER.after(state, step);
}

/** What the writer is doing, for messages. */
export function writerStateName(state: number): string {
  return ["due", "in its body", "ending", "complete", "reset"][state] as string;
}
