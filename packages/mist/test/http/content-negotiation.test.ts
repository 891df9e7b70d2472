import { describe, expect, it } from "vitest";
import { acceptableCodings, mergeVary } from "../../src/http/content-negotiation.ts";

describe("RFC 9110 §12.5.3 accept-encoding", () => {
  it.each([
    [undefined, ["identity"]],
    ["", ["identity"]],
    ["gzip", ["gzip", "identity"]],
    ["gzip, deflate, br", ["br", "gzip", "identity"]],
    ["br;q=0.5, gzip", ["gzip", "br", "identity"]],
    ["GZIP", ["gzip", "identity"]],
    ["gzip;q=0", ["identity"]],
    ["identity", ["identity"]],
    ["identity, gzip;q=0.5", ["identity", "gzip"]],
    ["*", ["br", "gzip", "identity"]],
    ["*;q=0", []],
    ["gzip, *;q=0", ["gzip"]],
    ["identity;q=0", []],
    ["br, identity;q=0", ["br"]],
    ["gzip;q=0.001", ["gzip", "identity"]],
    ["gzip;q=nonsense", ["identity"]],
    ["compress, x-unknown", ["identity"]],
  ])("%j", (field, expected) => {
    expect(acceptableCodings(field, ["br", "gzip"])).toEqual(expected);
  });
});

describe("vary", () => {
  it.each([
    [undefined, "accept-encoding"],
    ["", "accept-encoding"],
    ["origin", "origin, accept-encoding"],
    ["Accept-Encoding", "Accept-Encoding"],
    ["origin, accept-encoding", "origin, accept-encoding"],
    ["*", "*"],
  ])("%j", (existing, expected) => {
    expect(mergeVary(existing, "accept-encoding")).toBe(expected);
  });
});
