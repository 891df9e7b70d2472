// What a job's plain description stands for: the bytes of a batch, and who checks what comes back.

import { createHash } from "node:crypto";
import * as requests from "../requests.mjs";
import { AnswerReader, Expected } from "./answer-reader.mjs";
import { EchoReader } from "./echo-reader.mjs";
import { answers, frame, handshake, MessageReader } from "./websocket.mjs";

const sha256 = Buffer.from(createHash("sha256").update(requests.upload).digest("hex"));

/** HTTP: a request, and the body that answers it. */
const exchanges = {
  get: { request: requests.get, pattern: requests.hello },
  "get-twenty": { request: requests.getTwenty, pattern: requests.hello },
  "get-once": { request: requests.getOnce, pattern: requests.hello },
  "post-echo": { request: requests.postEcho, pattern: requests.kibi },
  upload: { request: requests.postUpload, pattern: sha256 },
  download: {
    request: requests.getDownload,
    pattern: requests.chunk,
    length: requests.chunk.length * requests.chunkCount,
  },
  file: { request: requests.getFile, pattern: Buffer.from(requests.fileFill), length: requests.fileBytes },
};

function repeat(bytes, times) {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}

const protocols = {
  http({ exchange, inFlight = 1 }) {
    const { request, pattern, length = pattern.length } = exchanges[exchange];
    const batch = repeat(request, inFlight);
    const expected = new Expected(pattern);
    return { batch, reader: () => new AnswerReader({ expected, length, together: inFlight }) };
  },
  echo({ size, inFlight = 1 }) {
    const pattern = requests.content(size);
    return { batch: repeat(pattern, inFlight), reader: () => new EchoReader({ pattern, size }) };
  },
  websocket({ payload, size, inFlight = 1, path, deflate = false, listen = false }) {
    const opcode = payload === "binary" ? 2 : 1;
    const data = payload === "json" ? json(size) : listen ? Buffer.alloc(size, "x") : requests.content(size);
    const batch = listen ? Buffer.alloc(0) : repeat(frame(opcode, data, { deflate }), inFlight);
    const frames = answers(opcode, data, inFlight);
    return {
      batch,
      handshake: () => handshake(path, { deflate }),
      reader: () => new MessageReader({ frames, payload: data, deflate }),
    };
  },
  // The same frames from a server that takes anything for a handshake.
  "frame-room": (job) => ({
    ...protocols.websocket(job),
    handshake: () => ({ request: "hello\r\n\r\n", check: () => {} }),
  }),
  // The same frames to a server that sends back what comes.
  "frame-echo"({ size, inFlight = 1 }) {
    const pattern = frame(2, requests.content(size));
    return {
      batch: repeat(pattern, inFlight),
      reader: () => new EchoReader({ pattern, size: pattern.length }),
    };
  },
};

function json(size) {
  const rows = Array.from({ length: 40 }, (_, i) => ({ id: i * 7919, user: `user${i}`, score: i / 7 }));
  return Buffer.from(JSON.stringify(rows)).subarray(0, size);
}

/** A job as connections need it, out of `{ protocol, port, tls?, inFlight?, … }`. */
export function prepare(description) {
  const { protocol, port, tls = false, inFlight = 1 } = description;
  return { port, tls, perBatch: inFlight, ...protocols[protocol](description) };
}
