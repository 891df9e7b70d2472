// Response heads as text: status line, fields, and the framing, which is the server's business
// alone (RFC 9112 §6).
//
// The user's framing fields are read, never copied: a Content-Length must agree with the body, a
// Transfer-Encoding may only name what we do anyway, `connection: close` is obeyed. So there is
// exactly one framing in every head. Refuses what could split the response (CR, LF, NUL).
//
// Heads are made from few, repeating pieces; those are remembered in small bounded tables.

import { UsageError } from "../errors.ts";
import { agreedLength, parseContentLength } from "../http/content-length.ts";
import { type Field, type Fields, fieldName, fieldValue, isToken, listTokens } from "../http/fields.ts";
import { isStatus, reasonPhrase } from "../http/status.ts";

/** How the body behind a head is coded; `"none"`: no byte of it may be sent. */
export type BodyMode = "none" | "length" | "chunked" | "until-close";

/** What a final head is made of, besides the length of the body. */
interface HeadParts {
  readonly status: number;
  readonly fields: Fields;
  /** Close the connection behind this response. */
  readonly close: boolean;
  /** The value of the Date field; `""` for none. */
  readonly date: string;
}

/** What the request, or the lack of one, says about its response. */
export interface ResponseContext {
  /** The peer speaks HTTP/1.0. */
  readonly http10: boolean;
  /** The request was HEAD. */
  readonly head: boolean;
  /** The connection could go on as far as the request and the core are concerned. */
  readonly mayPersist: boolean;
}

/** Makes response heads. Its properties tell what the last head settled. */
export class ResponseHeadEncoder {
  mode: BodyMode = "none";
  /** Declared bytes; 0 unless `mode` is `"length"`. */
  length = 0;
  persistent = true;
  // What the user's own fields asked for.
  #userLength: number | undefined = undefined;
  #userDate = false;
  #userClose = false;
  #userOptions = "";

  /**
   * The head up to and including its empty line.
   *
   * @param length bytes of the body; `undefined` if not known beforehand.
   * @throws UsageError
   */
  encode(response: HeadParts, length: number | undefined, context: ResponseContext): string {
    const { status, date } = response;
    const lines = this.#encodeFields(response.fields);
    const framing = this.#settleFraming(status, length, context);
    this.persistent =
      context.mayPersist && this.mode !== "until-close" && !response.close && !this.#userClose;
    const start = this.#userDate || date === "" ? statusLine(status) : datedStatusLine(status, date);
    if (this.persistent && !context.http10 && this.#userOptions === "")
      return wholeHead(start, lines, framing);
    return `${start}${lines}${framing}${this.#connectionLine(context.http10)}`;
  }

  #encodeFields(fields: Fields): string {
    this.#userLength = undefined;
    this.#userDate = false;
    this.#userClose = false;
    this.#userOptions = "";
    let lines = "";
    for (let i = 0; i < fields.length; i++) {
      const [name, value] = fields[i] as Field;
      if (!this.#takeOwnField(name, value))
        lines += rememberedLine(name, value) ?? this.#checkedLine(name, value);
    }
    return lines;
  }

  /**
   * Checks a line that is not remembered, wherever its field comes from: most fields are checked when they are set, but a
   * list can be changed afterwards, and what gets past here is response splitting.
   */
  #checkedLine(given: string, value: string): string {
    const name = fieldName(given);
    fieldValue(name, value);
    if (name !== given && this.#takeOwnField(name, value)) return "";
    return newFieldLine(name, value);
  }

  /** True: the field concerns framing or persistence, and is not copied. */
  #takeOwnField(name: string, value: string): boolean {
    switch (name?.length) {
      case 4:
        if (name === "date") this.#userDate = true;
        return false;
      case 10:
        return name === "connection" && this.#takeConnection(value);
      case 14:
        return name === "content-length" && this.#takeLength(value);
      case 17:
        return name === "transfer-encoding" && takeCoding(value);
      default:
        return false;
    }
  }

  #takeConnection(value: string): true {
    for (const token of listTokens(fieldValue("connection", value))) {
      if (!isToken(token))
        throw new UsageError(
          `connection must be a list of tokens (RFC 9110 §7.6.1), got ${JSON.stringify(token)}`,
        );
      if (token === "close") this.#userClose = true;
      else if (token !== "keep-alive") this.#userOptions += `${this.#userOptions === "" ? "" : ", "}${token}`;
    }
    return true;
  }

  #takeLength(value: string): true {
    const length = parseContentLength(fieldValue("content-length", value));
    if (length === undefined || (this.#userLength !== undefined && this.#userLength !== length)) {
      throw new UsageError(
        `content-length must be one number of bytes (RFC 9110 §8.6), got ${JSON.stringify(value)}`,
      );
    }
    this.#userLength = length;
    return true;
  }

  /** RFC 9112 §6.3, the sender's side: sets mode and length, returns the framing line. */
  #settleFraming(status: number, bodyLength: number | undefined, context: ResponseContext): string {
    const length = agreedLength(bodyLength, this.#userLength, context.head || status === 304);
    this.length = 0;
    if (status === 204) return this.#noBody("");
    if (status === 304)
      return this.#noBody(this.#userLength === undefined ? "" : lengthLine(this.#userLength));
    if (status === 205) return this.#noBody(lengthLine(0));
    if (context.head) return this.#noBody(length === undefined ? "" : lengthLine(length));
    if (length !== undefined) {
      this.mode = "length";
      this.length = length;
      return lengthLine(length);
    }
    this.mode = context.http10 ? "until-close" : "chunked";
    return context.http10 ? "" : "transfer-encoding: chunked\r\n";
  }

  #noBody(line: string): string {
    this.mode = "none";
    return line;
  }

  /** The Connection field, if one must be sent, and the empty line. */
  #connectionLine(http10: boolean): string {
    let options = this.#userOptions;
    if (!this.persistent) options += options === "" ? "close" : ", close";
    else if (http10) options += options === "" ? "keep-alive" : ", keep-alive";
    return options === "" ? "\r\n" : `connection: ${options}\r\n\r\n`;
  }
}

