// Server spans and metrics by OpenTelemetry's semantic conventions for HTTP, in their stable version.
//
// A wrapper around a handler, as `compress` is: a server without it does nothing for tracing. What the API has no SDK for
// costs a few calls that do nothing.

import {
  context,
  type MeterProvider,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type TextMapPropagator,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { checkFunction, checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import { checkRequest, type Request, type RequestExchange } from "../http/request.ts";
import type { ServerResponse } from "../server/body/response-body.ts";
import { observe } from "../server/exchange/request-services.ts";
import type { RequestEndEvent } from "../server/exchange/telemetry.ts";
import { errorType, labelsOf, methodOf, requestAttributes } from "./attributes.ts";
import { Instruments } from "./instruments.ts";

/** Options of {@link telemetry}. */
export interface TelemetryOptions {
  /** Makes the spans. Default: the global one of `@opentelemetry/api`. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Makes the metrics. Default: the global one, as it is when the first request comes. */
  readonly meterProvider?: MeterProvider | undefined;
  /** Reads the context of the caller from the request's fields. Default: the global one. */
  readonly propagator?: TextMapPropagator | undefined;
}

/** What is kept of a request until its end. */
interface Observed {
  readonly span: Span;
  readonly method: string;
  route: string | undefined;
}

// By exchange, which is the same for every value that `setPath`, `setBody` and the like have made of a request.
const observed = new WeakMap<RequestExchange, Observed>();

const scope = "@x/mist";

/**
 * Wraps a handler so that every request has a server span and counts in the metrics of
 * https://opentelemetry.io/docs/specs/semconv/http/. Put it outermost: `telemetry(compress(handler))`.
 *
 * The context of the caller is read from the request's fields, and the span is active in the handler and in all that
 * comes of it: bodies that are produced later, loops of `chunked` and `serverSentEvents`, WebSockets, `onError`. It ends
 * with the response; that of a WebSocket with its handshake, so what its handlers begin are children of a span that has
 * ended. A 5xx, and a response that the server fails to complete, sets the status of the span to error. `error.type` is the
 * name of what was thrown, else the status from 500, else `client_gone` if the client left before the response was complete.
 *
 * Metrics: `http.server.request.duration` (s), `http.server.active_requests`, `http.server.request.body.size` and
 * `http.server.response.body.size` (bytes of content received and sent).
 *
 * Requests that are refused before a handler sees them have no span: see the event `request:refused`.
 *
 * @throws UsageError unless `handler` is a function, and for an unknown option.
 *
 * @example
 * ```ts
 * mist.new(
 *   telemetry((request) => {
 *     const [, id] = request.pathSegments;
 *     setRoute(request, "/books/:id");
 *     return mist.json({ id });
 *   }),
 * );
 * ```
 */
export function telemetry<Body = unknown>(
  handler: (request: Request<Body>) => ServerResponse | Promise<ServerResponse>,
  options: TelemetryOptions = {},
): (request: Request<Body>) => ServerResponse | Promise<ServerResponse> {
  checkFunction("the handler given to telemetry", handler);
  checkNames("telemetry", options, ["tracerProvider", "meterProvider", "propagator"]);
  const { tracerProvider = trace, meterProvider = metrics, propagator = propagation } = options;
  const tracer = tracerProvider.getTracer(scope);
  // A meter that is asked for before there is an SDK never measures anything.
  let instruments: Instruments | undefined;

  return (request) => {
    instruments ??= new Instruments(meterProvider.getMeter(scope));
    const { active, duration, requestSize, responseSize } = instruments;
    const method = methodOf(request);
    const parent = propagator.extract(ROOT_CONTEXT, request, fieldsOfRequest);
    const attributes = requestAttributes(request);
    const span = tracer.startSpan(spanName(method, undefined), { kind: SpanKind.SERVER, attributes }, parent);
    const spanContext = trace.setSpan(parent, span);
    const current: Observed = { span, method, route: undefined };
    observed.set(request.exchange, current);
    const running = { "http.request.method": method, "url.scheme": request.scheme };
    active.add(1, running, spanContext);

    const keepContext = observe(request, (event) => {
      const labels = labelsOf(event, method, current.route);
      active.add(-1, running, spanContext);
      duration.record(event.durationMs / 1000, labels, spanContext);
      requestSize.record(event.bytesRead, labels, spanContext);
      responseSize.record(event.bytesWritten, labels, spanContext);
      endSpan(span, event);
    });
    return context.with(spanContext, () => {
      keepContext();
      return handler(request);
    });
  };
}

/**
 * Names the route that a request has taken, such as `"/books/:id"`: `http.route` of its span and metrics, and part of the
 * span's name. Few different ones: each makes time series of its own. Does nothing for a request without telemetry.
 *
 * Give the request that the handler was called with, or one made of it; behind `fromFetch` that is `environment.mist`.
 *
 * @throws UsageError unless `request` is one, and `route` is text that is not empty.
 */
export function setRoute(request: Request<unknown>, route: string): void {
  checkRequest(request);
  if (typeof route !== "string" || route === "")
    throw new UsageError(`a route must be text that is not empty, got ${shown(route)}`);
  const current = observed.get(request.exchange);
  if (current === undefined) return;
  current.route = route;
  current.span.setAttribute("http.route", route);
  current.span.updateName(spanName(current.method, route));
}

function spanName(method: string, route: string | undefined): string {
  const verb = method === "_OTHER" ? "HTTP" : method;
  return route === undefined ? verb : `${verb} ${route}`;
}

function endSpan(span: Span, event: RequestEndEvent): void {
  const { status, error } = event;
  if (status !== undefined) span.setAttribute("http.response.status_code", status);
  const type = errorType(event);
  if (type !== undefined) span.setAttribute("error.type", type);
  if (error !== undefined) span.recordException(error instanceof Error ? error : shown(error));
  // A 4xx, and a client that leaves, are no errors of the server.
  if (error !== undefined || (status !== undefined && status >= 500))
    span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

const fieldsOfRequest: TextMapGetter<Request<unknown>> = {
  keys: (request) => request.headers.map(([name]) => name),
  get(request, name) {
    const values = request.getHeaders(name);
    return values.length > 1 ? [...values] : values[0];
  },
};
