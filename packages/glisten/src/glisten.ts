// The builder: immutable, typed, one method per option; `start` is where a description becomes a server.

import type { AnyIfUnknown, ChildSpecification, MailboxLimits } from "./actor/index.ts";
import { checkMailboxLimits, mailboxOptions } from "./actor/mailbox.ts";
import type { CreateProtocol } from "./connection/connection.ts";
import type { ConnectionSettings } from "./connection/connection-host.ts";
import {
  type Handler,
  type HandlerLoop,
  handlerProtocol,
  type Init,
  type OnClose,
  type OnShutdown,
} from "./connection/handler.ts";
import { handshake, type ProxySettings } from "./connection/handshake.ts";
import { UsageError } from "./errors.ts";
import { checkFunction, checkFunctions, checkNames, shown } from "./option-names.ts";
import {
  type ActiveState,
  defaults,
  type ProxyProtocolOptions,
  proxyProtocolNames,
  readAheadBytes,
  type ServerOptions,
  withOptions,
} from "./options.ts";
import { RunningServer } from "./server/server.ts";
import type { ErrorHandler, Server } from "./server/server-interface.ts";
import { checkMemoryTarget } from "./transport/memory.ts";
import { trustedPeers } from "./transport/proxy-protocol.ts";
import { type ClientVerification, TlsContext, type TlsOptions } from "./transport/tls.ts";
import type {
  DescriptorTarget,
  MemoryTarget,
  SystemdTarget,
  TcpTarget,
  UnixTarget,
} from "./transport/transport.ts";

/** Where to start: a TCP port (0: the system chooses), a unix socket, a socket that is open already, or memory. */
export type ListenTarget = number | UnixTarget | DescriptorTarget | SystemdTarget | MemoryTarget;

/** A server as a child of a supervisor. */
export type ServerSpecification = ChildSpecification<Server>;

/** Options of {@link Builder.supervised}. */
export interface SupervisedOptions {
  /**
   * Names the server within its supervisor. Default: what it is and where it listens, such as `"glisten:3000"`,
   * `"glisten:unix:/run/app.sock"`, `"glisten:fd:3"`, `"glisten:systemd"` or `"glisten:memory"`.
   */
  readonly id?: string | undefined;
}

/** A server described and not started. Immutable: every method returns a new builder and leaves this one unchanged. */
export class Builder {
  protected readonly options: ServerOptions;
  readonly #create: CreateProtocol;

  /** @internal */
  constructor(options: ServerOptions, create: CreateProtocol) {
    this.options = options;
    this.#create = create;
  }

  /** Acceptors, which is also how many connections may be initialising at once. Default: 10. */
  withPoolSize(size: number): this {
    return this.with({ poolSize: size });
  }

  /** `"localhost"` (the default), `"0.0.0.0"`, or an IPv4 or IPv6 address of this machine. */
  bind(address: string): this {
    return this.with({ bind: address });
  }

  /** Serves IPv6 as well as IPv4. */
  withIpv6(): this {
    return this.with({ ipv6: true });
  }

  /** Offers TLS, and nothing but TLS. What the options name is read by `start`. */
  withTls(options: TlsOptions): this {
    return this.with({ tls: options });
  }

  /** Asks TLS clients for a certificate of one of these authorities. */
  withClientVerification(verification: ClientVerification): this {
    const builder = this.with({ clientVerification: verification });
    const { caFile, ca } = (verification as ClientVerification | undefined) ?? {};
    if (caFile === undefined && ca === undefined) {
      throw new UsageError(
        "withClientVerification takes caFile or ca: the authorities that clients are verified against",
      );
    }
    return builder;
  }

  /** Expects a PROXY header in front of every connection, so that `info()` tells the real client. */
  withProxyProtocol(options: ProxyProtocolOptions): this {
    checkNames("withProxyProtocol", options, proxyProtocolNames);
    return this.with({ proxyProtocol: options });
  }

  /** Connections at once; one more is closed at once and counted. Default: 16 384. */
  withMaxConnections(max: number): this {
    return this.with({ maxConnections: max });
  }

  /**
   * What a connection is sent before it is closed because there are too many (`withMaxConnections`, `withMaxQueue`),
   * such as a complete HTTP response with status 503. Over the cap with TLS nothing is sent: no handshake has taken
   * place.
   */
  withRefusal(bytes: string | Uint8Array): this {
    return this.with({ refusal: bytes });
  }

  /** Accepted sockets that may wait for an acceptor; one more is closed at once and counted. Default: 1024. */
  withMaxQueue(max: number): this {
    return this.with({ maxQueue: max });
  }

  /** Connections the kernel holds before they are accepted. Default: 1024. */
  withBacklog(backlog: number): this {
    return this.with({ backlog });
  }

  /** Bytes written and not taken above which `send` waits and `write` says false. Default, and least: 65 536. */
  withHighWaterMark(bytes: number): this {
    return this.with({ highWaterMark: bytes });
  }

