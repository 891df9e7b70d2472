// Cross-origin requests by scripts in browsers (WHATWG Fetch §3.2, "CORS protocol").
//
// Says which scripts may read responses. It protects no server from requests: a browser sends simple ones in any case.

import { checkFunction, checkNames, refusePromise, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { withVary } from "../../http/content-negotiation.ts";
import { type Field, type Fields, fieldName } from "../../http/fields.ts";
import { HttpError } from "../../http/http-error.ts";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { Handler } from "../exchange/service.ts";
import { wrapHandler } from "./wrap-handler.ts";

/** Options of {@link cors}. */
export interface CorsOptions {
  /**
   * Whose scripts may read responses: origins such as `"https://example.com"`, a function that is given the origin, or `"*"`,
   * any, which rules out `credentials`. `"null"`, the origin of sandboxed frames and files, is no more than anybody.
   */
  readonly origins: "*" | readonly string[] | ((origin: string) => boolean);
  /** Methods besides GET, HEAD and POST, which are always allowed. Default: PUT, PATCH, DELETE. */
  readonly methods?: readonly string[] | undefined;
  /** Request fields that scripts may set. Default: `authorization` and `content-type`. */
  readonly headers?: readonly string[] | undefined;
  /** Response fields that scripts may read besides the few that are always readable. Default: none. */
  readonly exposed?: readonly string[] | undefined;
  /** Whether requests may carry cookies, and their responses be read. Default: false. */
  readonly credentials?: boolean | undefined;
  /** Seconds a browser may remember the answer to a preflight. Default 600; browsers have a maximum of their own. */
  readonly maxAge?: number | undefined;
}

interface Settings {
  /** The value of `access-control-allow-origin` for this origin; undefined: it is not allowed. */
  readonly allowed: (origin: string) => string | undefined;
  /** Whether responses differ by origin. */
  readonly varies: boolean;
  /** Fields of every response to an allowed origin, and of the answer to its preflight. */
  readonly actual: Fields;
  readonly preflight: Fields;
}

/**
 * Wraps a handler so that scripts of other origins may read its responses. Preflights are answered with 204 without the
 * handler; other OPTIONS requests reach it. Responses to origins that are not allowed get no field, so that browsers
 * withhold them. An `HttpError` that the handler throws has the fields, too. WebSockets are not subject to CORS: see their
 * `checkOrigin`.
 *
 * @throws UsageError for an unknown or wrong option, for `"*"` with `credentials`, and unless `handler` is a function.
 *
 * @example `mist.new(mist.cors(handler, { origins: ["https://app.example.com"], credentials: true }))`
 */
export function cors<Body = unknown>(handler: Handler<Body>, options: CorsOptions): Handler<Body> {
  checkFunction("the handler given to cors", handler);
  const settings = settingsOf(options);
  const answer = wrapHandler("cors", handlerWithFields(handler, settings), (request, response) =>
    readable(request, response, settings),
  );
  return (request) => (isPreflight(request) ? preflight(request, settings) : answer(request));
}

// An HttpError becomes a response further out, where nobody knows of its request's origin.
function handlerWithFields<Body>(handler: Handler<Body>, settings: Settings): Handler<Body> {
  const fail = (request: Request<Body>, error: unknown): never => {
    if (!(error instanceof HttpError) || error.constructor !== HttpError) throw error;
    const { status, message, headers } = error;
    const fields = readableFields(request, headers, settings);
    throw new HttpError(status, { message, headers: fields, cause: error.cause ?? error });
  };
  return (request) => {
    try {
      const result = handler(request);
      return result instanceof Response
        ? result
        : Promise.resolve(result).catch((error) => fail(request, error));
    } catch (error) {
      return fail(request, error);
    }
  };
}

const names = ["origins", "methods", "headers", "exposed", "credentials", "maxAge"];

function settingsOf(options: CorsOptions): Settings {
  checkNames("cors", options, names);
  const { origins, methods = ["PUT", "PATCH", "DELETE"], credentials = false, maxAge = 600 } = options;
  const { headers = ["authorization", "content-type"], exposed = [] } = options;
  if (typeof credentials !== "boolean")
    throw new UsageError(`credentials must be true or false, got ${shown(credentials)}`);
  if (!(Number.isSafeInteger(maxAge) && maxAge >= 0))
    throw new UsageError(`maxAge must be a number of seconds, at least 0, got ${shown(maxAge)}`);
  if (origins === "*" && credentials)
    throw new UsageError('credentials need origins that are named, not "*" (Fetch §3.2.5)');
  const allowCredentials: Field[] = credentials ? [["access-control-allow-credentials", "true"]] : [];
  return {
    allowed: originTest(origins),
    varies: origins !== "*",
    actual: [...allowCredentials, ...listField("exposed", "access-control-expose-headers", exposed)],
    preflight: [
      ...allowCredentials,
      // GET, HEAD and POST need not be named (Fetch §4.8).
      ...listField("methods", "access-control-allow-methods", methods),
      ...listField("headers", "access-control-allow-headers", headers),
      ["access-control-max-age", String(maxAge)],
    ],
  };
}

/** The field with this list; none if the list is empty. Methods keep their case, and names do not. */
function listField(option: string, name: string, list: readonly string[]): Field[] {
  if (!Array.isArray(list)) throw new UsageError(`${option} must be a list, got ${shown(list)}`);
  const members = list.map((member) => (option === "methods" ? checkedMethod(member) : fieldName(member)));
  return members.length === 0 ? [] : [[name, members.join(", ")]];
}

function checkedMethod(method: string): string {
  fieldName(method); // a token as well
  return method;
}

function originTest(origins: CorsOptions["origins"]): Settings["allowed"] {
  if (origins === "*") return () => "*";
  if (typeof origins === "function") {
    return (origin) => {
      const allowed = origins(origin);
      refusePromise("origins", allowed); // which would be as good as true
      return allowed === true ? origin : undefined;
    };
  }
  if (!Array.isArray(origins))
    throw new UsageError(`origins must be "*", a list or a function, got ${shown(origins)}`);
  for (const origin of origins) {
    if (origin !== "null" && !isOrigin(origin))
      throw new UsageError(
        `an origin must be like "https://example.com", without a path, got ${shown(origin)}`,
      );
  }
  const known = new Set<string>(origins);
  return (origin) => (known.has(origin) ? origin : undefined);
}

function isOrigin(text: unknown): boolean {
  return typeof text === "string" && URL.canParse(text) && originOf(new URL(text)) === text;
}

// A URL of a scheme such as `capacitor:` has no origin of its own for the parser, and browsers send one.
function originOf({ origin, protocol, host }: URL): string {
  return origin === "null" && host !== "" ? `${protocol}//${host}` : origin;
}

function isPreflight(request: Request<unknown>): boolean {
  return (
    request.method === "OPTIONS" &&
    request.getHeader("origin") !== undefined &&
    request.getHeader("access-control-request-method") !== undefined
  );
}

function preflight(request: Request<unknown>, settings: Settings): ServerResponse {
  const origin = allowOrigin(request, settings);
  const fields: Field[] = origin === undefined ? [] : [origin, ...settings.preflight];
  return new Response(204, settings.varies ? withVary(fields, "origin") : fields, { kind: "empty" });
}

function readable(request: Request<unknown>, response: ServerResponse, settings: Settings): ServerResponse {
  if (response.body.kind === "upgrade") return response;
  const fields = readableFields(request, response.headers, settings);
  return new Response(response.status, fields, response.body, response.trailers);
}

function readableFields(request: Request<unknown>, own: Fields, settings: Settings): Fields {
  const origin = allowOrigin(request, settings);
  const added = origin === undefined ? [] : [origin, ...settings.actual];
  const names = new Set(added.map(([name]) => name));
  const fields = [...own.filter(([name]) => !names.has(name)), ...added];
  // A cache must not give one origin what another was allowed (Fetch §3.2.3), a request without an origin included.
  return settings.varies ? withVary(fields, "origin") : fields;
}

function allowOrigin(request: Request<unknown>, { allowed }: Settings): Field | undefined {
  const origins = request.getHeaders("origin");
  const value = origins.length === 1 ? allowed(origins[0]!) : undefined;
  return value === undefined ? undefined : ["access-control-allow-origin", value];
}
