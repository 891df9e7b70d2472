// What the compiler must accept of a user and what it must refuse. Type-checked against the sources here, and against
// the packed declarations by `scripts/consumer.mjs`. Nothing in it runs.

import type { Buffer } from "node:buffer";
import * as mist from "@x/mist";

const answer = mist.response(200);
const readsItself = async (request: mist.Request) =>
  mist.text(String(await mist.readBody(request, { maxBodyLimit: 1024 })));
const wantsBytes = (request: mist.Request<Buffer>) => answer.setBody(request.body);
const wantsUint8Array = (request: mist.Request<Uint8Array>) => answer.setBody(request.body);
const takesAny = (request: mist.Request<unknown>) => mist.text(request.path);
const limit = { bytesLimit: 1024 };

declare module "@x/mist" {
  interface RequestContext {
    user?: string;
  }
}

/** What users declare of a request's context is known, and nothing else. */
export function context(request: mist.Request): string | undefined {
  request.context.user = "ada";
  // @ts-expect-error: a name has no length in metres
  request.context.user = 7;
  // @ts-expect-error: nobody has declared it
  request.context.team = "a";
  return request.setPath("/").context.user;
}

/** A handler of bodies that have been read needs `readRequestBody`, and a handler of incoming bodies must not have it. */
export function bodies(): void {
  void mist.new(readsItself).start();
  void mist.new(takesAny).start();
  void mist.new((request) => mist.text(request.path)).start();
  void mist.new(wantsBytes).port(0).readRequestBody(limit).start();
  void mist.new(wantsUint8Array).readRequestBody(limit).start();
  void mist.new(takesAny).readRequestBody(limit).start();
  // @ts-expect-error: nothing reads the body
  void mist.new(wantsBytes).start();
  // @ts-expect-error: nothing reads the body
  void mist.new(wantsUint8Array).port(0).start();
  // @ts-expect-error: nothing reads the body
  mist.new(wantsBytes).supervised();
  // @ts-expect-error: nothing reads the body
  void mist.cluster(() => mist.new(wantsBytes));
  // @ts-expect-error: the handler reads the body itself
  mist.new(readsItself).readRequestBody(limit);
  // @ts-expect-error: read once
  mist.new(wantsBytes).readRequestBody(limit).readRequestBody(limit);
}

export function served(): void {
  void mist.serve({ handler: readsItself });
  void mist.serve({ handler: (request) => mist.text(request.path), port: undefined, tls: undefined });
  void mist.serve({ handler: wantsBytes, readRequestBody: limit });
  // @ts-expect-error: nothing reads the body
  void mist.serve({ handler: wantsBytes });
  // @ts-expect-error: the handler reads the body itself
  void mist.serve({ handler: readsItself, readRequestBody: limit });
  // @ts-expect-error: misspelt
  void mist.serve({ handler: readsItself, deadlines: { headMS: 5 } });
}

/** A request without an argument is one that the body functions take, and bodies are the Buffers that they are. */
export async function read(request: mist.Request): Promise<Buffer> {
  const part = await mist.stream(request).consume(10);
  for await (const piece of mist.stream(request)) piece.readUInt8(0);
  if (part.type === "chunk") return part.data;
  return mist.readBody(request, { maxBodyLimit: 10 });
}

/** undefined stands for the default wherever an option may be left out, under `exactOptionalPropertyTypes` too. */
export function undefinedOptions(): void {
  const nothing = undefined;
  void mist.sendFile("a", {
    offset: nothing,
    limit: nothing,
    request: nothing,
    root: nothing,
    dotfiles: nothing,
  });
  mist.staticFiles({ root: "a", prefix: nothing, index: nothing, cacheControl: nothing, fallback: nothing });
  mist.compress(readsItself, {
    codings: nothing,
    levels: { br: nothing },
    minLength: nothing,
    types: nothing,
  });
  mist.new(readsItself).withLimits({ maxHead: nothing }).withDeadlines({ sendMs: nothing });
  mist.response(200, { headers: { "x-a": nothing }, body: nothing });
  const topics = mist.topics({
    relay: nothing,
    replay: { messages: nothing, bytes: nothing, totalBytes: nothing, keepMs: nothing },
    maxQueue: nothing,
    slowClient: nothing,
    maxTopics: nothing,
    maxTopicsPerMember: nothing,
    maxMessageBytes: nothing,
    frame: nothing,
    presence: nothing,
    unsent: { bytes: nothing, maxAgeMs: nothing },
  });
  topics.publish("a", "b", { except: nothing });
}

/** What only the package may do. */
export function internals(): void {
  // @ts-expect-error: made by the server
  new mist.Request();
  // @ts-expect-error: made by `mist.response`
  new mist.Response(200, [], undefined);
  // @ts-expect-error: made by `mist.new`
  new mist.Builder();
}

export const kinds = [
  mist.response(204).body.kind satisfies "empty",
  mist.response(200, { body: "text" }).body.kind satisfies "bytes",
  mist.response(200, { body: mist.chunked(["a"]) }).body.kind satisfies "iterable",
  mist.response(200).setBody("text").body.kind satisfies "bytes",
];

/** What answers a request takes one of any body, also when it has been read. */
export const takesRead: mist.Handler<Buffer> = (request) => {
  mist.getConnectionInfo(request);
  mist.waitUntil(request, Promise.resolve());
  mist.sendInformational(request, 103, []);
  const loop = { init: () => 0, loop: () => mist.stop() };
  if (request.path === "/file") return mist.sendFile("a", { request });
  if (request.path === "/chunked") return mist.chunked({ request, response: answer, ...loop });
  if (request.path === "/feed") return mist.serverSentEvents({ request, ...loop });
  if (request.path === "/ws") return mist.websocket({ request, onInit: () => 0, handler: () => undefined });
  // @ts-expect-error: it has been read
  void mist.readBody(request, { maxBodyLimit: 1 });
  return mist.text(request.body.toString());
};

/** Fields are given in one shape everywhere. */
export function fields(request: mist.Request, error: Error): void {
  const headers = { "set-cookie": ["a=1", "b=2"], link: "</a.css>; rel=preload", vary: undefined };
  mist.response(200, { headers });
  mist.json({}, { headers });
  void new mist.HttpError(503, { headers, cause: error });
  mist.sendInformational(request, 103, headers);
  mist.sendInformational(request, 103, [["link", "</a.css>; rel=preload"]]);
  mist.websocket({ request, headers, onInit: () => 0, handler: () => undefined });
}

/** Bytes are typed as what they are. */
export function binary(request: mist.Request): void {
  mist.websocket({
    request,
    onInit: () => 0,
    handler: (_, message) => void (message.type === "binary" && message.data.readUInt32BE(0)),
  });
}

/** What the options of mist are made of can be named by who depends on mist alone. */
export const bounded: mist.MailboxLimits & { overflow: mist.OverflowPolicy } = {
  maxMailbox: 1,
  overflow: "stop",
};
export const ended = (reason: mist.CloseReason): boolean => reason.type === "normal";
export const chunks = (pieces: mist.Chunks): mist.IterableBody => mist.chunked(pieces);
