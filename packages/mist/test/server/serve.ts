// A mist server for a test, and a reader of the answers it gives on a raw socket.

import * as mug from "@x/mug";
import { onTestFinished } from "vitest";
import * as mist from "../../src/index.ts";
import type { ErrorReport, Handler } from "../../src/server/exchange/service.ts";

export interface Served {
  readonly server: mist.Server;
  readonly port: number;
  readonly url: string;
  /** What `onError` was told. */
  readonly reports: ErrorReport[];
  /** A raw connection to the server. */
  connect(): Promise<mug.Socket>;
  /** Sends `request`, half-closes, and gives everything that comes back. */
  ask(request: string | Uint8Array): Promise<string>;
}

type Configure = (builder: mist.Builder) => mist.Builder;

/** Starts a server that is stopped when the test is over. */
export async function serve(handler: Handler, configure: Configure = (builder) => builder): Promise<Served> {
  const reports: ErrorReport[] = [];
  const builder = mist
    .new(handler)
    .port(0)
    .afterStart(() => {})
    .onError((report) => reports.push(report));
  const server = await configure(builder).start();
  onTestFinished(async () => {
    await server.stop({ deadlineMs: 0 });
  });
  const connect = () => mug.new("127.0.0.1", { port: server.port }).timeout(5000).connect();
  return {
    server,
    port: server.port,
    url: server.url,
    reports,
    connect,
    async ask(request) {
      const socket = await connect();
      await socket.send(request);
      await socket.halfClose();
      const answer = await socket.receiveToEnd({ timeout: 10_000 });
      await socket.close();
      return answer.toString("latin1");
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Reads one answer with its content, framed as RFC 9112 §6.3 says. */
export async function readAnswer(socket: mug.Socket, method = "GET"): Promise<Answer> {
  const head = (await socket.receiveUntil("\r\n\r\n", { timeout: 10_000 })).toString("latin1");
  const [statusLine = "", ...lines] = head.trimEnd().split("\r\n");
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const status = Number(statusLine.split(" ")[1]);
  const bodiless = method === "HEAD" || status < 200 || status === 204 || status === 304;
  return { status, headers, body: bodiless ? "" : await readContent(socket, headers) };
}

async function readContent(socket: mug.Socket, headers: ReadonlyMap<string, string>): Promise<string> {
  const length = headers.get("content-length");
  if (length !== undefined) {
    if (length === "0") return "";
    return (await socket.receiveExact(Number(length), { timeout: 10_000 })).toString("latin1");
  }
  if (headers.get("transfer-encoding") !== "chunked") {
    return (await socket.receiveToEnd({ timeout: 10_000 })).toString("latin1");
  }
  let content = "";
  for (;;) {
    const size = Number.parseInt(await socket.receiveLine({ timeout: 10_000 }), 16);
    if (size === 0) break;
    content += (await socket.receiveExact(size + 2, { timeout: 10_000 })).toString("latin1").slice(0, -2);
  }
  while ((await socket.receiveLine({ timeout: 10_000 })) !== "") {
    // The trailer section is of no interest here.
  }
  return content;
}

/** The status codes in a run of answers, in order. */
export function statuses(answers: string): number[] {
  return [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}
