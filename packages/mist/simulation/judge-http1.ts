// Was this answer, or the lack of one, right? A status must have its reason in the request, in the clock, or in the
// server's state; silence must have its reason in a fault of the client's, a stop, or a deadline that has passed.

import type { Buffer } from "node:buffer";
import type { Asked, PlainClientRun } from "./client-http1.ts";
import type { ServerFacts } from "./facts.ts";
import type { ResponseHead } from "./oracle-http1.ts";
import type { RequestRecord } from "./record.ts";
import type { RequestStep } from "./scenario.ts";

/** How long mist's connections linger. */
const lingerMs = 2000;
/** The wheel's grain, both ways of a tick, and what a segment may add. */
export const coarseMs = 250;

/** The statuses the request itself calls for. */
export function plannedStatuses(record: RequestRecord, head: Buffer, facts: ServerFacts): number[] {
  const { step } = record;
  const refused = refusedHead(record, head, facts);
  if (refused.length > 0) return refused;
  const { handler, body } = step;
  if (
    body?.trailers === true &&
    body.chunks !== undefined &&
    facts.limit("maxTrailerFields") < 1 &&
    handler.read !== "nothing"
  )
    return [431];
  if (handler.read === "all" && body !== undefined && body.size > handler.size) return [413];
  const { answer } = handler;
  switch (answer.type) {
    case "bytes":
    case "empty":
      return [answer.status];
    case "throw":
      return [answer.http ? answer.status : 500];
    case "nothing":
      return [500];
    case "never":
      return [];
    default:
      return [200];
  }
}

/** The statuses of a head that is too large, or malformed. */
export function refusedHead({ step, key }: RequestRecord, head: Buffer, facts: ServerFacts): number[] {
  const statuses: number[] = [];
  if (step.emptyLines > facts.limit("maxEmptyLines")) statuses.push(400);
  const target = Math.max(step.targetBytes ?? 0, key.length + 1);
  if (target > facts.limit("maxTarget")) statuses.push(414);
  if (head.length - 2 * step.emptyLines > facts.limit("maxHead")) statuses.push(431);
  const lines = head.toString("latin1").split("\r\n").length - 1;
  // The request line and the empty one at the end are no fields.
  if (lines - step.emptyLines - 2 > facts.limit("maxFields")) statuses.push(431);
  return statuses;
}

/** The head of an answer. */
export function judgeAnswer(client: PlainClientRun, record: RequestRecord, head: ResponseHead): void {
  const { world, facts } = client;
  const planned = plannedStatuses(record, client.headOf(record), facts);
  const { status } = head;
  if (!planned.includes(status) && !isTimeout(client, record, status) && !isCutOff(client, record, status))
    world.fail(
      "answers are the handler's",
      `${record.key} is answered ${status}, not ${planned.join(" or ") || "at all"}`,
    );
  if (refusedHead(record, client.headOf(record), facts).length > 0) {
    if (record.calls > 0)
      world.fail("limits are kept", `${record.key} reached the handler, with a head that is too large`);
  } else if (record.announcedClose && record.step.connection !== "close" && record.step.version === "1.1")
    judgeClose(client, record, status);
}

function isTimeout(client: PlainClientRun, record: RequestRecord, status: number): boolean {
  if (status !== 408) return false;
  const { facts, world, link } = client;
  // Who reads slowly learns of it late.
  if (link === undefined || link.isSlow || link.stalledMs > 0) return true;
  const now = world.time.elapsed;
  const began = record.begunAt ?? now;
  const silentMs = now - link.lastDeliveredAt;
  const isLate =
    now - began >= facts.deadline("headMs") ||
    silentMs >= facts.deadline("bodyIdleMs") ||
    (facts.deadline("minBodyRate") < Number.POSITIVE_INFINITY && now - began >= 5000) ||
    (facts.drainAt !== undefined && now - Math.max(facts.drainAt, began) >= facts.deadline("stopGraceMs"));
  return isLate && (record.deliveredAt === undefined || record.deliveredAt >= now - coarseMs);
}

/** The client has hung up within its content. */
function isCutOff({ link }: PlainClientRun, record: RequestRecord, status: number): boolean {
  return status === 400 && record.cut && link?.finAt !== undefined;
}

