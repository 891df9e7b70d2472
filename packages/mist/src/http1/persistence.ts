// Does the connection go on after this message (RFC 9112 §9.3), and what else the Connection field
// says (RFC 9110 §7.6.1).

import { listTokens } from "../http/fields.ts";

/** What a Connection field holds that concerns us. */
export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
}

export const noOptions: ConnectionOptions = Object.freeze({
  close: false,
  keepAlive: false,
  upgrade: false,
});

const onlyKeepAlive: ConnectionOptions = Object.freeze({ close: false, keepAlive: true, upgrade: false });

/** Read all lines of a Connection field: a list of case-insensitive tokens. */
export function parseConnection(values: readonly string[]): ConnectionOptions {
  if (values.length === 1 && values[0] === "keep-alive") return onlyKeepAlive;
  let close = false;
  let keepAlive = false;
  let upgrade = false;
  for (const value of values) {
    for (const token of listTokens(value)) {
      if (token === "close") close = true;
      else if (token === "keep-alive") keepAlive = true;
      else if (token === "upgrade") upgrade = true;
    }
  }
  return { close, keepAlive, upgrade };
}

/** HTTP/1.1 goes on unless told to close; HTTP/1.0 closes unless told to go on. `close` always wins. */
export function persists(options: ConnectionOptions, http10: boolean): boolean {
  if (options.close) return false;
  return http10 ? options.keepAlive : true;
}
