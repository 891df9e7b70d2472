// What all connections of one server share: the handler, the limits, the reports.

import { callUser } from "@x/glisten/kit";
import type { Request, RequestBody } from "../../http/request.ts";
import type { BytesBody, EmptyBody, Response } from "../../http/response.ts";
import type { Deadlines, Limits } from "../../options.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { BackgroundWork } from "./background-work.ts";
import type { ForwardedSettings } from "./forwarded.ts";
import type { RequestIdSettings } from "./request-id.ts";
import type { StreamCount } from "./stream-count.ts";

/** Answers one request. A throw or rejection answers 500, or its own status for an error that carries one. */
export type Handler<Body = RequestBody> = (
  request: Request<Body>,
) => ServerResponse | Promise<ServerResponse>;

/**
 * Makes the response to a request that failed, or was refused before it became one (`request` is undefined then). Its
 * body is there as a whole, so that it cannot fail in turn.
 */
export type FailureHandler = (
  error: unknown,
  request: Request | undefined,
) => Response<EmptyBody | BytesBody>;

/** A failure in the user's code while a request was served. */
export interface ErrorReport {
  /** What was thrown. */
  readonly error: unknown;
  /** Undefined behind an upgrade: a connection that lives for days keeps nothing of its request. */
  readonly request: Request | undefined;
  /**
   * `"handler"`: no response came of it. `"body"`: the response was under way and has been broken off.
   * `"failure"`: `onFailure` made no response that can be sent. `"upgraded"`: the protocol behind a handshake has failed.
   * `"background"`: a promise given to `waitUntil` was rejected.
   */
  readonly during: "handler" | "body" | "failure" | "upgraded" | "background";
}

/** Shared by every connection of one server. */
export interface Service {
  readonly handler: Handler;
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly background: BackgroundWork;
  /** Which proxies are believed; undefined: none. */
  readonly forwarded: ForwardedSettings | undefined;
  /** Where ids of requests come from; undefined: they are made. */
  readonly requestId: RequestIdSettings | undefined;
  /** HTTP/2 streams. */
  readonly streams: StreamCount;
  /** How many requests have been refused, by the status they were answered with, or `connection`. */
  readonly refusedBy: Record<string, number>;
  readonly onError: (report: ErrorReport) => unknown;
  /** Makes the response to a failure; `undefined`: the server's own. */
  readonly onFailure: FailureHandler | undefined;
}

/** Tells the user of a failure. */
export function report(service: Service, failure: ErrorReport): void {
  void callUser(service.onError, failure);
}

/** One for each server: what lives behind an upgrade holds nothing of the exchange, which is over. */
const upgradeReporters = new WeakMap<Service, (error: unknown) => void>();

/** Reports failures of the protocol behind a handshake. */
export function upgradeReporter(service: Service): (error: unknown) => void {
  let reporter = upgradeReporters.get(service);
  if (reporter === undefined) {
    reporter = (error) => report(service, { error, request: undefined, during: "upgraded" });
    upgradeReporters.set(service, reporter);
  }
  return reporter;
}
