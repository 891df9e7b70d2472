// `glisten.listen`: the builder and its `start` as one call with one options object.

import type { MailboxLimits } from "./actor/index.ts";
import type { HandlerLoop, Init, OnClose, OnShutdown } from "./connection/handler.ts";
import { UsageError } from "./errors.ts";
import { HandlerBuilder } from "./glisten.ts";
import { type ListenPlace, placeNames, targetOf } from "./listen-place.ts";
import { checkNames } from "./option-names.ts";
import { defaults, type Overrides, optionNames, type ServerOptions, withOptions } from "./options.ts";
import type { Server } from "./server/server-interface.ts";

/** Options of {@link listen}: where to listen, the handler, and every option of the builder. */
export interface ListenOptions<State, UserMessage = never>
  extends Overrides<ServerOptions>,
    ListenPlace,
    MailboxLimits {
  /** Makes a connection's first state, or the state and the sources it listens to. */
  readonly init: Init<State, UserMessage>;
  /** Handles one packet or user message. */
  readonly loop: HandlerLoop<State, UserMessage>;
  /** As the builder's `withClose`: called exactly once for every connection whose `init` succeeded. */
  readonly onClose?: OnClose<State> | undefined;
  /** As the builder's `withShutdown`: called when the server is stopping. */
  readonly onShutdown?: OnShutdown<State, UserMessage> | undefined;
}

const handlerNames = ["init", "loop", "onClose", "onShutdown", "maxMailbox", "overflow"];

/**
 * Starts a server: `new`, the builder's methods and `start` in one call.
 *
 * @throws UsageError (rejects) for an unknown or wrong option, and unless exactly one of `port`, `path`, `fd`,
 *   `systemd` and `memory` is given; StartError and CertificateError as the builder's `start` does.
 *
 * @example
 * ```ts
 * const server = await glisten.listen({
 *   port: 3000,
 *   init: () => 0,
 *   async loop(count, message, conn) {
 *     if (message.type === "packet") await conn.send(message.data);
 *     return glisten.continue(count + 1);
 *   },
 * });
 * ```
 */
export async function listen<State, UserMessage = never>(
  options: ListenOptions<State, UserMessage>,
): Promise<Server> {
  checkNames("listen", options, [...placeNames, ...handlerNames, ...optionNames]);
  const target = targetOf("listen", options);
  if (target === undefined) throw new UsageError("listen needs one of port, path, fd, systemd and memory");
  const { init, loop, onClose, onShutdown, maxMailbox, overflow } = options;
  const handler = { init, loop, onClose, onShutdown, mailbox: { maxMailbox, overflow } };
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && optionNames.includes(name),
  );
  return new HandlerBuilder(withOptions(defaults, Object.fromEntries(given)), handler).start(target);
}
