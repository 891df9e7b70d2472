import { describe, expect, it } from "vitest";
import { isCompressibleType, mediaTypeEssence, mediaTypeOf } from "../../src/http/media-type.ts";

describe("media types", () => {
  it.each([
    ["index.html", "text/html; charset=utf-8"],
    ["/a/b.c/APP.JS", "text/javascript; charset=utf-8"],
    ["style.min.css", "text/css; charset=utf-8"],
    ["data.json", "application/json"],
    ["icon.svg", "image/svg+xml"],
    ["favicon.ico", "image/x-icon"],
    ["photo.jpeg", "image/jpeg"],
    ["archive.tar.gz", "application/gzip"],
    ["module.wasm", "application/wasm"],
    ["html", "application/octet-stream"],
    ["README", "application/octet-stream"],
    ["dir.html/README", "application/octet-stream"],
    [".html", "application/octet-stream"],
    ["file.", "application/octet-stream"],
    ["file.nosuchtype", "application/octet-stream"],
    ["file.constructor", "application/octet-stream"],
    ["file.__proto__", "application/octet-stream"],
  ])("%s is %s", (name, type) => {
    expect(mediaTypeOf(name)).toBe(type);
  });

  it("takes parameters and case off", () => {
    expect(mediaTypeEssence("Text/HTML ; charset=utf-8")).toBe("text/html");
  });

  it.each([
    ["text/plain; charset=utf-8", true],
    ["text/event-stream", true],
    ["application/json", true],
    ["application/problem+json", true],
    ["image/svg+xml", true],
    ["application/wasm", true],
    ["image/png", false],
    ["video/mp4", false],
    ["application/zip", false],
    ["application/octet-stream", false],
    ["font/woff2", false],
    ["", false],
  ])("%s compresses: %s", (type, expected) => {
    expect(isCompressibleType(type)).toBe(expected);
  });
});
