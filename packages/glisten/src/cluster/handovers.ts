// Connections on their way from the primary to a worker.
//
// node:cluster keeps its copy of a connection until the worker says that it has taken it. A worker that dies in between
// never says so, and its client would wait for an answer as long as the primary lives. The worker may have read some of
// it, so no other worker can have it: it is closed.

import cluster, { type Worker } from "node:cluster";
import { type Answer, isOurs } from "./messages.ts";

interface Handle {
  close(): void;
}

/** The worker that each connection was offered to last. node:cluster offers what one refuses to the next. */
const offeredTo = new WeakMap<Handle, Worker>();

/** When the worker ends, closes what it has neither taken nor refused. Call it before the worker listens. */
export function closeUnclaimed(worker: Worker): void {
  const child = worker.process;
  // One connection of a listening socket at a time.
  const offers = new Map<unknown, Handle>();
  const send = child.send.bind(child) as (...message: readonly unknown[]) => boolean;
  child.send = (...message: readonly unknown[]): boolean => {
    const [content, handle] = message;
    if (isOffer(content) && isHandle(handle)) {
      offers.set(content.key, handle);
      offeredTo.set(handle, worker);
    }
    return send(...message);
  };
  let refusesAll = false;
  worker.on("message", (message: unknown) => {
    if (isOurs(message) && (message as Answer).glisten === "stopped") refusesAll = true;
  });
  worker.once("exit", () => {
    // What it refused waits for the others, if there are any.
    const others = Object.values(cluster.workers ?? {}).some((other) => other !== worker && !other?.isDead());
    if (refusesAll && others) return;
    for (const handle of offers.values()) {
      if (offeredTo.get(handle) === worker) handle.close(); // does nothing to one that was taken
    }
  });
}

/** Messages whose `cmd` begins with `NODE_` are Node's own. */
function isOffer(content: unknown): content is { readonly key: unknown } {
  const { cmd, key } = Object(content) as { readonly cmd?: unknown; readonly key?: unknown };
  return cmd === "NODE_CLUSTER" && key !== undefined;
}

function isHandle(handle: unknown): handle is Handle {
  return typeof (handle as Partial<Handle> | null | undefined)?.close === "function";
}
