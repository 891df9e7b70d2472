// The builder: immutable, typed, one method per option. `start` is where a description becomes a server.
import {
  type Handler,
  type HandlerLoop,
  handlerProtocol,
  type Init,
  type OnClose,
  type OnShutdown,
} from "./handler.ts";
import { type ActiveState, DEFAULTS, type ServerOptions, withOptions } from "./options.ts";
import type { CreateProtocol } from "./protocol.ts";
import { type ErrorHandler, Server } from "./server.ts";

/** A server described, not started. Every method gives a new one. */
export class Builder {
  /** @internal */
  readonly options: ServerOptions;

  constructor(options: ServerOptions) {
    this.options = options;
  }

  protected createProtocol(): CreateProtocol {
    throw new Error("abstract");
  }

  protected copy(_options: ServerOptions): this {
    throw new Error("abstract");
  }

  private with(patch: Partial<ServerOptions>): this {
    return this.copy(withOptions(this.options, patch));
  }

  withPoolSize(size: number): this {
    return this.with({ poolSize: size });
  }

  bind(address: string): this {
    return this.with({ interface: address });
  }

  withIpv6(): this {
    return this.with({ ipv6: true });
  }

  withMaxConnections(max: number): this {
    return this.with({ maxConnections: max });
  }

  withErrorHandler(report: ErrorHandler): this {
    return this.with({ onError: report });
  }

  withSignal(signal: AbortSignal): this {
    return this.with({ signal });
  }

  async start(port: number): Promise<Server> {
    const server = new Server(this.options, this.createProtocol(), this instanceof HandlerBuilder);
    await server.start(port);
    return server;
  }
}

export class HandlerBuilder<State, UserMessage> extends Builder {
  private readonly handler: Handler<State, UserMessage>;

  constructor(options: ServerOptions, handler: Handler<State, UserMessage>) {
    super(options);
    this.handler = handler;
  }

  protected override createProtocol(): CreateProtocol {
    return handlerProtocol(this.handler);
  }

  protected override copy(options: ServerOptions): this {
    return new HandlerBuilder(options, this.handler) as this;
  }

  withClose(onClose: OnClose<State>): HandlerBuilder<State, UserMessage> {
    return new HandlerBuilder(this.options, { ...this.handler, onClose });
  }

  withShutdown(onShutdown: OnShutdown<State, UserMessage>): HandlerBuilder<State, UserMessage> {
    return new HandlerBuilder(this.options, { ...this.handler, onShutdown });
  }

  withActiveState(activeState: ActiveState): HandlerBuilder<State, UserMessage> {
    return new HandlerBuilder(withOptions(this.options, { activeState }), this.handler);
  }
}

class ProtocolBuilder extends Builder {
  private readonly create: CreateProtocol;

  constructor(options: ServerOptions, create: CreateProtocol) {
    super(options);
    this.create = create;
  }

  protected override createProtocol(): CreateProtocol {
    return this.create;
  }

  protected override copy(options: ServerOptions): this {
    return new ProtocolBuilder(options, this.create) as this;
  }
}

/** A server whose connections run `loop` over packets and user messages. Exported as `new`. */
export function create<State, UserMessage = never>(
  init: Init<State, UserMessage>,
  loop: HandlerLoop<State, UserMessage>,
): HandlerBuilder<State, UserMessage> {
  return new HandlerBuilder(DEFAULTS, { init, loop, onClose: undefined, onShutdown: undefined, mailbox: {} });
}

/** A server whose connections carry a protocol of their own. */
export function protocol(make: CreateProtocol): Builder {
  return new ProtocolBuilder(DEFAULTS, make);
}
