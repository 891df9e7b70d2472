// What a run of bytes comes to, worked out the slow way: regular expressions over the whole text at once.
//
// The judge of the robustness and split tests. It shares no code with the parser it judges.

/** What the reference makes of a connection's bytes, the FIN behind them. */
export interface Verdict {
  /** The requests that are whole and valid, in order. */
  readonly requests: readonly {
    readonly method: string;
    readonly target: string;
    readonly content: string;
  }[];
  /** An error answer is due behind them. */
  readonly broken: boolean;
}

const requestLine =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}) (\/(?:[A-Za-z0-9\-._~:/[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*(?:\?[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]*)?|https?:\/\/([^/? ]+)(?:[A-Za-z0-9\-._~:/[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*(?:\?[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]*)?|\*) HTTP\/1\.([01])\r\n/i;
const fieldLine =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\r\n/;
const host = /^(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+(?::[0-9]{0,4})?$/;
const chunkLine =
  /^0*([0-9A-Fa-f]{1,8})(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*\r\n/;

export function judge(text: string): Verdict {
  const requests: { method: string; target: string; content: string }[] = [];
  let rest = text;
  for (;;) {
    rest = rest.replace(/^(?:\r\n){1,4}/, "");
    if (rest === "" || rest === "\r") return { requests, broken: false };
    const message = readMessage(rest);
    if (message === undefined) return { requests, broken: true };
    requests.push(message.request);
    if (!message.persistent) return { requests, broken: false };
    rest = message.rest;
  }
}

interface Message {
  readonly request: { readonly method: string; readonly target: string; readonly content: string };
  readonly persistent: boolean;
  readonly rest: string;
}

function readMessage(text: string): Message | undefined {
  const line = requestLine.exec(text);
  if (line === null) return undefined;
  const [whole, method = "", target = "", authority, minor] = line;
  if (!whole.includes(" HTTP/1.") || (authority !== undefined && !host.test(authority))) return undefined;
  if (method === "CONNECT" || (target === "*" && method !== "OPTIONS")) return undefined;
  const section = readFields(text.slice(whole.length));
  if (section === undefined) return undefined;
  const { fields } = section;
  const get = (name: string) => fields.filter((field) => field[0] === name).map((field) => field[1]);
  const hosts = get("host");
  if (hosts.length > 1 || (hosts.length === 0 && minor === "1")) return undefined;
  if (hosts.length === 1 && !(host.test(hosts[0] as string) || (hosts[0] === "" && target === "*")))
    return undefined;
  const content = readContent(section.rest, get("content-length"), get("transfer-encoding"), minor === "0");
  if (content === undefined) return undefined;
  if (minor === "1" && get("expect").some((value) => value.toLowerCase() !== "100-continue"))
    return undefined;
  const options = get("connection")
    .join(",")
    .toLowerCase()
    .split(",")
    .map((option) => option.trim());
  const persistent = !options.includes("close") && (minor === "1" || options.includes("keep-alive"));
  return { request: { method, target, content: content.data }, persistent, rest: content.rest };
}

function readFields(text: string): { fields: [string, string][]; rest: string } | undefined {
  const fields: [string, string][] = [];
  let rest = text;
  while (!rest.startsWith("\r\n")) {
    const line = fieldLine.exec(rest);
    if (line === null || fields.length === 100) return undefined;
    fields.push([(line[1] as string).toLowerCase(), line[2] as string]);
    rest = rest.slice(line[0].length);
  }
  return { fields, rest: rest.slice(2) };
}

function readContent(
  text: string,
  lengths: readonly string[],
  codings: readonly string[],
  http10: boolean,
): { data: string; rest: string } | undefined {
  if (codings.length > 0) {
    if (http10 || lengths.length > 0 || codings.length > 1 || codings[0]?.toLowerCase() !== "chunked")
      return undefined;
    return readChunks(text);
  }
  if (lengths.length === 0) return { data: "", rest: text };
  const length = Number(lengths[0]);
  if (lengths.length > 1 || !/^[0-9]{1,15}$/.test(lengths[0] as string) || text.length < length)
    return undefined;
  return { data: text.slice(0, length), rest: text.slice(length) };
}

function readChunks(text: string): { data: string; rest: string } | undefined {
  let data = "";
  let rest = text;
  for (;;) {
    const line = chunkLine.exec(rest);
    if (line === null) return undefined;
    const size = Number.parseInt(line[1] as string, 16);
    rest = rest.slice(line[0].length);
    if (size === 0) break;
    if (rest.slice(size, size + 2) !== "\r\n") return undefined;
    data += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  const trailers = readFields(rest);
  return trailers === undefined || trailers.fields.length > 64 ? undefined : { data, rest: trailers.rest };
}