/** The server announces that it will close: the client loses what it has asked for behind it. */
function judgeClose(client: PlainClientRun, record: RequestRecord, status: number): void {
  const { world, facts } = client;
  const { handler, body } = record.step;
  const { answer } = handler;
  const failed =
    status === 408 || (status >= 400 && !(answer.type === "throw" && answer.http) && answer.type !== "bytes");
  const asked = answer.type === "bytes" && answer.close;
  const unread =
    body !== undefined && !record.readEnded && (body.chunks !== undefined || body.size > record.read);
  const now = world.time.elapsed;
  if (failed || asked || unread || record.readError !== undefined || client.link?.finAt !== undefined) return;
  if (!facts.drains(now)) {
    world.fail("connections persist", `${record.key} announces a close, and nothing calls for it`);
    return;
  }
  // Requests that came before the answer are still served while the server stops, unless they wait outside of the
  // server, or nobody can tell them from content that has yet to be read.
  const index = client.all.indexOf(record);
  const next = client.all[index + 1];
  const answeredAt = record.returnedAt ?? now;
  if (next?.deliveredAt === undefined || next.deliveredAt >= answeredAt) return;
  if (
    body?.chunks !== undefined &&
    (answer.type === "echo" || !record.readEnded || record.readEndedAt > answeredAt)
  )
    return;
  // A client that sends much while the server stops may never cease to ask.
  const sinceStop = client.all.findIndex(({ deliveredAt = now }) => deliveredAt >= (facts.drainAt ?? now));
  const cameStopping = (client.link?.delivered ?? 0) - (client.all[sinceStop - 1]?.endsAtByte ?? 0);
  if (sinceStop >= 0 && cameStopping > facts.limit("maxBuffered")) return;
  // Those that were unanswered when it came stand before it; behind more than the server holds nobody reads.
  const first = client.all.findIndex(
    ({ wholeAt }) => wholeAt === undefined || wholeAt >= (next.deliveredAt ?? 0),
  );
  const held = next.endsAtByte - (client.all[first - 1]?.endsAtByte ?? 0);
  if (held <= facts.limit("maxBuffered"))
    world.fail(
      "a stop forgets no request",
      `${record.key} is said to be the last, and ${next.key} had come at ${next.deliveredAt}`,
    );
}

/** What was asked for has no whole answer, and will have none. */
export function judgeSilence(client: PlainClientRun, asked: Asked): void {
  const excuse = excuseFor(client, asked);
  const what = "record" in asked ? `${asked.record.key} (${asked.record.outcome})` : "garbage";
  if (excuse === undefined)
    client.world.fail(
      "every request is answered",
      `${client.name}: ${what} is not, and nothing calls for it`,
    );
  else {
    client.world.log(client.name, `${what} stays unanswered: ${excuse}`);
    client.world.count(excuse);
  }
}

function excuseFor(client: PlainClientRun, asked: Asked): string | undefined {
  const { world, facts, link, last } = client;
  const now = world.time.elapsed;
  if (link === undefined) return "refused";
  if (link.brokenAt !== undefined) return "the client broke its link";
  if (last !== undefined && last !== asked) return "behind the last answer";
  const said = client.all.findIndex(({ step }) => isLast(step));
  if (said >= 0 && (said < client.all.length - 1 || client.garbageSent))
    return "the client went on behind its last request";
  if (isBehindFailure(client, asked)) return "a producer failed";
  if (isBehindTheEnd(client, asked)) return "behind a request that ends the connection";
  if (facts.mayKill(now)) return killedExcuse(client, asked);
  if (facts.mayRefuse && link.received === 0) return "turned away";
  const isSlow = slowReader(client, now);
  if (isSlow) return "the client took nothing";
  if (lostToReset(client, asked, now)) return "the client went on sending";
  if (!("record" in asked)) return garbageExcuse(client, asked.garbage);
  const { record } = asked;
  const first = client.asked.find((one) => !("record" in one) || one.record.outcome !== "whole");
  if (first !== asked) return "behind a request without an answer";
  return requestExcuse(client, record, now);
}

