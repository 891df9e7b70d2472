// Handlers under `tracing:mist:request`, the tracing channel of Node's diagnostics.

import type { Request, RequestBody } from "../../http/request.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { Handler } from "./service.ts";
import { type RequestEndEvent, type RequestTrace, requestTracing } from "./telemetry.ts";

/** What an exchange is to a traced handler. */
interface Traceable {
  readonly request: Request<RequestBody>;
  observe(onOver: (event: RequestEndEvent) => void): () => void;
}

/** Calls the handler as `tracePromise` does: `start`, `end`, and `error`, `asyncStart`, `asyncEnd` when all is over. */
export function tracedHandler(
  handler: Handler,
  exchange: Traceable,
): ServerResponse | Promise<ServerResponse> {
  const { request } = exchange;
  const { start, end, error, asyncStart, asyncEnd } = requestTracing;
  const trace: RequestTrace = { request };
  const keepContext = exchange.observe((event) => {
    const { request: _, ...told } = event;
    Object.assign(trace, told);
    if (event.error !== undefined) error.publish(trace);
    asyncStart.publish(trace);
    asyncEnd.publish(trace);
  });
  return start.runStores(trace, () => {
    keepContext();
    try {
      return handler(request);
    } finally {
      end.publish(trace);
    }
  });
}
