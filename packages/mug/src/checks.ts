// Argument checks: what each kind of value must be, and the error that refuses anything else.

import { UsageError } from "./errors.ts";

/** Throws a UsageError unless the value is what the name stands for. */
export type Check = (value: unknown, name: string) => void;

/** One check per option; the table is also the list of options that exist. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check };

export function refuse(name: string, expected: string, value: unknown): never {
  throw new UsageError(`${name} must be ${expected}, got ${show(value)}`);
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** Refuses unknown names and bad values; `undefined` is an option left out. On the path of every receive. */
export function checkOptions<Options>(options: Options, checks: Checks<Options>, name = "options"): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    refuse(name, "an object", options);
  }
  for (const key in options) {
    const value = options[key];
    if (!Object.hasOwn(checks, key)) throw unknownOption(key, checks, name);
    if (value !== undefined) checks[key](value, name === "options" ? key : `${name}.${key}`);
  }
}

function unknownOption(key: string, checks: object, name: string): UsageError {
  const known = Object.keys(checks);
  const where = name === "options" ? "there is" : `${name} has`;
  const are = known.length === 1 ? "is" : "are";
  return new UsageError(
    `${where} no option ${JSON.stringify(key)}; there ${are} ${known.join(", ") || "none"}`,
  );
}

export const isBoolean: Check = (value, name) => {
  if (typeof value !== "boolean") refuse(name, "true or false", value);
};

export const isText: Check = (value, name) => {
  if (typeof value !== "string" || value === "") refuse(name, "a non-empty string", value);
  if (value.includes("\0")) refuse(name, "a string without NUL characters", value);
};

export const isFunction: Check = (value, name) => {
  if (typeof value !== "function") refuse(name, "a function", value);
};

export const isBytes: Check = (value, name) => {
  if (typeof value !== "string" && !(value instanceof Uint8Array)) refuse(name, "a string or bytes", value);
};

export const isSignal: Check = (value, name) => {
  if (!(value instanceof AbortSignal)) refuse(name, "an AbortSignal", value);
};

/** setTimeout's own limit: 2^31 - 1 ms, almost 25 days. */
const maxTimeout = 2 ** 31 - 1;

export const isTimeout: Check = (value, name) => {
  if (value === Number.POSITIVE_INFINITY) return;
  if (typeof value !== "number" || !(value >= 0 && value <= maxTimeout)) {
    refuse(name, `from 0 to ${maxTimeout} ms or Infinity`, value);
  }
};

/** Certificates and keys, not names of files that hold them. */
export const isPem: Check = (value, name) => {
  if ((typeof value !== "string" && !(value instanceof Uint8Array)) || value.length === 0) {
    refuse(name, "PEM text or bytes", value);
  }
  if (typeof value === "string" && !value.includes("-----BEGIN")) {
    refuse(name, "PEM text or bytes, not the name of a file", value);
  }
};

export function isInteger(min: number, max: number): Check {
  return (value, name) => checkInteger(value, name, min, max);
}

export function checkInteger(value: unknown, name: string, min: number, max: number): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  refuse(name, `an integer from ${min} to ${max}`, value);
}

export function isListOf(check: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value) || value.length === 0) refuse(name, "a non-empty array", value);
    for (const [index, element] of value.entries()) check(element, `${name}[${index}]`);
  };
}

export function isOneOf(...allowed: readonly unknown[]): Check {
  return (value, name) => {
    if (!allowed.includes(value)) refuse(name, `one of ${allowed.map(show).join(", ")}`, value);
  };
}