  /** TLS handshake and PROXY header together must be done within this. Default: 15 000 ms. */
  withHandshakeTimeout(ms: number): this {
    return this.with({ handshakeTimeoutMs: ms });
  }

  /** An `init` must be done within this. Default: 10 000 ms. */
  withInitTimeout(ms: number): this {
    return this.with({ initTimeoutMs: ms });
  }

  /**
   * After `close`: for how long to read and discard until the peer hangs up (default: 2000 ms), and how long a peer
   * may then take nothing of what is left to send (default: 60 000 ms).
   */
  withLinger(linger: {
    readonly lingerMs?: number | undefined;
    readonly stallMs?: number | undefined;
  }): this {
    checkNames("withLinger", linger, ["lingerMs", "stallMs"]);
    const { lingerMs, stallMs } = linger;
    return this.with({
      lingerMs: lingerMs ?? this.options.lingerMs,
      stallMs: stallMs ?? this.options.stallMs,
    });
  }

  /**
   * Cuts off, with RST, a peer that does not take what is written to it. While bytes wait for the peer, it may take
   * nothing for `sendMs` (default: 90 000 ms; Infinity: for as long as it likes), and must take at least `minSendRate`
   * bytes per second on average (default: 240; 0: no minimum). The close reason is `{ type: "deadline", deadline: "send" }`.
   */
  withSendDeadline(limits: {
    readonly sendMs?: number | undefined;
    readonly minSendRate?: number | undefined;
  }): this {
    checkNames("withSendDeadline", limits, ["sendMs", "minSendRate"]);
    const { sendMs, minSendRate } = limits;
    return this.with({
      sendMs: sendMs ?? this.options.sendMs,
      minSendRate: minSendRate ?? this.options.minSendRate,
    });
  }

  /** How long `stop()` waits for connections unless it is told. Default: 10 000 ms. */
  withStopDeadline(ms: number): this {
    return this.with({ stopDeadlineMs: ms });
  }

  /** How many crashes of listener or acceptors, within how long, are tolerated. Default: 3 within 5000 ms. */
  withIntensity(intensity: { readonly restarts: number; readonly withinMs: number }): this {
    return this.with({ intensity });
  }

  /** Stops the server when aborted, also while it is starting. */
  withSignal(signal: AbortSignal): this {
    return this.with({ signal });
  }

  /** Called once for every failure of user code. Default: prints it to stderr. */
  onError(report: ErrorHandler): this {
    return this.with({ onError: report });
  }

  /**
   * Starts the server.
   *
   * @throws StartError when it cannot listen, CertificateError when TLS lacks something, UsageError for options
   *   that contradict each other (all as rejections).
   */
  start(target: ListenTarget): Promise<Server> {
    return this.#launch(target, undefined);
  }

  /**
   * The server as a child of a supervisor, which calls the specification's `start` whenever the server is to run.
   *
   * @throws UsageError for an invalid target or option.
   */
  supervised(target: ListenTarget, options: SupervisedOptions = {}): ServerSpecification {
    checkNames("supervised", options, ["id"]);
    if (options.id !== undefined && (typeof options.id !== "string" || options.id === "")) {
      throw new UsageError(`id must be a string that is not empty, got ${shown(options.id)}`);
    }
    return {
      id: options.id ?? specificationId(target),
      type: "supervisor",
      start: (signal) => this.#launch(target, signal),
      shutdownMs: this.options.stopDeadlineMs,
    };
  }

  async #launch(target: ListenTarget, signal: AbortSignal | undefined): Promise<Server> {
    const { options } = this;
    const { tls, clientVerification } = options;
    if (clientVerification !== undefined && tls === undefined) {
      throw new UsageError("withClientVerification needs withTls: without TLS clients show no certificate");
    }
    const socketTarget = this.#socketTarget(target);
    const context = tls === undefined ? undefined : await TlsContext.create(tls, clientVerification);
    return new RunningServer(options, this.#settings(context), socketTarget, context).start(signal);
  }

  #socketTarget(target: ListenTarget): Exclude<ListenTarget, number> | TcpTarget {
    const { bind: name, ipv6 } = this.options;
    if (typeof target === "number") return { port: target, interface: name, ipv6 };
    checkTarget(target);
    if (name !== defaults.bind || ipv6) {
      throw new UsageError("bind and withIpv6 are for a TCP port, and this server listens on something else");
    }
    return target;
  }

  #settings(tls: TlsContext | undefined): ConnectionSettings {
    const { activeState, proxyProtocol, highWaterMark } = this.options;
    const { handshakeTimeoutMs, initTimeoutMs, lingerMs, stallMs, sendMs, minSendRate } = this.options;
    return {
      create: this.#create,
      handshake: handshake(proxySettings(proxyProtocol), tls),
      readAheadChunks: readAheadChunks(activeState),
      readAheadBytes,
      readStopsWhenBlocked: this instanceof HandlerBuilder,
      highWaterMark,
      handshakeTimeoutMs,
      initTimeoutMs,
      lingerMs,
      stallMs,
      sendMs,
      minSendRate,
    };
  }

  protected copy(options: ServerOptions): this {
    return new Builder(options, this.#create) as this;
  }

  protected with(patch: Partial<ServerOptions>): this {
    return this.copy(withOptions(this.options, patch));
  }
}

