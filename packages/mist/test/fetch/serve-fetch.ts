// A server of a fetch handler for a test, stopped when the test is over.

import { onTestFinished } from "vitest";
import { type ClientOptions, WebSocket } from "ws";
import { type FetchHandler, type FromFetchOptions, fromFetch } from "../../src/fetch/index.ts";
import type * as mist from "../../src/index.ts";
import { type Served, serve } from "../server/serve.ts";

export function serveFetch(
  handler: FetchHandler,
  options: FromFetchOptions = {},
  configure?: (builder: mist.Builder) => mist.Builder,
): Promise<Served> {
  return serve(fromFetch(handler, options), configure);
}

/** A promise and what settles it. */
export function deferred<Value = void>(): {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
} {
  let resolve!: (value: Value) => void;
  const promise = new Promise<Value>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** A WebSocket client, gone when the test is over. */
export function socketTo(
  port: number,
  path: string,
  protocols: readonly string[] = [],
  options: ClientOptions = {},
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], options);
  socket.on("error", () => {}); // a test that cares has a listener of its own
  onTestFinished(() => socket.terminate());
  return socket;
}
