// A gRPC service on mist. Connect has the protocol and protobuf-es the messages; mist carries both.
// `weather_pb.ts` is generated from `proto/weather.proto`; `buf.gen.yaml` says how.

import { setTimeout } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import * as mist from "@x/mist";
import { grpc } from "./grpc.ts";
import { type Reading, Weather } from "./weather_pb.ts";

const stations = new Map([
  ["Tromsø", -4.5],
  ["Quito", 14],
  ["Lagos", 27],
]);

const handler = grpc((router) =>
  router.service(Weather, {
    latest({ station }, { requestHeader, responseHeader, responseTrailer }) {
      // Metadata comes as header fields and leaves as header fields and trailers.
      responseHeader.set("x-units", "celsius");
      responseTrailer.set("x-asked-by", requestHeader.get("x-client") ?? "nobody");
      return { station, celsius: celsiusOf(station) };
    },

    async *watch({ station, count }, { signal }) {
      const celsius = celsiusOf(station);
      try {
        for (let n = 0; count === 0 || n < count; n++) {
          yield { station, celsius: celsius + n };
          if (count === 0) await tick(signal);
        }
      } finally {
        console.log(`no longer watching ${station}`);
      }
    },

    async record(readings) {
      const summary = { readings: 0, mean: 0 };
      for await (const reading of readings) add(summary, reading);
      return summary;
    },

    async *follow(readings) {
      const summary = { readings: 0, mean: 0 };
      for await (const reading of readings) {
        add(summary, reading);
        yield summary;
      }
    },
  }),
);

const server = await mist
  .new(handler)
  .port(Number(process.env["PORT"] ?? 4016))
  .afterStart(({ port }) => console.log(`gRPC on port ${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.stop({ deadlineMs: 5_000 }));

function celsiusOf(station: string): number {
  const celsius = stations.get(station);
  if (celsius === undefined) throw new ConnectError(`there is no station ${station}`, Code.NotFound);
  return celsius;
}

function add(summary: { readings: number; mean: number }, { celsius }: Reading): void {
  summary.readings += 1;
  summary.mean += (celsius - summary.mean) / summary.readings;
}

/** A second; rejects with the signal's reason when the call is over before that: cancelled, or beyond its deadline. */
function tick(signal: AbortSignal): Promise<void> {
  return setTimeout(1_000, undefined, { signal }).catch(() => signal.throwIfAborted());
}
