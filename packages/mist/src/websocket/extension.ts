// Extension offers (RFC 6455 §9.1) and the negotiation of permessage-deflate (RFC 7692 §5, §7.1).
//
// A field that breaks the grammar fails the handshake. An offer of permessage-deflate with a parameter that is
// unknown, repeated, or has a value it may not have is declined, and the next offer is looked at.

import { isToken, tokenCharacter } from "../http/token.ts";

/** One extension offered, its parameters in order. */
export interface ExtensionOffer {
  readonly name: string;
  /** A parameter without a value has `true`. */
  readonly parameters: readonly (readonly [name: string, value: string | true])[];
}

/** What both sides have agreed on. */
export interface DeflateParameters {
  /** The server forgets its window after every message. */
  readonly serverNoContextTakeover: boolean;
  /** The client forgets its window after every message. */
  readonly clientNoContextTakeover: boolean;
  /** Base-2 logarithm of the window the server compresses with: 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** Base-2 logarithm of the window the client compresses with: 8 to 15. */
  readonly clientMaxWindowBits: number;
}

/** An agreement, and the field value that tells the client. */
export interface DeflateAgreement {
  readonly parameters: DeflateParameters;
  readonly response: string;
}

const token = new RegExp(`${tokenCharacter}+`, "y");
const quoted = /"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"/y;
const space = /[ \t]*/y;

/**
 * Parses a `Sec-WebSocket-Extensions` value (several fields are joined with commas).
 *
 * @returns undefined if it breaks the grammar of RFC 6455 §9.1
 */
export function parseExtensionOffers(value: string): readonly ExtensionOffer[] | undefined {
  const scanner = new Scanner(value);
  const offers: ExtensionOffer[] = [];
  for (;;) {
    // RFC 9110 §5.6.1: a recipient accepts empty elements in a list.
    while (scanner.take(","));
    if (scanner.done) break;
    const offer = parseOffer(scanner);
    if (offer === undefined) return undefined;
    offers.push(offer);
    if (!scanner.done && !scanner.take(",")) return undefined;
  }
  return offers.length === 0 ? undefined : offers;
}

function parseOffer(scanner: Scanner): ExtensionOffer | undefined {
  const name = scanner.token();
  if (name === undefined) return undefined;
  const parameters: (readonly [string, string | true])[] = [];
  while (scanner.take(";")) {
    const parameter = scanner.token();
    if (parameter === undefined) return undefined;
    let value: string | true = true;
    if (scanner.take("=")) {
      const read = scanner.token() ?? scanner.quotedToken();
      if (read === undefined) return undefined;
      value = read;
    }
    parameters.push([parameter.toLowerCase(), value]);
  }
  return { name: name.toLowerCase(), parameters };
}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#skipSpace();
  }

  get done(): boolean {
    return this.#at === this.#text.length;
  }

  take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#skipSpace();
    return true;
  }

  token(): string | undefined {
    return this.#match(token)?.[0];
  }

  /** RFC 6455 §9.1: a quoted value MUST conform to `token` after unescaping. */
  quotedToken(): string | undefined {
    const text = this.#match(quoted)?.[1]?.replace(/\\(.)/g, "$1");
    return text !== undefined && isToken(text) ? text : undefined;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    this.#skipSpace();
    return match;
  }

  #skipSpace(): void {
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
  }
}

/**
 * Chooses the first offer of permessage-deflate that can be met.
 *
 * @param wanted the server's own wishes: it may ask for no context takeover on either side, and for smaller windows
 * @returns undefined if there is none: the connection goes on without compression
 */
export function negotiateDeflate(
  offers: readonly ExtensionOffer[],
  wanted: DeflateParameters,
): DeflateAgreement | undefined {
  for (const offer of offers) {
    if (offer.name !== "permessage-deflate") continue;
    const parsed = parseDeflateOffer(offer);
    const agreement = parsed === undefined ? undefined : agree(parsed, wanted);
    if (agreement !== undefined) return agreement;
  }
  return undefined;
}

interface DeflateOffer {
  serverNoContextTakeover: boolean;
  clientNoContextTakeover: boolean;
  serverMaxWindowBits: number | undefined;
  /** `true`: the client supports the parameter and leaves the value to us. */
  clientMaxWindowBits: number | true | undefined;
}

function parseDeflateOffer(offer: ExtensionOffer): DeflateOffer | undefined {
  const seen = new Set<string>();
  const parsed: DeflateOffer = {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: undefined,
    clientMaxWindowBits: undefined,
  };
  for (const [name, value] of offer.parameters) {
    // RFC 7692 §7.1: a parameter must not stand twice.
    if (seen.has(name) || !readParameter(parsed, name, value)) return undefined;
    seen.add(name);
  }
  return parsed;
}

function readParameter(parsed: DeflateOffer, name: string, value: string | true): boolean {
  switch (name) {
    case "server_no_context_takeover":
      parsed.serverNoContextTakeover = true;
      return value === true;
    case "client_no_context_takeover":
      parsed.clientNoContextTakeover = true;
      return value === true;
    case "server_max_window_bits":
      parsed.serverMaxWindowBits = parseWindowBits(value);
      return parsed.serverMaxWindowBits !== undefined;
    case "client_max_window_bits":
      parsed.clientMaxWindowBits = value === true ? true : parseWindowBits(value);
      return parsed.clientMaxWindowBits !== undefined;
    default:
      return false;
  }
}

/** RFC 7692 §7.1.2: a decimal integer from 8 to 15 without leading zeros. */
function parseWindowBits(value: string | true): number | undefined {
  return value !== true && /^(?:[89]|1[0-5])$/.test(value) ? Number(value) : undefined;
}

function agree(offer: DeflateOffer, wanted: DeflateParameters): DeflateAgreement | undefined {
  // RFC 7692 §7.1.2.2: without the parameter in the offer the client's window cannot be limited.
  if (offer.clientMaxWindowBits === undefined && wanted.clientMaxWindowBits < 15) return undefined;
  const offeredClientBits = typeof offer.clientMaxWindowBits === "number" ? offer.clientMaxWindowBits : 15;
  const parameters: DeflateParameters = {
    serverNoContextTakeover: offer.serverNoContextTakeover || wanted.serverNoContextTakeover,
    // RFC 7692 §7.1.1.2: the server may ask for it whether the client offered it or not.
    clientNoContextTakeover: offer.clientNoContextTakeover || wanted.clientNoContextTakeover,
    serverMaxWindowBits: Math.min(offer.serverMaxWindowBits ?? 15, wanted.serverMaxWindowBits),
    clientMaxWindowBits: Math.min(offeredClientBits, wanted.clientMaxWindowBits),
  };
  const sayServerBits = offer.serverMaxWindowBits !== undefined || parameters.serverMaxWindowBits < 15;
  return { parameters, response: serializeAgreement(parameters, sayServerBits) };
}

function serializeAgreement(agreed: DeflateParameters, sayServerBits: boolean): string {
  let response = "permessage-deflate";
  if (agreed.serverNoContextTakeover) response += "; server_no_context_takeover";
  if (agreed.clientNoContextTakeover) response += "; client_no_context_takeover";
  if (sayServerBits) response += `; server_max_window_bits=${agreed.serverMaxWindowBits}`;
  // Only below 15, which is what the client would use anyway and was possibly not asked for.
  if (agreed.clientMaxWindowBits < 15) response += `; client_max_window_bits=${agreed.clientMaxWindowBits}`;
  return response;
}
