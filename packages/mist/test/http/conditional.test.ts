import { describe, expect, it } from "vitest";
import { evaluatePreconditions, ifRangeHolds } from "../../src/http/conditional.ts";

const changed = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const now = Date.UTC(2026, 5, 1);
const same = "Fri, 02 Jan 2026 03:04:05 GMT";
const earlier = "Fri, 02 Jan 2026 03:04:04 GMT";
const later = "Fri, 02 Jan 2026 03:04:06 GMT";
const strong = { etag: '"v1"', lastModifiedMs: changed };
const weak = { etag: 'W/"v1"', lastModifiedMs: changed };

function request(method: string, fields: Record<string, string>) {
  return { method, headers: Object.entries(fields) };
}

type Row = [string, Record<string, string>, typeof strong | undefined, string];

describe("RFC 9110 §13.2.2 precedence", () => {
  it.each<Row>([
    ["GET", {}, strong, "proceed"],
    // Step 1
    ["GET", { "if-match": '"v1"' }, strong, "proceed"],
    ["GET", { "if-match": '"v0", "v1"' }, strong, "proceed"],
    ["GET", { "if-match": '"v0"' }, strong, "precondition-failed"],
    ["GET", { "if-match": 'W/"v1"' }, weak, "precondition-failed"],
    ["GET", { "if-match": '"v1"' }, weak, "precondition-failed"],
    ["PUT", { "if-match": "*" }, strong, "proceed"],
    ["PUT", { "if-match": "*" }, undefined, "precondition-failed"],
    ["PUT", { "if-match": "garbage" }, strong, "precondition-failed"],
    // Step 2, only without If-Match
    ["PUT", { "if-unmodified-since": same }, strong, "proceed"],
    ["PUT", { "if-unmodified-since": later }, strong, "proceed"],
    ["PUT", { "if-unmodified-since": earlier }, strong, "precondition-failed"],
    ["PUT", { "if-unmodified-since": "yesterday" }, strong, "proceed"],
    ["PUT", { "if-match": '"v1"', "if-unmodified-since": earlier }, strong, "proceed"],
    // Step 3
    ["GET", { "if-none-match": '"v1"' }, strong, "not-modified"],
    ["HEAD", { "if-none-match": 'W/"v1"' }, strong, "not-modified"],
    ["GET", { "if-none-match": '"v1"' }, weak, "not-modified"],
    ["GET", { "if-none-match": '"v0"' }, strong, "proceed"],
    ["GET", { "if-none-match": "v1" }, strong, "proceed"],
    ["GET", { "if-none-match": "*" }, strong, "not-modified"],
    ["PUT", { "if-none-match": "*" }, strong, "precondition-failed"],
    ["PUT", { "if-none-match": "*" }, undefined, "proceed"],
    ["DELETE", { "if-none-match": '"v1"' }, strong, "precondition-failed"],
    // Step 4, only without If-None-Match, only GET and HEAD
    ["GET", { "if-modified-since": same }, strong, "not-modified"],
    ["GET", { "if-modified-since": later }, strong, "not-modified"],
    ["GET", { "if-modified-since": earlier }, strong, "proceed"],
    ["GET", { "if-modified-since": "Friday, 02-Jan-26 03:04:05 GMT" }, strong, "not-modified"],
    ["GET", { "if-modified-since": "soon" }, strong, "proceed"],
    ["POST", { "if-modified-since": same }, strong, "proceed"],
    ["GET", { "if-none-match": '"v0"', "if-modified-since": same }, strong, "proceed"],
    // A failed guard comes before a hit of the cache.
    ["GET", { "if-match": '"v0"', "if-none-match": '"v1"' }, strong, "precondition-failed"],
    ["GET", { "if-unmodified-since": earlier, "if-none-match": '"v1"' }, strong, "precondition-failed"],
    // §13.2.1
    ["OPTIONS", { "if-match": '"v0"' }, strong, "proceed"],
    ["TRACE", { "if-none-match": "*" }, strong, "proceed"],
  ])("%s %j", (method, fields, current, result) => {
    expect(evaluatePreconditions(request(method, fields), current, now)).toBe(result);
  });
});

describe("RFC 9110 §13.1.5 If-Range", () => {
  it.each([
    [undefined, strong, now, true],
    ['"v1"', strong, now, true],
    ['"v0"', strong, now, false],
    ['W/"v1"', weak, now, false],
    ['W/"v1"', strong, now, false],
    [same, weak, now, true],
    [later, weak, now, false],
    [earlier, weak, now, false],
    [same, weak, changed + 200, false],
    ["v1", strong, now, false],
    ["*", strong, now, false],
  ])("%j", (value, current, at, holds) => {
    expect(ifRangeHolds(value, current, at)).toBe(holds);
  });
});