/** Whoever was killed must have had something to wait for: otherwise somebody was not woken. */
function killedExcuse(
  { facts, link, all, asked: waiting }: PlainClientRun,
  asked: Asked,
): string | undefined {
  if (facts.killedAt !== undefined || !("record" in asked)) return "killed";
  const { record } = asked;
  const since = facts.deadlineAt - coarseMs;
  const isFirst = waiting.find((one) => !("record" in one) || one.record.outcome !== "whole") === asked;
  if (!isFirst || record.deliveredAt === undefined || record.deliveredAt >= since) return "killed";
  if (link === undefined || link.isSlow || link.stalledMs > 0) return "killed, with a slow client";
  const before = all[all.indexOf(record) - 1];
  if (before?.wholeAt !== undefined && before.wholeAt >= since) return "killed, and had just begun";
  if (record.calls === 0) return undefined;
  // Event streams end when they are told of the stop, whatever they wait for.
  if (record.step.handler.answer.type === "events" && (record.returnedAt ?? since) < since) return undefined;
  if (record.waits === "ever" || record.waits === "time" || record.waitsSince >= since)
    return "killed, at work";
  return undefined;
}

/** The request before it has ended the connection. */
function isBehindTheEnd({ all }: PlainClientRun, asked: Asked): boolean {
  const before = "record" in asked ? all[all.indexOf(asked.record) - 1] : undefined;
  return before !== undefined && before.outcome === "whole" && (isLast(before.step) || leftUnread(before));
}

/** A producer failed, of this answer or of one before it; behind it only if a reset had to tell of that. */
function isBehindFailure({ all, link }: PlainClientRun, asked: Asked): boolean {
  if (!("record" in asked) || link === undefined) return all.some(({ failures }) => failures.length > 0);
  const at = all.indexOf(asked.record);
  const { answer } = asked.record.step.handler;
  // What a client does not take is not waited for.
  const isLarge = asked.record.produced > 50_000 || (answer.type === "bytes" && answer.size > 50_000);
  const mayLose = isLarge || link.isSlow || link.stalledMs > 0;
  // One that ends with its connection can be broken off by a reset only.
  if (link.finAt !== undefined && all.some(({ step, calls }) => step.version === "1.0" && calls > 0))
    return true;
  return all.some(
    ({ failures, step }, index) => failures.length > 0 && (index <= at || mayLose || step.version === "1.0"),
  );
}

/** The client has said that nothing comes behind this request. */
export function isLast({ version, connection }: RequestStep): boolean {
  return version === "1.0" ? connection !== "keep-alive" : connection === "close";
}

/** Content that nobody has read ends the connection, if it is too much, or too late. */
function leftUnread({ step, readEnded }: RequestRecord): boolean {
  return step.body !== undefined && !readEnded;
}

function garbageExcuse(
  { link, facts, world, idleSince, all }: PlainClientRun,
  statuses: readonly number[],
): string | undefined {
  if (link?.finAt !== undefined) return "the client hung up";
  // Who reads slowly learns late that the server has let go.
  if (link?.isSlow === true || (link?.stalledMs ?? 0) > 0) return "late";
  const before = all.at(-1);
  if (before !== undefined && (isLast(before.step) || leftUnread(before)))
    return "behind a request that ends the connection";
  if (
    statuses.length === 0 &&
    world.time.elapsed - idleSince >= Math.min(facts.deadline("headMs"), facts.deadline("stopGraceMs"))
  )
    return "late";
  return undefined;
}

function slowReader({ link, facts }: PlainClientRun, now: number): boolean {
  const sendMs = facts.deadline("sendMs");
  if (link === undefined || sendMs === Number.POSITIVE_INFINITY) return false;
  return (
    link.stalledMs >= sendMs ||
    (link.bytesPerSecond < 4 * (facts.deadlines["minSendRate"] ?? 0) + 1000 && now >= sendMs)
  );
}

/** A server that has lingered for long enough is gone, and what still comes for it is answered with a reset. */
function lostToReset({ link, facts, idleSince }: PlainClientRun, asked: Asked, now: number): boolean {
  if (link === undefined || link.code === undefined || !(link.isSlow || link.stalledMs > 0)) return false;
  const cameAt = "record" in asked ? (asked.record.begunAt ?? now) : now;
  return now - Math.min(idleSince, cameAt, facts.drainAt ?? now) >= lingerMs;
}

