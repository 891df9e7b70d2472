// What all connections of one server share: the handler, the limits, the reports.

import type { Connection, ConnectionInfo } from "@x/glisten";
import { callUser } from "@x/glisten/kit";
import { ProtocolError, type RequestTimeoutError } from "../../errors.ts";
import type { Request, RequestBody } from "../../http/request.ts";
import type { BytesBody, EmptyBody, Response } from "../../http/response.ts";
import type { Deadlines, Limits } from "../../options.ts";
import type { ServerResponse, UpgradeHost } from "../body/response-body.ts";
import type { ServerEvents } from "../events.ts";
import type { Enter } from "./async-context.ts";
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
   * `"background"`: a promise given to `waitUntil` was rejected. `"listener"`: a listener of `server.on` has failed.
   */
  readonly during: "handler" | "body" | "failure" | "upgraded" | "background" | "listener";
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
  readonly events: ServerEvents;
  /** The asynchronous context that the server was started in. */
  readonly outside: Enter;
  readonly onError: (report: ErrorReport) => unknown;
  /** Makes the response to a failure; `undefined`: the server's own. */
  readonly onFailure: FailureHandler | undefined;
}

/** Tells the user of a failure. */
export function report(service: Service, failure: ErrorReport): void {
  void callUser(service.onError, failure);
}

/** Counts, and tells of, bytes on `connection` that never became a request. */
export function noteRefusal(
  { refusedBy, events }: Service,
  connection: Connection,
  error: ProtocolError | RequestTimeoutError,
  status: number | undefined,
): void {
  const by = status ?? "connection";
  refusedBy[by] = (refusedBy[by] ?? 0) + 1;
  if (!events["request:refused"].wanted) return;
  const section = error instanceof ProtocolError ? error.section : undefined;
  events["request:refused"].publish({ status, section, error, address: addressOf(connection) });
}

function addressOf(connection: Connection): ConnectionInfo | undefined {
  try {
    return connection.info();
  } catch {
    return undefined; // a unix socket, or a peer that was gone before it was asked about
  }
}

/** One for each server: what lives behind an upgrade holds nothing of the exchange, which is over. */
const upgradeHosts = new WeakMap<Service, UpgradeHost>();

/** What the protocols behind a handshake know of their server. */
export function upgradeHost(service: Service): UpgradeHost {
  let host = upgradeHosts.get(service);
  if (host === undefined) {
    const onError = (error: unknown): void =>
      report(service, { error, request: undefined, during: "upgraded" });
    host = { onError, events: service.events };
    upgradeHosts.set(service, host);
  }
  return host;
}
