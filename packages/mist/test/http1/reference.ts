// A second, slow reading of RFC 9112 for the tests to compare with: whole text, regular expressions,
// no limits, no states. It says how many requests can be read and what comes of the rest.

import { isIPv6 } from "node:net";

export interface Reading {
  /** method, target and body of every complete request. */
  requests: [method: string, target: string, body: string][];
  /** Of the rest: `none` is there, it is the `beginning` of something good, or a `fault`. */
  rest: "none" | "beginning" | "fault";
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const LINE = new RegExp(`^(${TOKEN}) ([!-"$-~]+) HTTP/(1\\.[01])\r\n`);
const FIELD = new RegExp(`^(${TOKEN}):[ \t]*([\t\\x20-\\x7e\\x80-\\xff]*?)[ \t]*\r\n`);
const CHUNK = new RegExp(
  `^([0-9A-Fa-f]{1,16})(?:[ \t]*;[ \t]*${TOKEN}(?:[ \t]*=[ \t]*(?:${TOKEN}|"(?:[\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\t -~\\x80-\\xff])*"))?)*\r\n`,
);
const NAMED = /^(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+(?::(\d{0,5}))?$/;
const BRACKETED = /^\[([^[\]%]*)\](?::(\d{0,5}))?$/;
const FUTURE = /^v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+;=:]+$/i;

function isAuthority(text: string): boolean {
  const [, port] = NAMED.exec(text) ?? [];
  const [, address, portBehind] = BRACKETED.exec(text) ?? [];
  if (address === undefined && !NAMED.test(text)) return false;
  if (address !== undefined && !isIPv6(address) && !FUTURE.test(address)) return false;
  return Number(port ?? portBehind ?? 0) <= 65535;
}

class Fault extends Error {}
class More extends Error {}

export function read(text: string): Reading {
  const requests: Reading["requests"] = [];
  let rest = text;
  try {
    for (;;) {
      rest = rest.replace(/^(?:\r\n){1,4}/, "");
      if (rest === "") return { requests, rest: "none" };
      const [request, behind, close] = readRequest(rest);
      requests.push(request);
      if (close) return { requests, rest: "none" };
      rest = behind;
    }
  } catch (error) {
    if (error instanceof Fault) return { requests, rest: "fault" };
    if (error instanceof More) return { requests, rest: "beginning" };
    throw error;
  }
}

function readRequest(text: string): [Reading["requests"][0], string, boolean] {
  const line = LINE.exec(text);
  // A line that is not whole may be fine as far as it goes; the reading does not say.
  if (line === null) throw text.includes("\r\n") && !text.startsWith("\r\n") ? new Fault() : new More();
  const [whole, method, target, version] = line as unknown as [string, string, string, string];
  const [fields, behind] = readFields(text.slice(whole.length));
  const values = (name: string): string[] => fields.filter(([n]) => n === name).map(([, v]) => v);
  const old = version === "1.0";
  checkTarget(method, target);
  checkHost(values("host"), target, old);
  if (!old && values("expect").some((value) => value.toLowerCase() !== "100-continue")) throw new Fault();
  const options = values("connection")
    .join(",")
    .toLowerCase()
    .split(",")
    .map((token) => token.replace(/^[ \t]+|[ \t]+$/g, ""));
  const close = options.includes("close") || (old && !options.includes("keep-alive"));
  const [body, after] = readBody(behind, values("transfer-encoding"), values("content-length"), old);
  return [[method, target, body], after, close];
}

function readFields(text: string): [[string, string][], string] {
  const fields: [string, string][] = [];
  let rest = text;
  for (;;) {
    if (rest.startsWith("\r\n")) return [fields, rest.slice(2)];
    const field = FIELD.exec(rest);
    if (field === null) throw /\r\n./s.test(rest) ? new Fault() : new More();
    fields.push([(field[1] as string).toLowerCase(), field[2] as string]);
    rest = rest.slice(field[0].length);
  }
}

function checkTarget(method: string, target: string): void {
  if (method === "CONNECT") throw new Fault();
  if (/[^A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]/.test(target)) throw new Fault();
  if (/%(?![0-9A-Fa-f]{2})/.test(target.replace(/\?.*/, ""))) throw new Fault();
  if (target.startsWith("/")) return;
  if (target === "*" && method === "OPTIONS") return;
  const absolute = /^https?:\/\/([^/?]*)/i.exec(target);
  if (absolute === null || !isAuthority(absolute[1] as string)) throw new Fault();
}

function checkHost(hosts: string[], target: string, old: boolean): void {
  if (hosts.length === 0 && old) return;
  const [host] = hosts;
  if (hosts.length !== 1 || host === undefined) throw new Fault();
  if (!(host === "" && target === "*") && !isAuthority(host)) throw new Fault();
}

function readBody(text: string, codings: string[], lengths: string[], old: boolean): [string, string] {
  if (codings.length > 0) {
    if (old || lengths.length > 0 || codings.length > 1 || codings[0]?.toLowerCase() !== "chunked")
      throw new Fault();
    return readChunked(text);
  }
  if (lengths.length === 0) return ["", text];
  if (lengths.length > 1 || !/^\d{1,16}$/.test(lengths[0] as string)) throw new Fault();
  const length = Number(lengths[0]);
  if (!Number.isSafeInteger(length)) throw new Fault();
  if (text.length < length) throw new More();
  return [text.slice(0, length), text.slice(length)];
}

function readChunked(text: string): [string, string] {
  let rest = text;
  let body = "";
  for (;;) {
    const chunk = CHUNK.exec(rest);
    if (chunk === null) throw /\r\n/.test(rest) ? new Fault() : new More();
    const size = Number.parseInt(chunk[1] as string, 16);
    if (!Number.isSafeInteger(size)) throw new Fault();
    rest = rest.slice(chunk[0].length);
    if (size === 0) break;
    if (rest.length < size) throw new More();
    body += rest.slice(0, size);
    rest = rest.slice(size);
    if (!rest.startsWith("\r\n")) throw "\r\n".startsWith(rest) ? new More() : new Fault();
    rest = rest.slice(2);
  }
  return [body, readFields(rest)[1]];
}
