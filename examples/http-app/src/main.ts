// A complete small application: notes, in memory, over JSON. Routes, bodies, limits, errors, and a graceful stop.

import * as mist from "@x/mist";

interface Note {
  readonly id: number;
  readonly text: string;
}

type Request = mist.Request;
type Answer = mist.ServerResponse;

const notes = new Map<number, Note>();
let lastId = 0;

const server = await mist
  .new(async (request) => {
    const [collection, id, ...rest] = request.pathSegments;
    if (collection === undefined) return mist.html(PAGE);
    if (collection !== "notes" || rest.length > 0)
      return mist.json({ error: `nothing at ${request.path}` }, { status: 404 });
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
      return mist.json([...notes.values()]);
    case "POST": {
      const text = await readText(request);
      if (text === undefined) return mist.json({ error: 'expected {"text": "…"}' }, { status: 422 });
      const note = { id: ++lastId, text };
      notes.set(note.id, note);
      return mist.json(note, { status: 201, headers: { location: `/notes/${note.id}` } });
    }
    default:
      return notAllowed("GET, HEAD, POST");
  }
}

/** /notes/:id */
async function one(request: Request, id: number): Promise<Answer> {
  const note = notes.get(id);
  if (note === undefined) return mist.json({ error: "no such note" }, { status: 404 });
  switch (request.method) {
    case "GET":
    case "HEAD":
      return mist.json(note);
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

function notAllowed(allow: string): Answer {
  return mist.json({ error: `only ${allow}` }, { status: 405, headers: { allow } });
}

const PAGE = `<!doctype html><title>Notes</title>
<h1>Notes</h1>
<p>Try <code>curl -d '{"text": "buy milk"}' localhost:4000/notes</code>, then look at <a href="/notes">all notes</a>.
`;
