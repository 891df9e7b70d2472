// A handler around a handler, for what changes responses: `compress`, `etag`, `cors`.

import { checkFunction } from "@x/glisten/kit";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import type { ServerResponse } from "../body/response-body.ts";
import type { Handler } from "../exchange/service.ts";

/**
 * A handler whose responses `adapt` changes. One that answers at once still does.
 *
 * @param name of the function that was given the handler.
 * @throws UsageError unless `handler` is a function.
 */
export function wrapHandler<Body>(
  name: string,
  handler: Handler<Body>,
  adapt: (request: Request<Body>, response: ServerResponse) => ServerResponse | Promise<ServerResponse>,
): Handler<Body> {
  checkFunction(`the handler given to ${name}`, handler);
  // What is no response is for the server to report.
  const adapted = (request: Request<Body>, response: ServerResponse) =>
    response instanceof Response ? adapt(request, response) : response;
  return (request) => {
    const result = handler(request);
    if (result instanceof Response) return adapt(request, result);
    return Promise.resolve(result).then((response) => adapted(request, response));
  };
}