/** An interim head: 1xx, no framing, no date (RFC 9110 §15.2). */
export function encodeInformational(status: number, fields: Fields): string {
  let text = statusLine(status);
  for (const [name, value] of fields) text += ownFieldLine(name, value);
  return `${text}\r\n`;
}

/** The head of a 101: the upgrade's fields and `connection: upgrade` (RFC 9110 §7.8). */
export function encodeUpgrade(fields: Fields): string {
  let text = statusLine(101);
  for (const [name, value] of fields) {
    if (fieldName(name) !== "connection") text += ownFieldLine(name, value);
  }
  return `${text}connection: upgrade\r\n\r\n`;
}

/** A 1xx has no content, so no framing either (RFC 9110 §8.6, RFC 9112 §6.1). */
function ownFieldLine(given: string, value: string): string {
  const name = fieldName(given);
  if (name === "content-length" || name === "transfer-encoding") {
    throw new UsageError(`${name} is not allowed in a 1xx response`);
  }
  return rememberedLine(name, value) ?? newFieldLine(name, fieldValue(name, value));
}

function takeCoding(value: string): true {
  if (fieldValue("transfer-encoding", value).toLowerCase() === "chunked") return true;
  throw new UsageError(`transfer-encoding must be left to the server, got ${JSON.stringify(value)}`);
}

// --- remembered pieces -------------------------------------------------------------------------

const statusLines: (string | undefined)[] = [];

function statusLine(status: number): string {
  return statusLines[status] ?? newStatusLine(status);
}

function newStatusLine(status: number): string {
  if (!isStatus(status))
    throw new UsageError(`a status must be an integer from 100 to 999 (RFC 9110 §15), got ${status}`);
  // The space before the reason phrase stays when the phrase is empty (RFC 9112 §4).
  const line = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  remember(statusLines, status, line);
  return line;
}

let dated = "";
let datedStatusLines: (string | undefined)[] = [];

/** Status line and Date field in one piece; the date changes once a second. */
function datedStatusLine(status: number, date: string): string {
  if (date !== dated) {
    dated = date;
    datedStatusLines = [];
  }
  return datedStatusLines[status] ?? newDatedStatusLine(status, date);
}

function newDatedStatusLine(status: number, date: string): string {
  const line = flat(`${statusLine(status)}date: ${date}\r\n`);
  remember(datedStatusLines, status, line);
  return line;
}

const lengthLines: (string | undefined)[] = [];
const MAX_LENGTH_LINES = 4096;

function lengthLine(length: number): string {
  if (length < lengthLines.length) {
    const line = lengthLines[length];
    if (line !== undefined) return line;
  }
  return newLengthLine(length);
}

function newLengthLine(length: number): string {
  const line = flat(`content-length: ${length}\r\n`);
  if (length < MAX_LENGTH_LINES) remember(lengthLines, length, line);
  return line;
}

/** The last line made for a name. Servers send few names, and most with the same value again. */
interface RememberedLine {
  value: string;
  line: string;
  /** It was used again, and is one string since. */
  flat: boolean;
}

const rememberedLines = new Map<string, RememberedLine>();
const MAX_REMEMBERED = 64;
const MAX_REMEMBERED_VALUE = 256;

function rememberedLine(name: string, value: string): string | undefined {
  const remembered = rememberedLines.get(name);
  if (remembered === undefined || remembered.value !== value) return undefined;
  if (!remembered.flat) {
    remembered.line = flat(remembered.line);
    remembered.flat = true;
  }
  return remembered.line;
}

/** Name and value are checked. */
function newFieldLine(name: string, value: string): string {
  const line = `${name}: ${value}\r\n`;
  if (value.length > MAX_REMEMBERED_VALUE) return line;
  const remembered = rememberedLines.get(name);
  if (remembered !== undefined) {
    remembered.value = value;
    remembered.line = line;
    remembered.flat = false;
  } else if (rememberedLines.size < MAX_REMEMBERED) {
    rememberedLines.set(name, { value, line, flat: false });
  }
  return line;
}

// The last head made of several pieces: most responses of a server have the same head.
const last = { start: "", lines: "", framing: "", text: "", flat: false };

/** A head that leaves the connection open. */
function wholeHead(start: string, lines: string, framing: string): string {
  // The pieces are remembered ones mostly, the same strings, and so are quickly compared.
  if (last.framing === framing && last.start === start && last.lines === lines) {
    if (!last.flat) last.text = flat(last.text);
    last.flat = true;
    return last.text;
  }
  last.start = start;
  last.lines = lines;
  last.framing = framing;
  last.text = `${start}${lines}${framing}\r\n`;
  last.flat = false;
  return last.text;
}

/** Without holes: an array that has had one is slower to read for good. */
function remember(lines: (string | undefined)[], at: number, line: string): void {
  while (lines.length <= at) lines.push(undefined);
  lines[at] = line;
}

/** A concatenation is a tree until it is read as a whole; a remembered piece should be one string. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
