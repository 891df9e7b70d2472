// The builder: from a handler to a running server.

import type { Buffer } from "node:buffer";
import * as glisten from "@x/glisten";
import type { ChildSpecification } from "@x/glisten/actor";
import { callUser, checkFunction, checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "./errors.ts";
import type { RequestBody } from "./http/request.ts";
import { type BytesBody, type EmptyBody, Response } from "./http/response.ts";
import { type Deadlines, defaultDeadlines, defaultLimits, type Limits, withOverrides } from "./options.ts";
import { Server, type ServerAddress } from "./running-server.ts";
import type { ServerResponse } from "./server/body/response-body.ts";
import { serverEvents } from "./server/events.ts";
import { currentContext } from "./server/exchange/async-context.ts";
import { BackgroundWork } from "./server/exchange/background-work.ts";
import {
  type ForwardedOptions,
  type ForwardedSettings,
  forwardedSettings,
} from "./server/exchange/forwarded.ts";
import { checkedLimit, readBody } from "./server/exchange/request-body.ts";
import {
  type RequestIdOptions,
  type RequestIdSettings,
  requestIdSettings,
} from "./server/exchange/request-id.ts";
import type { ErrorReport, FailureHandler, Handler, Service } from "./server/exchange/service.ts";
import { StreamCount } from "./server/exchange/stream-count.ts";
import { httpProtocol } from "./server/negotiation.ts";
import { refusalBytes } from "./server/refusal.ts";

/** Called when the server listens, with where that is; awaited by `start`. */
export type AfterStart = (address: ServerAddress) => unknown;

/** A server as a child of a supervisor. */
export type ServerSpecification = ChildSpecification<Server>;

/** Where to listen in place of `.port(…)`: another port, a unix socket, a socket that is already listening, memory. */
export type ListenTarget = glisten.ListenTarget;

/** Options of {@link Builder.readRequestBody}. */
export interface ReadRequestBodyOptions {
  /** Most bytes of a request body. */
  readonly bytesLimit: number;
  /** The response when the body is too long or broken; the handler is not called. Default: 413 or 400. */
  readonly failureResponse?: ServerResponse | undefined;
}

/** A timer of Node's takes no more. */
const longestMs = 2 ** 31 - 1;

interface Settings {
  readonly handler: Handler;
  readonly port: number;
  readonly afterStart: AfterStart;
  readonly onError: (report: ErrorReport) => void;
  readonly onFailure: FailureHandler | undefined;
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly forwarded: ForwardedSettings | undefined;
  readonly requestId: RequestIdSettings | undefined;
  readonly secure: boolean;
  /** Undefined: on, as the default has it. */
  readonly http2: boolean | undefined;
  readonly alpnProtocols: readonly string[] | undefined;
  /** Applies the options of the server below, in the order they were set. */
  readonly transport: Transport;
}

type Transport = (builder: glisten.Builder, alpnProtocols: readonly string[]) => glisten.Builder;

/**
 * An HTTP server, described but not started. Immutable: every method returns a new builder and leaves this one unchanged.
 *
 * @typeParam Body what the handler expects as a request's body: one that has yet to be read for `start`, a `Buffer` for
 *   `readRequestBody`.
 */
// A handler consumes requests, so Body is contravariant. Nothing else in the declarations depends on it, and without
// the annotation the compiler would take any builder for any other.
export class Builder<in Body = RequestBody> {
  readonly #settings: Settings;

  /** Use `mist.new(handler)`. @internal */
  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Port to listen on; 0: the system chooses a free one. Default 4000. @throws UsageError unless from 0 to 65535. */
  port(port: number): Builder<Body> {
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      throw new UsageError(`port must be an integer from 0 to 65535, got ${shown(port)}`);
    }
    return this.#with({ port });
  }

  /**
   * Interface to listen on: `"localhost"`, an IPv4 or IPv6 address, `"0.0.0.0"` or `"::"`. Default: loopback.
   *
   * @throws UsageError for anything else.
   */
  bind(host: string): Builder<Body> {
    return this.#below((builder) => builder.bind(host));
  }

  /** Listens on IPv6 as well. */
  withIpv6(): Builder<Body> {
    return this.#below((builder) => builder.withIpv6());
  }

  /**
   * Serves HTTPS. The options are glisten's: certificate files, PEM or DER, several by server name. ALPN offers `h2` and
   * `http/1.1` unless `alpnProtocols` says otherwise.
   *
   * @throws UsageError for `alpnProtocols` that contradict {@link Builder.withHttp2}.
   */
  withTls(options: glisten.TlsOptions): Builder<Body> {
    // glisten refuses what is not an object.
    const alpnProtocols = options?.alpnProtocols;
    return this.#with({ secure: true, alpnProtocols }).#below((builder, offered) =>
      builder.withTls(
        typeof options === "object" && options !== null ? { ...options, alpnProtocols: offered } : options,
      ),
    );
  }

  /**
   * HTTP/2: by ALPN with TLS, and on cleartext connections with prior knowledge (RFC 9113 §3.3). Default: on.
   *
   * @throws UsageError unless `wanted` is a boolean, and if the `alpnProtocols` of {@link Builder.withTls} contradict it.
   */
  withHttp2(wanted = true): Builder<Body> {
    if (typeof wanted !== "boolean")
      throw new UsageError(`http2 must be true or false, got ${shown(wanted)}`);
    return this.#with({ http2: wanted });
  }

  /** Asks TLS clients for a certificate. */
  withClientVerification(options: glisten.ClientVerificationOptions): Builder<Body> {
    return this.#below((builder) => builder.withClientVerification(options));
  }

  /** Expects the PROXY protocol in front of every connection of a trusted peer. */
  withProxyProtocol(options: glisten.ProxyProtocolOptions): Builder<Body> {
    return this.#below((builder) => builder.withProxyProtocol(options));
  }

  /**
   * Believes what the proxies in the list say of their clients: `getConnectionInfo(request)`, and `scheme`, `host` and `port` of
   * requests, are those of the nearest hop that is not in the list. Of anybody else the fields are ignored, and a chain
   * that is malformed leaves everything as the connection says. Default: off.
   *
   * @throws UsageError for an unknown or missing option, and for an entry that is no address, subnet or `"unix"`.
   *
   * @example
   * ```ts
   * mist.new(handler).withForwarded({ trustedPeers: ["10.0.0.0/8"], headers: "x-forwarded" });
   * ```
   */
  withForwarded(options: ForwardedOptions): Builder<Body> {
    return this.#with({ forwarded: forwardedSettings(options) });
  }

  /**
   * Takes the id of a request (`request.id`) from a field, if what stands there is well-formed, and makes one otherwise.
   * Default: ids are made, whatever clients send.
   *
   * @throws UsageError for an unknown option, a `header` that is no field name, or a `make` that is no function.
   */
  withRequestId(options: RequestIdOptions = {}): Builder<Body> {
    return this.#with({ requestId: requestIdSettings(options) });
  }

  /** The maximum number of connections; further ones are closed at once and counted. Default 16 384. */
  withMaxConnections(count: number): Builder<Body> {
    return this.#below((builder) => builder.withMaxConnections(count));
  }

  /**
   * What a connection over `withMaxConnections` is answered before it is closed. Default: nothing. With TLS nothing is
   * sent: no handshake has taken place.
   *
   * @throws UsageError unless `refusal` is a response with a status from 500 to 599 and a body that is there as a whole.
   *
   * @example
   * ```ts
   * mist.new(handler).withRefusal(mist.text("Busy.\n", { status: 503, headers: { "retry-after": "5" } }));
   * ```
   */
  withRefusal(refusal: Response<EmptyBody | BytesBody>): Builder<Body> {
    const bytes = refusalBytes(refusal);
    return this.#below((builder) => builder.withRefusal(bytes));
  }

  /** The number of acceptors: how many connections can be set up at the same time. Default 10. */
  withPoolSize(size: number): Builder<Body> {
    return this.#below((builder) => builder.withPoolSize(size));
  }

  /** Stops the server when the signal aborts. */
  withSignal(signal: AbortSignal): Builder<Body> {
    return this.#below((builder) => builder.withSignal(signal));
  }

  /** Limits in place of the defaults. @throws UsageError for an unknown name or a negative number. */
  withLimits(limits: glisten.Overrides<Limits>): Builder<Body> {
    return this.#with({ limits: withOverrides("withLimits", this.#settings.limits, limits) });
  }

  /** Deadlines in place of the defaults, in milliseconds. @throws UsageError as {@link Builder.withLimits}. */
  withDeadlines(deadlines: glisten.Overrides<Deadlines>): Builder<Body> {
    return this.#with({ deadlines: withOverrides("withDeadlines", this.#settings.deadlines, deadlines) });
  }

  /**
   * Called whenever the server has begun to listen, by a supervisor too. If it throws or rejects, the server is ended and
   * `start` rejects with the error. Default: prints the address, unless it is memory.
   */
  afterStart(afterStart: AfterStart): Builder<Body> {
    checkFunction("afterStart", afterStart);
    return this.#with({ afterStart });
  }

  /** Sets what is called with every failure of a handler or of what produces a body. Default: prints it to stderr. */
  onError(onError: (report: ErrorReport) => void): Builder<Body> {
    checkFunction("onError", onError);
    return this.#with({ onError });
  }

  /**
   * Makes the response to every failure: what a handler throws (`error.status` if it has one, else 500), a body that is
   * too long, broken or late (400, 408, 413), and what never became a request (400, 408, 414, 417, 431, 501, 505;
   * `request` is undefined then). Set the status you want sent; `connection: close` is added where it must be. Default:
   * the status and its name as text. A failure of `onFailure` itself is reported, and the default is sent.
   *
   * @throws UsageError unless `onFailure` is a function.
   *
   * @example
   * ```ts
   * mist.new(handler).onFailure((error, request) => mist.response(500).setBody(mist.bytes("Sorry.")));
   * ```
   */
  onFailure(onFailure: FailureHandler): Builder<Body> {
    checkFunction("onFailure", onFailure);
    return this.#with({ onFailure });
  }

  /**
   * Reads every request's body before the handler is called, which then receives a `Request<Buffer>`.
   *
   * @throws UsageError for an unknown option, a `bytesLimit` that is not a number of at least 0, or a
   *   `failureResponse` that is not a response.
   */
  readRequestBody(this: Builder<Buffer>, options: ReadRequestBodyOptions): Builder<RequestBody> {
    checkNames("readRequestBody", options, ["bytesLimit", "failureResponse"]);
    const { failureResponse } = options;
    const bytesLimit = checkedLimit(options.bytesLimit, "bytesLimit");
    if (failureResponse !== undefined && !(failureResponse instanceof Response)) {
      throw new UsageError(`failureResponse must be a response, got ${shown(failureResponse)}`);
    }
    const inner = this.#settings.handler as unknown as Handler<Buffer>;
    const handler: Handler = async (request) => {
      let body: Buffer;
      try {
        body = await readBody(request, { maxBodyLimit: bytesLimit });
      } catch (error) {
        if (failureResponse === undefined) throw error;
        return failureResponse;
      }
      return inner(request.setBody(body));
    };
    return new Builder({ ...this.#settings, handler });
  }

  /**
   * Starts the server.
   *
   * @param target a port, the path of a unix socket, an inherited descriptor, memory. Default: the builder's port.
   * @throws StartError (rejects) if it cannot listen, CertificateError if a certificate or key is missing or unusable,
   *   and what `afterStart` throws.
   */
  async start(this: Builder<RequestBody>, target?: ListenTarget): Promise<Server> {
    return this.supervised(target).start(new AbortController().signal);
  }

  /**
   * This server as a child of a supervisor, which gets a {@link Server} whenever it starts one.
   *
   * @param target as for `start`.
   * @throws UsageError for an invalid target or option.
   */
  supervised(
    this: Builder<RequestBody>,
    target: ListenTarget = this.#settings.port,
    options: glisten.SupervisedOptions = {},
  ): ServerSpecification {
    const { shutdownMs, id } = this.#transport(this.#service()).supervised(target, options);
    return {
      // glisten's own says `glisten:4000`.
      id: options.id ?? id.replace("glisten", "mist"),
      type: "supervisor",
      start: (signal) => this.#launch(target, signal),
      shutdownMs,
    };
  }

  async #launch(target: ListenTarget, signal: AbortSignal): Promise<Server> {
    const { secure, afterStart } = this.#settings;
    const service = this.#service();
    const running = await this.#transport(service).supervised(target).start(signal);
    const check = ({ alpnProtocols }: glisten.TlsOptions): void =>
      checkProtocols({ ...this.#settings, alpnProtocols });
    const server = new Server(running, secure ? "https" : "http", service, check);
    try {
      await afterStart(server.address);
    } catch (error) {
      server.kill();
      await server.closed;
      throw error;
    }
    return server;
  }

  /** What the connections of one run share. */
  #service(): Service {
    const { handler, limits, deadlines, forwarded, requestId, onError, onFailure } = this.#settings;
    const background = new BackgroundWork();
    const onFault = (error: unknown): void =>
      void callUser(onError, { error, request: undefined, during: "listener" });
    return {
      handler,
      limits,
      deadlines,
      forwarded,
      requestId,
      background,
      streams: new StreamCount(),
      refusedBy: {},
      events: serverEvents(onFault),
      outside: currentContext(),
      onError,
      onFailure,
    };
  }

  #transport(service: Service): glisten.Builder {
    const { deadlines, transport, http2 = true } = this.#settings;
    const { sendMs, minSendRate } = deadlines;
    const endless = sendMs === 0;
    const below = glisten
      .protocol(httpProtocol(service, http2))
      .withSendDeadline({
        sendMs: endless ? Number.POSITIVE_INFINITY : sendMs,
        minSendRate,
      })
      // A response with `connection: close` is taken no faster than another.
      .withLinger({ stallMs: endless ? longestMs : sendMs });
    return transport(below, offeredProtocols(this.#settings));
  }

  #with(changes: Partial<Settings>): Builder<Body> {
    const settings = { ...this.#settings, ...changes };
    checkProtocols(settings);
    return new Builder(settings);
  }

  #below(change: Transport): Builder<Body> {
    const { transport } = this.#settings;
    // Tried on a builder that is never started, so that a wrong option fails at this call.
    change(
      glisten.protocol(() => ({ data() {} })),
      offeredProtocols(this.#settings),
    );
    return this.#with({ transport: (builder, alpn) => change(transport(builder, alpn), alpn) });
  }
}

/** What ALPN offers, in order of preference. */
function offeredProtocols({ http2 = true, alpnProtocols }: Settings): readonly string[] {
  return alpnProtocols ?? (http2 ? ["h2", "http/1.1"] : ["http/1.1"]);
}

function checkProtocols({ http2, alpnProtocols }: Settings): void {
  if (http2 === undefined || !Array.isArray(alpnProtocols) || alpnProtocols.includes("h2") === http2) return;
  throw new UsageError(
    http2 ? "alpnProtocols must name h2 for HTTP/2" : "alpnProtocols must not name h2 without HTTP/2",
  );
}

/**
 * A server that answers with `handler`. To have bodies read beforehand, declare the request as
 * `mist.Request<Buffer>` and call {@link Builder.readRequestBody}.
 *
 * @throws UsageError unless `handler` is a function.
 */
export function create<Body = RequestBody>(handler: Handler<Body>): Builder<Body> {
  checkFunction("handler", handler);
  return new Builder<Body>({
    handler: handler as unknown as Handler,
    port: 4000,
    afterStart: ({ url, host }) => {
      if (host !== "localhost") console.log(`Listening on ${url}`);
    },
    onError: ({ error, request, during }) =>
      console.error(`${request === undefined ? during : `${request.method} ${request.path}`} failed:`, error),
    onFailure: undefined,
    limits: defaultLimits,
    deadlines: defaultDeadlines,
    forwarded: undefined,
    requestId: undefined,
    secure: false,
    http2: undefined,
    alpnProtocols: undefined,
    transport: (builder) => builder,
  });
}
