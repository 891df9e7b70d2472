// The metrics of an HTTP server, by the semantic conventions.

import type { Histogram, Meter, UpDownCounter } from "@opentelemetry/api";

/** Seconds, as the conventions advise. */
const durationBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export class Instruments {
  readonly duration: Histogram;
  readonly active: UpDownCounter;
  readonly requestSize: Histogram;
  readonly responseSize: Histogram;

  constructor(meter: Meter) {
    this.duration = meter.createHistogram("http.server.request.duration", {
      description: "Duration of HTTP server requests.",
      unit: "s",
      advice: { explicitBucketBoundaries: durationBoundaries },
    });
    this.active = meter.createUpDownCounter("http.server.active_requests", {
      description: "Number of active HTTP server requests.",
      unit: "{request}",
    });
    this.requestSize = meter.createHistogram("http.server.request.body.size", {
      description: "Size of HTTP server request bodies.",
      unit: "By",
    });
    this.responseSize = meter.createHistogram("http.server.response.body.size", {
      description: "Size of HTTP server response bodies.",
      unit: "By",
    });
  }
}
