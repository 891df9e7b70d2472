// `mist.test`: a server that listens nowhere.

import type { RequestBody } from "./http/request.ts";
import { Builder, create } from "./mist.ts";
import type { Server } from "./running-server.ts";
import type { Handler } from "./server/exchange/service.ts";

/**
 * Starts a server that listens on memory, to be tested with `server.fetch` and `server.websocket`. There is no port, and
 * `await using` leaves nothing behind.
 *
 * @param subject a handler, or the builder of a server with its options.
 *
 * @example
 * ```ts
 * await using server = await mist.test(() => mist.text("hello"));
 * const response = await server.fetch("/");
 * console.log(await response.text()); // hello
 * ```
 */
export async function test(subject: Handler | Builder<RequestBody>): Promise<Server> {
  const builder = subject instanceof Builder ? subject : create(subject);
  return await builder.start({ memory: true });
}
