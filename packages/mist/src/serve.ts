// `mist.serve`: the builder and its `start` as one call with one options object.
//
// One table says which option is which method of the builder, so that both share names, defaults and checks.

import type { Buffer } from "node:buffer";
import type * as glisten from "@x/glisten";
import { checkNames, placeNames, shown, targetOf } from "@x/glisten/kit";
import { UsageError } from "./errors.ts";
import type { RequestBody } from "./http/request.ts";
import type { BytesBody, EmptyBody, Response } from "./http/response.ts";
import { type AfterStart, type Builder, create, type ReadRequestBodyOptions } from "./mist.ts";
import type { Deadlines, Limits } from "./options.ts";
import type { Server } from "./running-server.ts";
import type { ForwardedOptions } from "./server/exchange/forwarded.ts";
import type { RequestIdOptions } from "./server/exchange/request-id.ts";
import type { ErrorReport, FailureHandler, Handler } from "./server/exchange/service.ts";

/** The options of a server: each is the builder's method of that name, with or without `with`. */
export interface ServerOptions {
  /** Interface to listen on: `"localhost"`, an IPv4 or IPv6 address, `"0.0.0.0"` or `"::"`. Default: loopback. */
  readonly bind?: string | undefined;
  /** Listens on IPv6 as well. Default: false. */
  readonly ipv6?: boolean | undefined;
  /** Serves HTTPS: certificate files, PEM or DER, several by server name. Default: HTTP. */
  readonly tls?: glisten.TlsOptions | undefined;
  /** HTTP/2: by ALPN with TLS, else with prior knowledge. Default: true. */
  readonly http2?: boolean | undefined;
  /** Asks TLS clients for a certificate. Default: off. */
  readonly clientVerification?: glisten.ClientVerificationOptions | undefined;
  /** Expects the PROXY protocol in front of every connection of a trusted peer. Default: off. */
  readonly proxyProtocol?: glisten.ProxyProtocolOptions | undefined;
  /** Believes what the proxies in the list say of client, scheme, host and port. Default: off. */
  readonly forwarded?: ForwardedOptions | undefined;
  /** Takes the id of a request from a field, if it is well-formed. Default: ids are made. */
  readonly requestId?: RequestIdOptions | undefined;
  /** The maximum number of connections; further ones are closed at once and counted. Default 16 384. */
  readonly maxConnections?: number | undefined;
  /** What a connection over `maxConnections` is answered before it is closed, with a status from 500. Default: nothing. */
  readonly refusal?: Response<EmptyBody | BytesBody> | undefined;
  /** The number of acceptors: how many connections can be set up at the same time. Default 10. */
  readonly poolSize?: number | undefined;
  /** Stops the server when it aborts. Default: none. */
  readonly signal?: AbortSignal | undefined;
  /** Limits in place of the defaults. */
  readonly limits?: glisten.Overrides<Limits> | undefined;
  /** Deadlines in place of the defaults, in milliseconds. */
  readonly deadlines?: glisten.Overrides<Deadlines> | undefined;
  /** Called when the server listens. Default: prints the address, unless it is memory. */
  readonly afterStart?: AfterStart | undefined;
  /** Called with every failure of a handler or of what produces a body. Default: prints it to stderr. */
  readonly onError?: ((report: ErrorReport) => void) | undefined;
  /** Makes the response to every failure. Default: the status and its name as text. */
  readonly onFailure?: FailureHandler | undefined;
}

/** Options of {@link serve}: the handler, where to listen (default: port 4000), and those of the server. */
export interface ServeOptions<Body = RequestBody> extends ServerOptions, glisten.ListenPlace {
  /** Answers a request. */
  readonly handler: Handler<Body>;
  /** Reads every request's body before the handler is called, which then takes a `Request<Buffer>`. Default: off. */
  readonly readRequestBody?: ReadRequestBodyOptions | undefined;
}

type Values = { readonly [Name in keyof ServerOptions]-?: Exclude<ServerOptions[Name], undefined> };
type Steps = { readonly [Name in keyof Values]: (builder: Builder, value: Values[Name]) => Builder };

const steps: Steps = {
  bind: (builder, host) => builder.bind(host),
  ipv6: (builder, wanted) => {
    if (typeof wanted !== "boolean") throw new UsageError(`ipv6 must be true or false, got ${shown(wanted)}`);
    return wanted ? builder.withIpv6() : builder;
  },
  tls: (builder, options) => builder.withTls(options),
  http2: (builder, wanted) => builder.withHttp2(wanted),
  clientVerification: (builder, options) => builder.withClientVerification(options),
  proxyProtocol: (builder, options) => builder.withProxyProtocol(options),
  forwarded: (builder, options) => builder.withForwarded(options),
  requestId: (builder, options) => builder.withRequestId(options),
  maxConnections: (builder, count) => builder.withMaxConnections(count),
  refusal: (builder, refusal) => builder.withRefusal(refusal),
  poolSize: (builder, size) => builder.withPoolSize(size),
  signal: (builder, signal) => builder.withSignal(signal),
  limits: (builder, limits) => builder.withLimits(limits),
  deadlines: (builder, deadlines) => builder.withDeadlines(deadlines),
  afterStart: (builder, afterStart) => builder.afterStart(afterStart),
  onError: (builder, onError) => builder.onError(onError),
  onFailure: (builder, onFailure) => builder.onFailure(onFailure),
};

/** The names of all options of {@link serve}. */
export const serveOptionNames: readonly string[] = [
  "handler",
  "readRequestBody",
  ...placeNames,
  ...Object.keys(steps),
];

/**
 * Starts a server: `new`, the builder's methods and `start` in one call.
 *
 * @throws UsageError (rejects) for an unknown or wrong option, and for more than one of `port`, `path`, `fd`,
 *   `systemd` and `memory`; StartError and CertificateError as the builder's `start` does.
 *
 * @example
 * ```ts
 * const server = await mist.serve({
 *   port: 4000,
 *   handler: () => mist.text("hello, mist\n"),
 *   deadlines: { keepAliveMs: 60_000 },
 * });
 * ```
 */
export function serve(options: ServeOptions & { readonly readRequestBody?: undefined }): Promise<Server>;
export function serve(
  options: ServeOptions<Buffer> & { readonly readRequestBody: ReadRequestBodyOptions },
): Promise<Server>;
export async function serve(options: ServeOptions | ServeOptions<Buffer>): Promise<Server> {
  checkNames("serve", options, serveOptionNames);
  const { readRequestBody } = options;
  let builder =
    readRequestBody === undefined
      ? create(options.handler as Handler)
      : create(options.handler as Handler<Buffer>).readRequestBody(readRequestBody);
  for (const name of Object.keys(steps) as (keyof ServerOptions)[]) builder = applied(builder, name, options);
  const target = targetOf("serve", options);
  if (typeof target === "number") return builder.port(target).start();
  return builder.start(target);
}

function applied<Name extends keyof ServerOptions>(
  builder: Builder,
  name: Name,
  options: ServerOptions,
): Builder {
  const value = options[name];
  return value === undefined ? builder : steps[name](builder, value as Values[Name]);
}