function requestExcuse(client: PlainClientRun, record: RequestRecord, now: number): string | undefined {
  const { link } = client;
  const { step } = record;
  const { answer } = step.handler;
  if (record.cut) return "the client cut it off";
  // It was broken off, and what had been sent was still unread.
  if (record.readError !== undefined && link !== undefined && (link.isSlow || link.stalledMs > 0))
    return "its content did not come";
  const isStreamed =
    answer.type === "iterable" ||
    answer.type === "chunked" ||
    answer.type === "events" ||
    answer.type === "echo";
  if (link?.finAt !== undefined && (isStreamed || answer.type === "never")) return "the client hung up";
  if (record.outcome !== "none")
    return record.readError === undefined ? undefined : "its content did not come";
  if (record.begunAt === undefined || record.calls === 0) return neverBegun(client, record, now);
  return undefined;
}

/** No handler has seen the request: it came too late. */
function neverBegun(
  { facts, link, idleSince: seenAt, all }: PlainClientRun,
  record: RequestRecord,
  now: number,
): string | undefined {
  const before = all[all.indexOf(record) - 1];
  // Who reads slowly learns late that the server has nothing more to do.
  const idleSince = link?.isSlow === true || (link?.stalledMs ?? 0) > 0 ? (before?.returnedAt ?? 0) : seenAt;
  const cameAt = record.begunAt ?? now;
  const endedAt = link?.endSeenAt ?? now;
  if (cameAt >= endedAt - 1) return "it came behind the server's FIN";
  if (endedAt - idleSince >= facts.deadline("keepAliveMs")) return "the connection was idle for too long";
  if (endedAt - idleSince >= facts.deadline("headMs") && record.deliveredAt === undefined)
    return "its head was late";
  if (facts.drainAt === undefined) return undefined;
  if (endedAt - Math.max(facts.drainAt, idleSince) >= facts.deadline("stopGraceMs"))
    return "the server stopped";
  return undefined;
}

/** The server has ended a connection on which nothing was asked for. */
export function judgeIdleEnd(client: PlainClientRun): void {
  const { world, facts, link, all, last } = client;
  const now = world.time.elapsed;
  if (
    link === undefined ||
    last !== undefined ||
    client.garbageSent ||
    link.isSlow ||
    link.stalledMs > 0 ||
    facts.mayRefuse
  )
    return;
  const before = all.at(-1);
  if (before !== undefined && (isLast(before.step) || leftUnread(before))) return;
  if (link.finAt !== undefined || all.some(({ failures }) => failures.length > 0)) return;
  const idleMs = facts.deadline(all.length === 0 ? "headMs" : "keepAliveMs");
  const waited = now - client.idleSince;
  const stopped =
    facts.drainAt === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(client.idleSince, facts.drainAt) + facts.deadline("stopGraceMs");
  if (facts.mayKill(now)) {
    if (facts.killedAt === undefined && now >= stopped + 2 * coarseMs)
      world.fail("idle connections end with the stop", `${client.name}: ends at the deadline, ${now}`);
    return;
  }
  if (now < Math.min(client.idleSince + idleMs, stopped))
    world.fail("deadlines are not early", `${client.name}: idle for ${waited} of ${idleMs} ms`);
  // A stop sets the deadline anew, to the grace.
  const isReset = facts.drainAt !== undefined && facts.drainAt <= client.idleSince + idleMs + coarseMs;
  const lateAt = isReset ? stopped : client.idleSince + idleMs;
  if (now > lateAt + 2 * coarseMs)
    world.fail("deadlines are not late", `${client.name}: idle for ${waited} of ${idleMs} ms`);
}

/** A client that waits for a 100 gets it once its content is asked for. */
export function judgeContinue({ facts, world }: PlainClientRun, record: RequestRecord): void {
  const { step, begunAt, calledAt, readEnded } = record;
  const { handler, body } = step;
  if (
    body?.expect !== true ||
    !readEnded ||
    begunAt === undefined ||
    calledAt === undefined ||
    step.version === "1.0"
  )
    return;
  if (body.size === 0 || (handler.read !== "all" && handler.read !== "stream")) return;
  const asks = calledAt + Math.max(0, handler.waitMs);
  if (asks < begunAt + 500 && facts.drainAt === undefined && !record.informational.includes(100))
    world.fail("a client that waits for a 100 gets it", record.key);
}
