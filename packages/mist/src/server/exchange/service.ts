// What all connections of one server share: the handler, the limits, the reports.

import type { Request, RequestBody } from "../../http/request.ts";
import type { Deadlines, Limits } from "../../options.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { BackgroundWork } from "./background-work.ts";

/** Answers one request. A throw or rejection answers 500, or its own status for an error that carries one. */
export type Handler<Body = RequestBody> = (
  request: Request<Body>,
) => ServerResponse | Promise<ServerResponse>;

/** A failure in the user's code while a request was served. */
export interface ErrorReport {
  /** What was thrown. */
  readonly error: unknown;
  /** Undefined behind an upgrade: a connection that lives for days keeps nothing of its request. */
  readonly request: Request | undefined;
  /**
   * `"handler"`: no response came of it. `"body"`: the response was under way and has been broken off.
   * `"upgraded"`: the protocol behind a 101 has failed. `"background"`: a promise given to `waitUntil` was rejected.
   */
  readonly during: "handler" | "body" | "upgraded" | "background";
}

/** Shared by every connection of one server. */
export interface Service {
  readonly handler: Handler;
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly background: BackgroundWork;
  readonly onError: (report: ErrorReport) => unknown;
}
