// A complete small application: notes, in memory, over JSON. Routes, bodies, limits, errors, and a graceful stop.

import * as mist from "@x/mist";

interface Note {
  readonly id: number;
  readonly text: string;
}

type Request = mist.Request<mist.IncomingBody>;
type Answer = mist.ServerResponse;

const notes = new Map<number, Note>();
let lastId = 0;

const server = await mist
  .new(async (request) => {
    const [collection, id, ...rest] = request.pathSegments;
    if (collection === undefined) return html(200, PAGE);
    if (collection !== "notes" || rest.length > 0) return json(404, { error: `nothing at ${request.path}` });
    return id === undefined ? all(request) : one(request, Number(id));
  })
  .port(Number(process.env["PORT"] ?? 4000))
  .withLimits({ maxTarget: 1_024 })
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => void server.stop({ deadlineMs: 10_000 }));

/** /notes */
async function all(request: Request): Promise<Answer> {
  switch (request.method) {
    case "GET":
    case "HEAD":
      return json(200, [...notes.values()]);
    case "POST": {
      const text = await readText(request);
      if (text === undefined) return json(422, { error: 'expected {"text": "…"}' });
      const note = { id: ++lastId, text };
      notes.set(note.id, note);
      return json(201, note).setHeader("location", `/notes/${note.id}`);
    }
    default:
      return notAllowed("GET, HEAD, POST");
  }
}

/** /notes/:id */
async function one(request: Request, id: number): Promise<Answer> {
  const note = notes.get(id);
  if (note === undefined) return json(404, { error: "no such note" });
  switch (request.method) {
    case "GET":
    case "HEAD":
      return json(200, note);
    case "DELETE":
      notes.delete(id);
      return mist.response(204);
    default:
      return notAllowed("GET, HEAD, DELETE");
  }
}

/** The text of a posted note; undefined when it is not one. A body beyond 64 KiB is answered with 413 by itself. */
async function readText(request: Request): Promise<string | undefined> {
  const body = await mist.readBody(request, { maxBodyLimit: 64 * 1024 });
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    const text = (value as { text?: unknown } | null)?.text;
    return typeof text === "string" && text !== "" ? text : undefined;
  } catch {
    return undefined;
  }
}

function json(status: number, value: unknown): Answer {
  return mist
    .response(status)
    .setHeader("content-type", "application/json")
    .setBody(mist.bytes(`${JSON.stringify(value)}\n`));
}

function html(status: number, page: string): Answer {
  return mist
    .response(status)
    .setHeader("content-type", "text/html; charset=utf-8")
    .setBody(mist.bytes(page));
}

function notAllowed(allow: string): Answer {
  return json(405, { error: `only ${allow}` }).setHeader("allow", allow);
}

const PAGE = `<!doctype html><title>Notes</title>
<h1>Notes</h1>
<p>Try <code>curl -d '{"text": "buy milk"}' localhost:4000/notes</code>, then look at <a href="/notes">all notes</a>.
`;
