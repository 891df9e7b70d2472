// A file server: a folder (ROOT, or the one beside this program) with conditional and range requests.

import { fileURLToPath } from "node:url";
import * as mist from "@x/mist";

const root = process.env["ROOT"] ?? fileURLToPath(new URL("../public", import.meta.url));

const server = await mist
  .new(async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "Only GET and HEAD.\n");
    const path = request.path.endsWith("/") ? `${request.path}index.html` : request.path;
    try {
      return await mist.sendFile(path, { root, request });
    } catch (error) {
      if (error instanceof mist.FileError && error.reason !== "unknown") return text(404, "No such file.\n");
      throw error;
    }
  })
  .port(Number(process.env["PORT"] ?? 4001))
  .afterStart(({ port }) => console.log(`${root} on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());

function text(status: number, message: string): mist.ServerResponse {
  return mist.response(status).setHeader("content-type", "text/plain").setBody(mist.bytes(message));
}
