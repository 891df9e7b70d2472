// An option that is misspelt, of the wrong kind or missing is refused by the function that was given it, with the one
// UsageError that mist and glisten share.

import * as glisten from "@x/glisten";
import { describe, expect, it, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { fakeRequest } from "./file-request.ts";

const ok = () => mist.response(200);
const builder = mist.new(ok);
const reads = mist.new<Buffer>(ok);
const request = fakeRequest("/");
const answering = async () => new Response();

/** Calls it as untyped code would. */
type Call = () => unknown;
const any = (value: unknown) => value as never;

const misspelt: [string, Call][] = [
  ["withLimits", () => builder.withLimits(any({ maxHeads: 1 }))],
  ["withDeadlines", () => builder.withDeadlines(any({ headMS: 1 }))],
  ["withTls", () => builder.withTls(any({ certFile: "a", keyfile: "b" }))],
  ["withClientVerification", () => builder.withClientVerification(any({ cafile: "a" }))],
  ["withProxyProtocol", () => builder.withProxyProtocol(any({ trustedPeers: [], maxHeader: 1 }))],
  [
    "withForwarded",
    () => builder.withForwarded(any({ trustedPeers: ["::1"], headers: "forwarded", trust: 1 })),
  ],
  ["withRequestId", () => builder.withRequestId(any({ headers: "x-id" }))],
  ["readRequestBody", () => reads.readRequestBody(any({ bytesLimit: 1, failureRespons: ok() }))],
  ["readBody", () => mist.readBody(any(request), any({ maxBodyLimit: 1, limit: 1 }))],
  ["sendFile", () => mist.sendFile("a", any({ rooot: "." }))],
  ["staticFiles", () => mist.staticFiles(any({ root: ".", dotFiles: "allow" }))],
  ["compress", () => mist.compress(ok, any({ coding: ["gzip"] }))],
  ["levels", () => mist.compress(ok, { levels: any({ brotli: 1 }) })],
  ["topics", () => mist.topics(any({ maxQueu: 1 }))],
  ["replay", () => mist.topics({ replay: any({ message: 1 }) })],
  ["unsent", () => mist.topics({ unsent: any({ byte: 1 }) })],
  ["publish", () => mist.topics().publish("a", "b", any({ but: [] }))],
  ["response", () => mist.response(200, any({ header: {} }))],
  ["json", () => mist.json(1, any({ statuss: 200 }))],
  ["HttpError", () => new mist.HttpError(404, any({ msg: "no such book" }))],
  ["serve", () => mist.serve(any({ handler: ok, prot: 1 }))],
  ["cluster", () => mist.cluster(() => builder, any({ worker: 1 }))],
  ["fromFetch", () => fromFetch(answering, any({ maxBodyBytes: 1 }))],
];

const wrong: [string, Call, string][] = [
  ["mist.new()", () => mist.new(any(undefined)), "handler must be a function, got undefined"],
  [
    "serve without a handler",
    () => mist.serve(any({ port: 0 })),
    "handler must be a function, got undefined",
  ],
  ["serve(8080)", () => mist.serve(any(8080)), "the options of serve must be an object, got 8080"],
  [
    "serve on two",
    () => mist.serve({ handler: ok, port: 0, path: "/a" }),
    "only one of port, path, fd, systemd and memory, got port and path",
  ],
  ["ipv6: 1", () => mist.serve({ handler: ok, ipv6: any(1) }), "ipv6 must be true or false, got 1"],
  ["port(80.5)", () => builder.port(80.5), "port must be an integer from 0 to 65535, got 80.5"],
  ['port("80")', () => builder.port(any("80")), 'port must be an integer from 0 to 65535, got "80"'],
  ["bind", () => builder.bind("example.com"), "bind must be"],
  ["withPoolSize", () => builder.withPoolSize(0), "poolSize must be"],
  ["withMaxConnections", () => builder.withMaxConnections(-1), "maxConnections must be"],
  [
    "withForwarded()",
    () => builder.withForwarded(any({ headers: "forwarded" })),
    "trustedPeers must be a list, got undefined",
  ],
  [
    "no trusted peer",
    () => builder.withForwarded({ trustedPeers: [], headers: "forwarded" }),
    "trustedPeers must have at least one entry",
  ],
  [
    "a trusted name",
    () => builder.withForwarded({ trustedPeers: ["proxy"], headers: "forwarded" }),
    'a trusted peer must be an IP address, a subnet such as "10.0.0.0/8", or "unix", got "proxy"',
  ],
  [
    "headers",
    () => builder.withForwarded(any({ trustedPeers: ["::1"] })),
    'headers must be "forwarded" or "x-forwarded", got undefined',
  ],
  ["requestId header", () => builder.withRequestId({ header: "a b" }), "a field name must be a token"],
  ["requestId make", () => builder.withRequestId({ make: any("id") }), 'make must be a function, got "id"'],
  ["withSignal", () => builder.withSignal(any({})), "signal must be an AbortSignal"],
  [
    'withTls("cert", "key")',
    () => builder.withTls(any("cert")),
    "the options of withTls must be { certfile, keyfile }",
  ],
  ["start(target)", () => builder.start(any({ pipe: "a" })), "the target must be a port number"],
  ["afterStart", () => builder.afterStart(any("x")), 'afterStart must be a function, got "x"'],
  ["onError", () => builder.onError(any(null)), "onError must be a function, got null"],
  ["headMs: -1", () => builder.withDeadlines({ headMs: -1 }), "headMs must be a number, at least 0, got -1"],
  [
    "maxHead: text",
    () => builder.withLimits({ maxHead: any("1k") }),
    'maxHead must be a number, at least 0, got "1k"',
  ],
  [
    "readRequestBody(1024)",
    () => reads.readRequestBody(any(1024)),
    "the options of readRequestBody must be an object, got 1024",
  ],
  [
    "no bytesLimit",
    () => reads.readRequestBody(any({})),
    "bytesLimit must be a number of bytes, at least 0, got undefined",
  ],
  [
    "failureResponse: 413",
    () => reads.readRequestBody({ bytesLimit: 1, failureResponse: any(413) }),
    "failureResponse must be a response, got 413",
  ],
  ["compress()", () => mist.compress(any(undefined)), "the handler given to compress must be a function"],
  [
    "brotli",
    () => mist.compress(ok, { codings: any(["brotli"]) }),
    'codings may contain "br", "deflate", "gzip", "zstd", got "brotli"',
  ],
  ["codings: text", () => mist.compress(ok, { codings: any("gzip") }), 'codings must be a list, got "gzip"'],
  [
    "level 12",
    () => mist.compress(ok, { levels: { br: 12 } }),
    "the level of br must be an integer from 0 to 11, got 12",
  ],
  [
    "minLength",
    () => mist.compress(ok, { minLength: any("1k") }),
    'minLength must be a number of bytes, at least 0, got "1k"',
  ],
  [
    "types: text",
    () => mist.compress(ok, { types: any("text/html") }),
    'types must be a list of media types or a function, got "text/html"',
  ],
  [
    "staticFiles()",
    () => mist.staticFiles(any(undefined)),
    "the options of staticFiles must be an object, got undefined",
  ],
  ["no root", () => mist.staticFiles(any({})), "staticFiles needs a root"],
  [
    "fallback",
    () => mist.staticFiles({ root: ".", fallback: any(404) }),
    "fallback must be a function, got 404",
  ],
  [
    "dotfiles",
    () => mist.staticFiles({ root: ".", dotfiles: any("hide") }),
    'dotfiles must be "allow", "deny" or "ignore", got "hide"',
  ],
  ["sendFile()", () => mist.sendFile(any(undefined)), "sendFile takes a path, got undefined"],
  [
    "sendFile(path, root)",
    () => mist.sendFile("a", any("public")),
    'the options of sendFile must be an object, got "public"',
  ],
  ["an empty root", () => mist.sendFile("a", { root: "" }), "root must be the path of a directory"],
  ["dotfiles without root", () => mist.sendFile("a", { dotfiles: "deny" }), "dotfiles needs root"],
  [
    "request",
    () => mist.sendFile("a", { request: any({}) }),
    "request must be one that a handler was called with, got an object",
  ],
  [
    "HttpError(404, text)",
    () => new mist.HttpError(404, any("no such book")),
    'the options of HttpError must be an object, got "no such book"',
  ],
  ["HttpError()", () => new mist.HttpError(any({})), "must be an integer from 400 to 599, got an object"],
  [
    "join",
    () => mist.topics().join(any({}), "a"),
    "a member of a topic must be a WebSocket, an event stream or a chunked stream, got an object",
  ],
  [
    "publish",
    () => mist.topics().publish("a", any({})),
    "a message must be text, bytes or an event, got an object",
  ],
  [
    "publish(event with an id)",
    () => mist.topics().publish("a", mist.event("").eventId("1")),
    "topics give events their ids",
  ],
  [
    "maxMessageBytes",
    () => mist.topics({ maxMessageBytes: 3 }).publish("a", "äö"),
    "a message must have at most 3 bytes (maxMessageBytes), got 4",
  ],
  ["relay", () => mist.topics({ relay: any({}) }), "open must be a function, got undefined"],
  [
    "slowClient",
    () => mist.topics({ slowClient: any("panic") }),
    'slowClient must be "drop-oldest", "drop-newest" or "close", got "panic"',
  ],
  ["replay: 0", () => mist.topics({ replay: 0 }), "replay must be an integer from 1 to 2147483647, got 0"],
  ["prepareFrame", () => mist.prepareFrame(any(5)), "a message must be text or bytes, got 5"],
  ["event", () => mist.event(any(5)), "an event's data must be text, got 5"],
  [
    "eventId",
    () => mist.event("").eventId("a\n"),
    'must be text without CR, LF and NUL (WHATWG HTML §9.2.6), got "a\\n"',
  ],
  [
    "eventName",
    () => mist.event("").eventName(any(1)),
    "must be text without CR and LF (WHATWG HTML §9.2.5), got 1",
  ],
  ["eventRetry", () => mist.event("").eventRetry(-1), "must be an integer of at least 0, got -1"],
  ["offset", () => mist.sendFile("a", { offset: -1 }), "offset must be an integer, at least 0, got -1"],
  ["maxQueue", () => mist.topics({ maxQueue: 0 }), "maxQueue must be an integer from 1 to 2147483647, got 0"],
  ["chunked()", () => mist.chunked(any(undefined)), "with init and loop, got undefined"],
  [
    "chunked without loop",
    () => mist.chunked(any({ request, init: () => 0 })),
    "loop must be a function, got undefined",
  ],
  ["trailers", () => mist.response(200).withTrailers(any([])), "trailers must be a function, got an array"],
  ["waitUntil", () => mist.waitUntil(request, any(undefined)), "waitUntil takes a promise, got undefined"],
  [
    "getConnectionInfo",
    () => mist.getConnectionInfo(any(undefined)),
    "must be one that a handler was called with, got undefined",
  ],
  ["stream", () => mist.stream(any(request)), "only the body of an incoming request can be read"],
  [
    "fromFetch(app)",
    () => fromFetch(any({})),
    "fromFetch takes a function, such as app.fetch, got an object",
  ],
  [
    "overrideGlobals",
    () => fromFetch(answering, { overrideGlobals: any("no") }),
    'overrideGlobals must be true or false, got "no"',
  ],
];

/** What it throws, or rejects with; a server that starts after all is stopped. */
async function failure(call: Call): Promise<unknown> {
  try {
    const result: unknown = await call();
    await (result as Partial<mist.Server> | undefined)?.stop?.();
    return "nothing was thrown";
  } catch (error) {
    return error;
  }
}

test.each(misspelt)("%s refuses a misspelt option by name", async (name, call) => {
  const error = await failure(call);
  expect(error).toBeInstanceOf(mist.UsageError);
  expect((error as Error).message).toMatch(new RegExp(`(^|[^a-z])${name}.* has no option "`));
});

describe("what cannot be meant", () => {
  it.each(wrong)("%s", async (_, call, message) => {
    const error = await failure(call);
    expect((error as Error).message).toContain(message);
    // One class, whichever package throws it and whichever the user compares with.
    expect(error).toBeInstanceOf(mist.UsageError);
    expect(error).toBeInstanceOf(glisten.UsageError);
  });

  it("a running server's stop", async () => {
    const server = await builder
      .port(0)
      .afterStart(() => {})
      .start();
    try {
      for (const options of [{ deadline: 5 }, "5"]) {
        expect(await failure(() => server.stop(any(options)))).toBeInstanceOf(mist.UsageError);
      }
    } finally {
      await server.stop();
    }
  });
});

test("the classes that mist and glisten share are the same", () => {
  expect([
    mist.UsageError,
    mist.StartError,
    mist.TransportError,
    mist.CertificateError,
    mist.DeadlineError,
  ]).toEqual([
    glisten.UsageError,
    glisten.StartError,
    glisten.TransportError,
    glisten.CertificateError,
    glisten.DeadlineError,
  ]);
});
