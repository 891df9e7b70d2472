// Connect's handlers as one handler of mist. They take and give a request and a response of their own, with the
// content as an iterable and the trailers as Headers that are filled behind it: what `chunked` and `withTrailers` take.

import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import * as mist from "@x/mist";

/** Serves the services that `routes` registers, over gRPC. Other paths are answered 404. */
export function grpc(
  routes: (router: ConnectRouter) => ConnectRouter,
): (request: mist.Request) => Promise<mist.ServerResponse> {
  const router = routes(createConnectRouter({ connect: false, grpcWeb: false }));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return async (request) => {
    const handler = handlers.get(request.path);
    if (handler === undefined) return mist.response(404);
    const answer = await handler({
      httpVersion: request.version,
      url: `${request.scheme}://${request.getHeader("host")}${request.path}`,
      method: request.method,
      header: new Headers(request.headers.map(([name, value]): [string, string] => [name, value])),
      body: mist.stream(request),
      signal: request.signal,
    });
    const { status, header = [], body = [], trailer } = answer;
    const response = mist.response(status, { headers: [...header], body: mist.chunked(body) });
    return trailer === undefined ? response : response.withTrailers(() => [...trailer]);
  };
}
