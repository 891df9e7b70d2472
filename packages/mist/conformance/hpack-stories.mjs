// Runs the stories of http2jp/hpack-test-case against mist's HPACK: node hpack-stories.mjs DIR
//
// DIR is a clone of the repository. The stories of all encoders are decoded and compared. Then our own encoder writes the
// fields of every story, and our decoder and Node's nghttp2 read them back.

import { readdirSync, readFileSync } from "node:fs";
import http2 from "node:http2";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import { importSource } from "../../../scripts/from-source.mjs";

/** @typedef {[name: string, value: string]} Field */
/** @typedef {{ wire?: string, headers: Record<string, string>[] }} Case */

const source = (/** @type {string} */ path) => importSource(new URL(`../src/http2/${path}`, import.meta.url));
const { HpackDecoder } = /** @type {typeof import("../src/http2/hpack/decoder.ts")} */ (
  await source("hpack/decoder.ts")
);
const { HpackEncoder } = /** @type {typeof import("../src/http2/hpack/encoder.ts")} */ (
  await source("hpack/encoder.ts")
);
const { FrameWriter } = /** @type {typeof import("../src/http2/frames/frame-writer.ts")} */ (
  await source("frame-writer.ts")
);

/** Fields nghttp2 does not take in a response: pseudo-fields, what is about the connection, and values in whitespace. */
const notInResponses =
  /^(?::.*|connection|keep-alive|proxy-connection|transfer-encoding|upgrade|te|content-length)$/;
/** Sizes of the table in the runs of our encoder: fixed, none, and another one before every block. */
const tableSizes = [[4096], [0], [256, 4096, 64]];

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: node hpack-stories.mjs DIR");

let failures = 0;
for (const name of readdirSync(directory).sort()) {
  const stories = storiesIn(join(directory, name));
  if (stories.length === 0 || name === "raw-data") continue;
  const failed = stories.filter((story) => !isDecoded(story)).length;
  failures += failed;
  const blocks = stories.reduce((sum, story) => sum + story.length, 0);
  console.log(`${name}: ${stories.length} stories of ${blocks} blocks, ${failed} failed`);
}

const raw = storiesIn(join(directory, "raw-data"));
if (raw.length === 0) throw new Error(`there are no stories in ${directory}`);
let [own, oracle] = [0, 0];
for (const story of raw) {
  for (const sizes of tableSizes) {
    if (isReadByUs(story, sizes)) own++;
    else failures++;
    if (await isReadByNghttp2(story, sizes)) oracle++;
    else failures++;
  }
}
const runs = `${raw.length} stories with ${tableSizes.length} tables`;
console.log(`our encoder, ${runs}: ${own} read by our decoder, ${oracle} by nghttp2`);
process.exitCode = failures === 0 ? 0 : 1;

/**
 * @param {string} folder
 * @returns {Case[][]}
 */
function storiesIn(folder) {
  try {
    return readdirSync(folder)
      .filter((name) => /^story_\d+\.json$/.test(name))
      .sort()
      .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")).cases);
  } catch {
    return [];
  }
}

/**
 * @param {Case} one
 * @returns {Field[]}
 */
function fieldsOf({ headers }) {
  return headers.flatMap((field) => Object.entries(field));
}

/**
 * @param {InstanceType<typeof HpackDecoder>} decoder
 * @param {Buffer} block
 * @returns {Field[]}
 */
function decode(decoder, block) {
  /** @type {Field[]} */
  const fields = [];
  decoder.decode(block, 0, block.length, { field: ({ name, value }) => fields.push([name, value]) });
  return fields;
}

/** @param {Case[]} story */
function isDecoded(story) {
  const decoder = new HpackDecoder();
  return story.every((one) =>
    isDeepStrictEqual(decode(decoder, Buffer.from(String(one.wire), "hex")), fieldsOf(one)),
  );
}

/**
 * @param {InstanceType<typeof HpackEncoder>} encoder
 * @param {InstanceType<typeof FrameWriter>["sink"]} sink
 * @param {readonly Field[]} fields
 */
function encode(encoder, sink, fields) {
  encoder.begin(sink);
  for (const [name, value] of fields) encoder.field(sink, name, value);
}

/**
 * @param {Case[]} story
 * @param {readonly number[]} sizes
 */
function isReadByUs(story, sizes) {
  const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
  return story.every((one, index) => {
    const { sink } = new FrameWriter();
    encoder.setMaxTableSize(/** @type {number} */ (sizes[index % sizes.length]));
    encode(encoder, sink, fieldsOf(one));
    return isDeepStrictEqual(decode(decoder, sink.take()), fieldsOf(one));
  });
}

/**
 * Sends the blocks of a story as heads of responses to a client of node:http2, and compares what it has read.
 *
 * @param {Case[]} story
 * @param {readonly number[]} sizes
 */
async function isReadByNghttp2(story, sizes) {
  const encoder = new HpackEncoder();
  const lists = story.map((one) =>
    fieldsOf(one).filter(([name, value]) => !notInResponses.test(name) && value === value.trim()),
  );
  let answered = 0;
  let input = Buffer.alloc(0);
  let prefaceLeft = 24;
  const duplex = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      const skipped = Math.min(prefaceLeft, chunk.length);
      prefaceLeft -= skipped;
      input = Buffer.concat([input, chunk.subarray(skipped)]);
      while (input.length >= 9 && input.length >= 9 + input.readUIntBE(0, 3)) {
        const end = 9 + input.readUIntBE(0, 3);
        takeFrame(input.subarray(0, end));
        input = input.subarray(end);
      }
      done();
    },
  });
  /** @param {Buffer} frame */
  function takeFrame(frame) {
    const [type, flags] = frame.subarray(3, 5);
    if (type === 4 && flags === 0) {
      for (let at = 9; at < frame.length; at += 6) {
        if (frame.readUInt16BE(at) === 1) encoder.setMaxTableSize(frame.readUInt32BE(at + 2));
      }
      duplex.push(Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]));
    } else if (type === 1) {
      const frames = new FrameWriter();
      const start = frames.startBlock(frame.readUInt32BE(5), 1);
      encode(encoder, frames.sink, [[":status", "200"], ...(lists[answered++] ?? [])]);
      frames.finishBlock(start, 16_384);
      duplex.push(frames.sink.take());
    }
  }
  const client = http2.connect("http://host.example", { createConnection: () => duplex });
  duplex.push(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  try {
    for (const [index, list] of lists.entries()) {
      const headerTableSize = /** @type {number} */ (sizes[index % sizes.length]);
      if (sizes.length > 1 || index === 0) client.settings({ headerTableSize });
      const stream = client.request({ ":path": "/" }).resume();
      /** @type {string[]} */
      const seen = await new Promise((resolve, reject) => {
        stream.on("error", reject);
        stream.on("response", (...args) => {
          const [, , pairs] = /** @type {readonly unknown[]} */ (args);
          resolve(/** @type {string[]} */ (pairs));
        });
      });
      if (!isDeepStrictEqual(seen, [":status", "200", ...list.flat()])) return false;
    }
    return true;
  } catch {
    return false;
  } finally {
    client.destroy();
    duplex.destroy();
  }
}
