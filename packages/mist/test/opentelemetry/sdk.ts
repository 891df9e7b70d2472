// The SDK of OpenTelemetry in memory, for one test file: what a service sets up before it starts its server.

import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import type { TelemetryOptions } from "../../src/opentelemetry/opentelemetry.ts";

export interface Sdk {
  readonly options: TelemetryOptions;
  /** The spans that have ended. */
  spans(): ReadableSpan[];
  /** The points of a metric so far. */
  points(name: string): Promise<DataPoint<number | Histogram>[]>;
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

/** Providers whose spans and metrics are kept in memory. */
export function sdk(): Sdk {
  const spans = new InMemorySpanExporter();
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  return {
    options: {
      tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }),
      meterProvider: new MeterProvider({ readers: [reader] }),
    },
    spans: () => spans.getFinishedSpans(),
    async points(name) {
      exporter.reset();
      await reader.forceFlush();
      const metrics = exporter
        .getMetrics()
        .flatMap((each) => each.scopeMetrics.flatMap((one) => one.metrics));
      const found = metrics.find((metric) => metric.descriptor.name === name);
      return (found?.dataPoints ?? []) as DataPoint<number | Histogram>[];
    },
  };
}

/** The trace that is active here. */
export function activeTraceId(): string | undefined {
  return trace.getActiveSpan()?.spanContext().traceId;
}
