// Uploads streamed to a folder (FOLDER, or a temporary one), with their progress told to whoever asks.
//
//   curl -N localhost:4002/progress            in one terminal
//   curl -T film.mp4 localhost:4002/film.mp4   in another

import { once } from "node:events";
import { createWriteStream, mkdtempSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Receiver, selector } from "@x/glisten/actor";
import * as mist from "@x/mist";

interface Progress {
  readonly name: string;
  readonly received: number;
  /** Undefined when the client did not say. */
  readonly total: number | undefined;
}

const folder = process.env["FOLDER"] ?? mkdtempSync(join(tmpdir(), "uploads-"));
const followers = new Set<Receiver<Progress>>();
const progress = {
  subscribe(receiver: Receiver<Progress>) {
    followers.add(receiver);
    return () => followers.delete(receiver);
  },
};

const server = await mist
  .new((request) => {
    if (request.method === "PUT") return receive(request);
    if (request.method === "GET" && request.path === "/progress") return follow(request);
    return mist.text("PUT a file to /its-name, or GET /progress.\n", { status: 404 });
  })
  .port(Number(process.env["PORT"] ?? 4002))
  .afterStart(({ port }) => console.log(`uploads to ${folder} on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());

/** Writes at the disk's pace: while it is busy the socket is not read, and the client waits. */
async function receive(request: mist.Request): Promise<mist.ServerResponse> {
  const [name = "", ...rest] = request.pathSegments;
  if (!/^[\w-][\w.-]{0,100}$/.test(name) || rest.length > 0)
    return mist.text("A name is letters, digits, . - _\n", { status: 400 });
  const partial = join(folder, `.${name}.${process.hrtime.bigint()}`);
  const file = createWriteStream(partial, { flags: "wx" });
  try {
    for await (const piece of mist.stream(request)) {
      if (!file.write(piece)) await once(file, "drain");
      tell({ name, received: file.bytesWritten + file.writableLength, total: request.body.length });
    }
    file.end();
    await once(file, "close");
    await rename(partial, join(folder, name));
  } catch (error) {
    file.destroy();
    await rm(partial, { force: true });
    throw error;
  }
  return mist.text(`${name}: ${file.bytesWritten} bytes\n`, { status: 201 });
}

function tell(news: Progress): void {
  for (const follower of followers) follower(news);
}

function follow(request: mist.Request): mist.ServerResponse {
  return mist.serverSentEvents({
    request,
    init: () => [undefined, selector<Progress>().select(progress)],
    loop: (_state, news: Progress, stream) => {
      stream.sendEvent(mist.event(JSON.stringify(news)).eventName("progress"));
    },
  });
}
