import { describe, expect, test } from "vitest";
import type { Fields } from "../../src/http/fields.ts";
import {
  acceptKey,
  type HandshakeOptions,
  type HandshakeRequest,
  judgeHandshake,
} from "../../src/websocket/handshake.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";

const wellFormed: Record<string, string | string[] | undefined> = {
  host: "example.test",
  upgrade: "websocket",
  connection: "Upgrade",
  "sec-websocket-key": key,
  "sec-websocket-version": "13",
};

interface Changes {
  method?: string;
  version?: string;
  fields?: Record<string, string | string[] | undefined>;
}

function request(changes: Changes = {}): HandshakeRequest {
  const fields: Record<string, string | string[] | undefined> = { ...wellFormed, ...changes.fields };
  return {
    method: changes.method ?? "GET",
    version: changes.version ?? "1.1",
    getHeaders: (name) => [fields[name] ?? []].flat(),
  };
}

const judge = (changes: Changes = {}, options: HandshakeOptions = {}) =>
  judgeHandshake(request(changes), options);
const value = (fields: Fields, name: string) => fields.find((field) => field[0] === name)?.[1];

test("the example of RFC 6455 §1.3", () => {
  expect(acceptKey(key)).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  expect(judge()).toEqual({
    type: "accept",
    fields: [
      ["upgrade", "websocket"],
      ["connection", "Upgrade"],
      ["sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
    ],
    subprotocol: undefined,
    compression: undefined,
  });
});

describe("accepts", () => {
  test.each<[string, Changes]>([
    ["tokens in any case", { fields: { upgrade: "WebSocket", connection: "uPGRADE" } }],
    ["a list of options", { fields: { connection: "keep-alive, Upgrade" } }],
    ["several fields", { fields: { connection: ["keep-alive", "Upgrade"], upgrade: ["h2c", "websocket"] } }],
    ["an empty body", { fields: { "content-length": "0" } }],
    ["a key with + and /", { fields: { "sec-websocket-key": "+/+/+/+/+/+/+/+/+/+/+w==" } }],
    ["extensions nobody knows", { fields: { "sec-websocket-extensions": "foo; bar=1" } }],
  ])("%s", (_name, changes) => {
    expect(judge(changes).type).toBe("accept");
  });
});

describe("refuses with 400", () => {
  test.each<[string, Changes]>([
    ["POST", { method: "POST" }],
    ["HEAD", { method: "HEAD" }],
    ["get in lower case", { method: "get" }],
    ["HTTP/1.0", { version: "1.0" }],
    ["no Host", { fields: { host: undefined } }],
    ["no Upgrade", { fields: { upgrade: undefined } }],
    ["another protocol", { fields: { upgrade: "h2c" } }],
    ["websocket as a part of a token", { fields: { upgrade: "websockets" } }],
    ["no Connection", { fields: { connection: undefined } }],
    ["a Connection without the token", { fields: { connection: "keep-alive" } }],
    ["no key", { fields: { "sec-websocket-key": undefined } }],
    ["two keys", { fields: { "sec-websocket-key": [key, key] } }],
    ["an empty key", { fields: { "sec-websocket-key": "" } }],
    ["a key of 15 octets", { fields: { "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAA" } }],
    ["a key of 17 octets", { fields: { "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAAA=" } }],
    ["a key not in base64", { fields: { "sec-websocket-key": "dGhlIHNhbXBsZSBub25j!Q==" } }],
    ["a key in base64url", { fields: { "sec-websocket-key": "-_AAAAAAAAAAAAAAAAAAAA==" } }],
    ["no version", { fields: { "sec-websocket-version": undefined } }],
    ["two versions", { fields: { "sec-websocket-version": ["13", "13"] } }],
    ["a body", { fields: { "content-length": "5" } }],
    ["a chunked body", { fields: { "transfer-encoding": "chunked" } }],
    ["an empty subprotocol list", { fields: { "sec-websocket-protocol": "" } }],
    ["a subprotocol that is no token", { fields: { "sec-websocket-protocol": "a b" } }],
    ["a subprotocol twice", { fields: { "sec-websocket-protocol": ["a, b", "a"] } }],
    ["malformed extensions", { fields: { "sec-websocket-extensions": "permessage-deflate;;" } }],
  ])("%s", (_name, changes) => {
    expect(judge(changes)).toMatchObject({ type: "reject", status: 400 });
  });
});

test.each(["8", "12", "14", "013", "13, 8", "abc", ""])(
  "refuses version %j with 426 and says 13",
  (version) => {
    const refusal = judge({ fields: { "sec-websocket-version": version, "sec-websocket-key": undefined } });
    expect(refusal).toMatchObject({ type: "reject", status: 426 });
    expect(value(refusal.fields, "sec-websocket-version")).toBe("13");
    expect(value(refusal.fields, "upgrade")).toBe("websocket");
  },
);

test("an origin that is not welcome gets 403; one that is missing is asked about too", () => {
  const checkOrigin = (origin: string | undefined) => origin === "https://app.test";
  expect(judge({ fields: { origin: "https://app.test" } }, { checkOrigin }).type).toBe("accept");
  expect(judge({ fields: { origin: "https://evil.test" } }, { checkOrigin })).toMatchObject({ status: 403 });
  expect(judge({}, { checkOrigin })).toMatchObject({ status: 403 });
});

test("the subprotocol chosen is answered", () => {
  const chooseSubprotocol = (offered: readonly string[]) => offered.find((name) => name === "mqtt");
  const chosen = judge({ fields: { "sec-websocket-protocol": ["chat, mqtt", "x"] } }, { chooseSubprotocol });
  expect(chosen).toMatchObject({ type: "accept", subprotocol: "mqtt" });
  expect(value(chosen.fields, "sec-websocket-protocol")).toBe("mqtt");
  const none = judge({ fields: { "sec-websocket-protocol": "chat" } }, { chooseSubprotocol });
  expect(none).toMatchObject({ type: "accept", subprotocol: undefined });
  expect(value(none.fields, "sec-websocket-protocol")).toBeUndefined();
});

test("compression is agreed on only if it is wanted, and repeated fields are one list", () => {
  const compression = {
    serverNoContextTakeover: true,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  };
  const fields = { "sec-websocket-extensions": ["x-foo", "permessage-deflate"] };
  expect(judge({ fields }).fields.length).toBe(3);
  const agreed = judge({ fields }, { compression });
  expect(value(agreed.fields, "sec-websocket-extensions")).toBe(
    "permessage-deflate; server_no_context_takeover",
  );
  expect(agreed).toMatchObject({ compression });
});

test("further fields go out with the 101", () => {
  expect(value(judge({}, { headers: [["set-cookie", "a=1"]] }).fields, "set-cookie")).toBe("a=1");
});
