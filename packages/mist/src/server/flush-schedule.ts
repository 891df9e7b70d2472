// When what was gathered outside of a packet's handling leaves: frames, events, chunks and answers that came late.
//
// A few of them leave before the event loop goes on. Many at once are a broadcast: a write for each client, and while
// those are made, more comes in that is meant for the same clients. So a broadcast leaves when the event loop has
// brought what there was, and what was published meanwhile shares its writes. As long as every turn of the loop brings
// more, it waits on, though no longer than the last one took to write. Whoever publishes now and then notices nothing;
// whoever publishes faster than thousands of sockets can be written to gets through nevertheless.

import { clock, whenClockChanges } from "@x/glisten/kit";

/** What a writer is here. */
export interface Flushable {
  runScheduledFlush(): void;
}

/** From here on it is a broadcast. */
const many = 64;
/** A broadcast waits for more no longer than this, in milliseconds. */
const longestWait = 25;

let scheduled: Flushable[] = [];
let broadcast: Flushable[] = [];
/** How often in this turn somebody who was scheduled already has been sent more. */
let joined = 0;
let waitUntil = 0;
/** How long writing the last broadcast took, in milliseconds. */
let lastTook = 0;

whenClockChanges(() => {
  joined = 0;
  waitUntil = 0;
  lastTook = 0;
});

/** Flushes soon. Whoever is scheduled is not to be scheduled again, but to tell `joinsFlush`. */
export function scheduleFlush(writer: Flushable): void {
  // One tick for all.
  if (scheduled.push(writer) === 1) process.nextTick(flushScheduled);
}

/** A writer that is scheduled has more. */
export function joinsFlush(): void {
  joined++;
}

function flushScheduled(): void {
  const writers = scheduled;
  scheduled = [];
  if (writers.length < many) for (const writer of writers) writer.runScheduledFlush();
  else if (broadcast.length === 0) holdBack(writers);
  else broadcast = broadcast.concat(writers);
}

function holdBack(writers: Flushable[]): void {
  broadcast = writers;
  joined = 0;
  waitUntil = clock.now() + lastTook;
  clock.nextTurn(flushBroadcast);
}

function flushBroadcast(): void {
  const start = clock.now();
  if (joined >= many && start < waitUntil) {
    joined = 0;
    clock.nextTurn(flushBroadcast);
    return;
  }
  const writers = broadcast;
  broadcast = [];
  for (const writer of writers) writer.runScheduledFlush();
  lastTook = Math.min(longestWait, clock.now() - start);
}
