// Requests as values and bodies pulled by hand, for tests of answers that need no socket.

import { Buffer } from "node:buffer";
import { readdirSync, readlinkSync } from "node:fs";
import type { Fields } from "../../src/http/fields.ts";
import { Request } from "../../src/http/request.ts";
import type { BodySource } from "../../src/server/body/body-source.ts";
import type { ServerResponse } from "../../src/server/body/response-body.ts";

const context = { signal: new AbortController().signal, scheme: "http" as const };

/** `GET /path?query` with these fields; a list gives several lines. */
export function fakeRequest(
  target: string,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
  method = "GET",
): Request<never> {
  const fields: Fields = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name.toLowerCase(), value]),
  );
  const question = target.indexOf("?");
  const parts = {
    method,
    target,
    version: "1.1" as const,
    host: "localhost",
    port: undefined,
    path: question < 0 ? target : target.slice(0, question),
    query: question < 0 ? undefined : target.slice(question + 1),
    fields,
  };
  return new Request(parts, context as never, undefined as never);
}

/** Pulls a source to its end as the writer does, releasing each piece once it is copied. */
export async function drain(source: BodySource): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = await source.read();
    if (piece === null) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece));
    source.release?.(piece);
  }
}

/** The bytes a client would get as the content of this answer. */
export async function contentOf({ body }: ServerResponse): Promise<Buffer> {
  if (body.kind === "empty") return Buffer.alloc(0);
  if (body.kind === "bytes") return Buffer.from(body.data as string);
  if (body.kind === "iterable") {
    const pieces: Buffer[] = [];
    for await (const piece of body.chunks) pieces.push(Buffer.from(piece as string));
    return Buffer.concat(pieces);
  }
  if (body.kind !== "source") throw new Error(`no content in a ${body.kind} body`);
  const source = await body.open();
  try {
    return await drain(source);
  } finally {
    source.close();
  }
}

/** The announced length of a body, as the writer takes it. */
export function lengthOf({ body }: ServerResponse): number | undefined {
  if (body.kind === "empty") return 0;
  if (body.kind === "bytes") return Buffer.byteLength(body.data);
  return body.kind === "source" ? body.length : undefined;
}

/** How many descriptors of files below `directory` this process holds; always 0 where the system cannot tell. */
export function descriptorsBelow(directory: string): number {
  if (process.platform !== "linux") return 0;
  const isBelow = (descriptor: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(directory);
    } catch {
      return false; // the one that read the list
    }
  };
  return readdirSync("/proc/self/fd").filter(isBelow).length;
}
