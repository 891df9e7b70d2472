// The origin server the conformance tests talk to, over TCP and over TLS, and the answers it gives.

import * as mug from "@x/mug";
import { afterAll, beforeAll, describe } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "./certificate.ts";

const text = (body: string | Uint8Array) =>
  mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(body));

// Every route shows one thing a client cares about.
async function handler(request: mist.Request): Promise<mist.ServerResponse> {
  switch (request.path) {
    case "/target":
      return text(
        `${request.method} ${request.scheme}://${request.host}:${request.port ?? ""}${request.path}`,
      );
    case "/fields":
      return text(request.headers.map(([name, value]) => `${name}=${value};`).join(""));
    case "/unread":
      return text("unread");
    case "/crash":
      throw new Error("crash");
    case "/204":
      return mist.response(204);
    case "/304":
      return mist.response(304).setHeader("etag", '"a"');
    case "/stream":
      return mist.response(200).setBody(mist.chunked(["a", "b", "c"]));
    case "/close":
      return text("bye").setHeader("connection", "close");
    default:
      return text(await mist.readBody(request, { maxBodyLimit: 1 << 20 }));
  }
}

export interface Origin {
  readonly port: number;
  connect(): Promise<mug.Socket>;
  /** Sends `request`, half-closes, and gives every answer that comes back. */
  ask(request: string | Uint8Array): Promise<readonly Answer[]>;
}

export interface Answer {
  readonly status: number;
  readonly version: string;
  /** Names as sent, several values of one name joined. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The same tests over both transports, on one server each. */
export function overBothTransports(tests: (origin: Origin) => void): void {
  describe.each(["TCP", "TLS"])("over %s", (transport) => {
    let server: mist.Server;
    let ca = "";
    const connect = () => {
      const socket = mug
        .new("localhost", { port: server.port })
        .ipVersionPreference("ipv4-only")
        .timeout(5000);
      return (transport === "TLS" ? socket.withTls({ ca }) : socket).connect();
    };
    beforeAll(async () => {
      const plain = mist
        .new(handler)
        .port(0)
        .afterStart(() => {})
        .onError(() => {});
      const identity = await certificate();
      ca = identity.cert;
      server = await (transport === "TLS" ? plain.withTls(identity) : plain).start();
    });
    afterAll(async () => {
      await server.stop({ deadlineMs: 0 });
    });
    tests({
      get port() {
        return server.port;
      },
      connect,
      async ask(request) {
        const socket = await connect();
        await socket.send(typeof request === "string" ? Buffer.from(request, "latin1") : request);
        await socket.halfClose();
        const bytes = await socket.receiveToEnd({ timeout: 10_000 });
        await socket.close();
        return parseAnswers(bytes.toString("latin1"), methodsIn(request));
      },
    });
  });
}

function methodsIn(request: string | Uint8Array): string[] {
  const lines = Buffer.from(request as string).toString("latin1");
  return [...lines.matchAll(/(?:^|\n|[a-z0-9])([A-Z]+) \S+ HTTP\/1/g)].map((match) => match[1] as string);
}

/** Reads a run of answers, framed as RFC 9112 §6.3 says. What does not parse fails the test. */
export function parseAnswers(bytes: string, methods: readonly string[]): Answer[] {
  const answers: Answer[] = [];
  let rest = bytes;
  let asked = 0;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    const [statusLine = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = /^(HTTP\/1\.1) ([1-5]\d\d) [\x20-\x7e]*$/.exec(statusLine);
    if (end === -1 || status === null) throw new Error(`no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const fields = parseFields(lines);
    const code = Number(status[2]);
    const method = methods[asked];
    if (code >= 200) asked += 1;
    const content = takeContent(rest.slice(end + 4), fields, code, method);
    answers.push({ status: code, version: status[1] as string, fields, body: content.body });
    rest = content.rest;
  }
  return answers;
}

function parseFields(lines: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\x20-\x7e\x80-\xff]*)$/.exec(line);
    if (match === null) throw new Error(`no field line: ${JSON.stringify(line)}`);
    const [, name = "", value = ""] = match;
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}

function takeContent(
  text: string,
  fields: Readonly<Record<string, string>>,
  status: number,
  method: string | undefined,
): { body: string; rest: string } {
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") return { body: "", rest: text };
  if (fields["transfer-encoding"] !== undefined) return takeChunks(text);
  const length = fields["content-length"];
  if (length === undefined) return { body: text, rest: "" };
  if (text.length < Number(length)) throw new Error("an answer is shorter than its content-length");
  return { body: text.slice(0, Number(length)), rest: text.slice(Number(length)) };
}

function takeChunks(text: string): { body: string; rest: string } {
  let body = "";
  let rest = text;
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/.exec(rest);
    if (line === null) throw new Error(`no chunk: ${JSON.stringify(rest.slice(0, 100))}`);
    const size = Number.parseInt(line[1] as string, 16);
    rest = rest.slice(line[0].length);
    if (size === 0) break;
    body += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  return { body, rest: rest.slice(rest.indexOf("\r\n") + 2) };
}
