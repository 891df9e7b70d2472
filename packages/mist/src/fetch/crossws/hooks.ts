// The hooks of crossws: those of all sockets, and those that a request's route has.

import type { AdapterOptions, Hooks, PeerContext, PerMessageDeflateOptions } from "crossws";
import { UsageError } from "../../errors.ts";
import type { CompressionOptions } from "../../server/websocket/options.ts";

/** What a hook's handshake came to. */
export interface Upgrade {
  readonly type: "upgrade";
  readonly namespace: string;
  readonly context: PeerContext;
  readonly headers: Headers;
  /** The subprotocol chosen, if any. */
  readonly protocol: string | undefined;
  readonly compression: boolean | CompressionOptions | undefined;
}

/** The request is answered otherwise. */
export interface Refusal {
  readonly type: "refusal";
  readonly response: Response;
}

type UpgradeRequest = Parameters<Hooks["upgrade"]>[0];
type Resolved = Partial<Hooks> | undefined;

/** The hooks of one socket: the adapter's own first, then its route's. */
export class SocketHooks {
  readonly #global: Partial<Hooks>;
  readonly #resolved: Resolved;

  constructor(global: Partial<Hooks> | undefined, resolved: Resolved) {
    this.#global = global ?? {};
    this.#resolved = resolved;
  }

  /** Calls both hooks of that name. A promise only if one of them gives one. */
  call<Name extends Exclude<keyof Hooks, "upgrade">>(
    name: Name,
    ...args: Parameters<Hooks[Name]>
  ): Promise<unknown> | undefined {
    const first = callHook(this.#global[name], args);
    const second = callHook(this.#resolved?.[name], args);
    if (first instanceof Promise || second instanceof Promise) return Promise.all([first, second]);
    return undefined;
  }

  /** Asks the hooks what to do with a handshake. Rejects with what they throw, unless it is a Response. */
  async upgrade(request: UpgradeRequest, options: AdapterOptions): Promise<Upgrade | Refusal> {
    const context: PeerContext = request.context ?? {};
    let result: Awaited<ReturnType<Hooks["upgrade"]>>;
    try {
      const global = await this.#global.upgrade?.(request);
      result = (await this.#resolved?.upgrade?.(request)) || global;
    } catch (error) {
      const response = (error as { response?: unknown } | undefined)?.response ?? error;
      if (response instanceof Response) return { type: "refusal", response };
      throw error;
    }
    if (result instanceof Response) return { type: "refusal", response: result };
    if (result?.handled) throw new UsageError("a hook cannot handle the upgrade itself on this server");
    const headers = new Headers(result?.headers);
    return {
      type: "upgrade",
      namespace: result?.namespace ?? options.getNamespace?.(request) ?? new URL(request.url).pathname,
      context: Object.assign(context, result?.context),
      headers,
      protocol: result?.protocol ?? (await protocolOf(request, headers, options)),
      compression: compressionOf(result?.perMessageDeflate),
    };
  }
}

function callHook(hook: unknown, args: readonly unknown[]): unknown {
  return typeof hook === "function" ? hook(...args) : undefined;
}

async function protocolOf(
  request: Request,
  headers: Headers,
  options: AdapterOptions,
): Promise<string | undefined> {
  const named = headers.get("sec-websocket-protocol");
  if (named !== null) return named;
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",");
  const names = new Set(offered.map((name) => name.trim()).filter((name) => name !== ""));
  if (options.handleProtocols === undefined || names.size === 0) return undefined;
  return (await options.handleProtocols(names, request)) || undefined;
}

function compressionOf(
  deflate: boolean | PerMessageDeflateOptions | undefined,
): boolean | CompressionOptions | undefined {
  if (typeof deflate !== "object") return deflate;
  const { zlibDeflateOptions, zlibInflateOptions: _inflate, ...agreed } = deflate;
  const { level, memLevel } = zlibDeflateOptions ?? {};
  return {
    serverNoContextTakeover: false, // as ws has it, after which these options are
    clientNoContextTakeover: false,
    ...agreed,
    ...(level === undefined ? {} : { level }),
    ...(memLevel === undefined ? {} : { memLevel }),
  };
}
