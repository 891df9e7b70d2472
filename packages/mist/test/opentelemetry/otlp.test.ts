// The way to a collector: what the SDK's exporters send over OTLP/HTTP, received by a mist server.

import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { setRoute, telemetry } from "../../src/opentelemetry/opentelemetry.ts";
import { serve } from "../server/serve.ts";

interface Attribute {
  readonly key: string;
  readonly value: Record<string, unknown>;
}

/** As much of OTLP's JSON as is looked at. */
interface Received {
  readonly resourceSpans?: {
    readonly scopeSpans: { readonly scope: object; readonly spans: { readonly attributes: Attribute[] }[] }[];
  }[];
  readonly resourceMetrics?: { readonly scopeMetrics: { readonly metrics: { readonly name: string }[] }[] }[];
}

test("spans and metrics reach a collector", async () => {
  const received = new Map<string, Received>();
  const collector = await serve(async (request) => {
    const body = await mist.readBody(request, { maxBodyLimit: 1 << 20 });
    received.set(request.path, JSON.parse(body.toString()) as Received);
    return mist.json({});
  });
  const spans = new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${collector.url}/v1/traces` }));
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: `${collector.url}/v1/metrics` }),
    exportIntervalMillis: 3_600_000,
  });
  const options = {
    tracerProvider: new BasicTracerProvider({ spanProcessors: [spans] }),
    meterProvider: new MeterProvider({ readers: [reader] }),
  };
  const handler: mist.Handler = (request) => {
    setRoute(request, "/books/:id");
    return mist.text("Emma");
  };
  await using server = await mist.test(telemetry(handler, options));
  await (await server.fetch("/books/7")).text();
  await spans.shutdown();
  await reader.shutdown();

  const scopeSpans = received.get("/v1/traces")?.resourceSpans?.[0]?.scopeSpans[0];
  expect(scopeSpans?.scope).toMatchObject({ name: "@x/mist" });
  expect(scopeSpans?.spans).toMatchObject([{ name: "GET /books/:id", kind: 2 }]);
  expect(scopeSpans?.spans[0]?.attributes).toContainEqual({
    key: "http.response.status_code",
    value: { intValue: 200 },
  });
  const metrics = received.get("/v1/metrics")?.resourceMetrics?.[0]?.scopeMetrics[0]?.metrics;
  expect(metrics?.map(({ name }) => name).sort()).toEqual([
    "http.server.active_requests",
    "http.server.request.body.size",
    "http.server.request.duration",
    "http.server.response.body.size",
  ]);
});