/** A server of handlers described and not started. */
export class HandlerBuilder<State, UserMessage> extends Builder {
  readonly #handler: Handler<State, UserMessage>;

  /** @internal */
  constructor(options: ServerOptions, handler: Handler<State, UserMessage>) {
    super(options, handlerProtocol(checkedHandler(handler)));
    this.#handler = handler;
  }

  /** Called exactly once for every connection whose `init` succeeded, however it ended, with the last state. */
  withClose(onClose: OnClose<State>): this {
    checkFunction("onClose", onClose);
    return this.#withHandler({ onClose });
  }

  /** Called when the server is stopping. Without it a connection may go on until the stop deadline. */
  withShutdown(onShutdown: OnShutdown<State, UserMessage>): this {
    checkFunction("onShutdown", onShutdown);
    return this.#withHandler({ onShutdown });
  }

  /** How far packets are read ahead of a handler whose promise is open. Default: `"once"`. */
  withActiveState(activeState: ActiveState): this {
    return this.with({ activeState });
  }

  /** Bounds the user messages that may wait for a connection. Default: no bound. */
  withMailbox(limits: MailboxLimits): this {
    checkNames("withMailbox", limits, mailboxOptions);
    return this.#withHandler({ mailbox: limits });
  }

  #withHandler(patch: Partial<Handler<State, UserMessage>>): this {
    return new HandlerBuilder(this.options, { ...this.#handler, ...patch }) as this;
  }

  protected override copy(options: ServerOptions): this {
    return new HandlerBuilder(options, this.#handler) as this;
  }
}

function checkedHandler<State, UserMessage>(
  handler: Handler<State, UserMessage>,
): Handler<State, UserMessage> {
  checkFunctions(handler, ["init", "loop"], ["onClose", "onShutdown"]);
  checkMailboxLimits(handler.mailbox);
  return handler;
}

const targets: Readonly<Record<string, readonly string[]>> = {
  path: ["path", "everyone"],
  fd: ["fd"],
  systemd: ["systemd"],
  memory: ["memory"],
};

function checkTarget(target: Exclude<ListenTarget, number>): void {
  const given: unknown = target;
  const kind =
    typeof given === "object" && given !== null && Object.keys(targets).find((name) => name in given);
  if (!kind) {
    throw new UsageError(
      `the target must be a port number, { path }, { fd }, { systemd } or { memory }, got ${shown(given)}`,
    );
  }
  checkNames(`start({ ${kind} })`, target, targets[kind]!);
  if ("memory" in target) checkMemoryTarget(target);
}

/** What a server is called in a supervision tree unless it is given a name. */
function specificationId(target: ListenTarget): string {
  if (typeof target === "number") return `glisten:${target}`;
  checkTarget(target);
  if ("path" in target) return `glisten:unix:${target.path}`;
  if ("fd" in target) return `glisten:fd:${target.fd}`;
  if ("memory" in target) return "glisten:memory";
  return target.systemd === true ? "glisten:systemd" : `glisten:systemd:${target.systemd}`;
}

function proxySettings(options: ProxyProtocolOptions | undefined): ProxySettings | undefined {
  if (options === undefined) return undefined;
  return { trusted: trustedPeers(options.trustedPeers), maxHeaderBytes: options.maxHeaderBytes };
}

function readAheadChunks(activeState: ActiveState): number {
  if (activeState === "once") return 1;
  return activeState === "active" ? Number.POSITIVE_INFINITY : activeState.count;
}

/**
 * A server whose connections run `loop` over packets and user messages, one at a time. Exported as `new`.
 *
 * ```ts
 * const server = await glisten
 *   .new(() => 0, async (count, message, conn) => {
 *     if (message.type === "packet") await conn.send(message.data);
 *     return glisten.continue(count + 1);
 *   })
 *   .start(3000);
 * ```
 */
export function create<State, UserMessage = never, Self = AnyIfUnknown<UserMessage>>(
  init: Init<State, UserMessage, Self>,
  loop: HandlerLoop<State, UserMessage>,
): HandlerBuilder<State, UserMessage> {
  return new HandlerBuilder<State, UserMessage>(defaults, {
    init: init as unknown as Init<State, UserMessage>,
    loop,
    onClose: undefined,
    onShutdown: undefined,
    mailbox: {},
  });
}

/** A server whose connections carry a protocol of their own, one object per connection. */
export function protocol(make: CreateProtocol): Builder {
  checkFunction("the protocol", make);
  return new Builder(defaults, make);
}
