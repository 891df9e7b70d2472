// The writer for each kind of streamed body.

import { callUser } from "@x/glisten/kit";
import { ActorWriter } from "./actor-writer.ts";
import type { BodySink } from "./body-sink.ts";
import type { BodyWriter } from "./body-writer.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { IterableWriter, SourceWriter } from "./pulling-writer.ts";
import { noBody, type ResponseBody } from "./response-body.ts";

/** The writer of `body` into `sink`. Throws what the body throws when it is opened. */
export function bodyWriter(sink: BodySink, body: ResponseBody): BodyWriter {
  switch (body.kind) {
    case "iterable":
      return new IterableWriter(sink, body);
    case "source":
      return new SourceWriter(sink, body);
    case "actor":
      return new ActorWriter(sink, body);
    default:
      throw noBody(body);
  }
}

/** Lets go of a body that no writer was made for. A producer that fails at that goes to `report`. */
export function discardBody(body: ResponseBody, report: (error: unknown) => void): void {
  if (body.kind === "source") body.discard?.();
  else if (body.kind === "iterable") {
    const reader = new ChunkReader(body.chunks);
    void callUser(() => reader.release(), undefined, report);
  }
}
