// Uploads of any size: hashed piece by piece, never held. Whoever gave the upload an id can follow it meanwhile.

import { createHash } from "node:crypto";
import { type Receiver, selector } from "@x/glisten/actor";
import * as mist from "@x/mist";

/** Most bytes of one upload. */
const MAX_UPLOAD = 4 * 1024 ** 3;
/** Between two reports to a follower. */
const REPORT_MS = 40;

/** Who follows which upload. */
const followers = new Map<string, Set<Receiver<number>>>();

/** Takes an upload and answers with its size and SHA-256. */
export async function receive(request: mist.Request): Promise<mist.ServerResponse> {
  const id = new URLSearchParams(request.query).get("id") ?? "";
  const hash = createHash("sha256");
  const started = performance.now();
  let bytes = 0;
  let pieces = 0;
  let reported = 0;
  for await (const piece of mist.stream(request)) {
    hash.update(piece);
    bytes += piece.length;
    pieces++;
    if (bytes > MAX_UPLOAD) throw new mist.BodyError("excess-body");
    if (performance.now() - reported > REPORT_MS) {
      reported = performance.now();
      report(id, bytes);
    }
  }
  report(id, bytes);
  const milliseconds = Math.round(performance.now() - started);
  const result = { bytes, pieces, milliseconds, sha256: hash.digest("hex") };
  return mist.json(result);
}

function report(id: string, bytes: number): void {
  for (const receiver of followers.get(id) ?? []) receiver(bytes);
}

/** An event stream that tells how much of an upload has been received. */
export function progress(request: mist.Request): mist.ServerResponse {
  const id = new URLSearchParams(request.query).get("id") ?? "";
  return mist.serverSentEvents({
    request,
    init: () => [undefined, selector<number>().select({ subscribe: (receiver) => follow(id, receiver) })],
    loop: (_state, received: number, stream) => {
      stream.sendEvent(mist.event(JSON.stringify({ received })).eventName("progress"));
    },
  });
}

function follow(id: string, receiver: Receiver<number>): () => void {
  const receivers = followers.get(id) ?? new Set();
  followers.set(id, receivers.add(receiver));
  return () => {
    receivers.delete(receiver);
    if (receivers.size === 0) followers.delete(id);
  };
}
