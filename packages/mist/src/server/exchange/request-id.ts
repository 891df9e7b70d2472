// The name of a request in logs: one that came with it, or a new one.
//
// Refuses what a client could break or forge a line of a log with.

import { randomUUID } from "node:crypto";
import { checkFunction, checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { type Fields, fieldName, getFieldLines } from "../../http/fields.ts";

/** Options of `withRequestId`. */
export interface RequestIdOptions {
  /**
   * The field it is taken from: one line of 1 to 128 letters, digits and `-._~:;=+/@`. Default `"x-request-id"`. Anybody can
   * send it, so it proves nothing.
   */
  readonly header?: string | undefined;
  /** Makes one for a request without. Default: a random UUID. */
  readonly make?: (() => string) | undefined;
}

/** The option, checked. */
export interface RequestIdSettings {
  /** Lower-case. */
  readonly header: string;
  readonly make: () => string;
}

const names = ["header", "make"];

/** Checks the option. @throws UsageError */
export function requestIdSettings(options: RequestIdOptions): RequestIdSettings {
  checkNames("withRequestId", options, names);
  const { header = "x-request-id", make = randomUUID } = options;
  checkFunction("make", make);
  return { header: fieldName(header), make };
}

const wellFormed = /^[\w\-.~:;=+/@]{1,128}$/;

/** The id of a request with these fields. Without settings a new one. */
export function requestId(settings: RequestIdSettings | undefined, fields: Fields): string {
  if (settings === undefined) return randomUUID();
  const lines = getFieldLines(fields, settings.header);
  if (lines.length === 1 && wellFormed.test(lines[0]!)) return lines[0]!;
  const made = settings.make();
  if (typeof made === "string") return made;
  throw new UsageError(`make must return a request id, got ${shown(made)}`);
}
