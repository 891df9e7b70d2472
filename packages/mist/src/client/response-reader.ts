// The client's side of reading: responses out of bytes (RFC 9112 §4, §6.3), with the decoders that requests are read
// with. Sans-IO: bytes in, events out.

import { Buffer } from "node:buffer";
import type { Fields } from "../http/fields.ts";
import { ReceiveBuffer } from "../http/receive-buffer.ts";
import { isInformational } from "../http/status.ts";
import { type BodyDecoder, ChunkedDecoder, LengthDecoder } from "../http1/body-decoder.ts";
import type { BodyData, BodyEnd } from "../http1/events.ts";
import { FieldSection, INCOMPLETE, SectionScan } from "../http1/field-section.ts";
import { requestFraming } from "../http1/framing.ts";
import { defaultHttp1Limits } from "../http1/limits.ts";

/** The head of a response, interim ones included. */
export interface ResponseStart {
  readonly type: "head";
  readonly status: number;
  readonly reason: string;
  readonly fields: Fields;
}

/** What the bytes received so far have to say. */
export type ResponseEvent = ResponseStart | BodyData | BodyEnd | { readonly type: "need-data" };

// The server is the user's own: these keep a test from filling the memory, and are no defence.
const maxHead = 1024 * 1024;
const maxFields = 10_000;

const statusLine = /^HTTP\/1\.[01] ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const noBytes = Buffer.alloc(0);
const needData: ResponseEvent = Object.freeze({ type: "need-data" });
const bareEnd: BodyEnd = Object.freeze({ type: "end", trailers: [] });

/** Reads one response, and the interim ones before it. */
export class ResponseReader {
  readonly #isHead: boolean;
  readonly #buffer = new ReceiveBuffer();
  readonly #scan = new SectionScan();
  #decoder: BodyDecoder | undefined = undefined;
  #ended = false;

  /** `method`: of the request; the answer to HEAD has no body. */
  constructor(method: string) {
    this.#isHead = method === "HEAD";
  }

  /** Takes bytes from the server, which are the reader's from now on. */
  receive(bytes: Buffer): void {
    this.#buffer.append(bytes);
  }

  /** The server has sent its FIN. */
  receiveEnd(): void {
    this.#ended = true;
  }

  /** The next event. @throws Error when the response is malformed or cut short. */
  next(): ResponseEvent {
    const event = this.#decoder === undefined ? this.#nextHead() : this.#decoder.decode(this.#buffer);
    if (event !== undefined) return event;
    if (this.#ended) {
      const where =
        this.#decoder === undefined ? "before the response was complete" : "in the middle of the body";
      throw new Error(`the server closed the connection ${where}`);
    }
    return needData;
  }

  /** The bytes behind the head of a 101. */
  takeRemaining(): Buffer {
    return this.#buffer.length === 0 ? noBytes : this.#buffer.take(this.#buffer.length);
  }

  #nextHead(): ResponseStart | undefined {
    const { bytes, start, end } = this.#buffer;
    if (end - start > maxHead) throw new Error(`the head of the response is longer than ${maxHead} bytes`);
    const lineEnd = bytes.subarray(start, end).indexOf("\r\n");
    if (lineEnd < 0) return undefined;
    const line = bytes.toString("latin1", start, start + lineEnd);
    const match = statusLine.exec(line);
    if (match === null) throw new Error(`this is no status line: ${JSON.stringify(line.slice(0, 80))}`);
    const from = start + lineEnd + 2;
    const to = this.#scan.scan(bytes, from, end, maxFields);
    if (to === INCOMPLETE) return undefined;
    const { fields } = new FieldSection(bytes.toString("latin1", from, to));
    this.#buffer.consumeTo(to);
    this.#scan.reset();
    const status = Number(match[1]);
    if (!isInformational(status)) this.#decoder = this.#decoderFor(status, fields);
    return { type: "head", status, reason: match[2] ?? "", fields };
  }

  #decoderFor(status: number, fields: Fields): BodyDecoder {
    if (this.#isHead || status === 204 || status === 304) return { decode: () => bareEnd };
    const transferEncoding = valuesOf(fields, "transfer-encoding");
    const lengths = valuesOf(fields, "content-length");
    const framing = requestFraming(
      {
        transferEncoding: transferEncoding.length === 0 ? undefined : transferEncoding,
        contentLength: lengths[0],
        severalLengths: lengths.length > 1,
      },
      false,
    );
    if (framing === "chunked") return new ChunkedDecoder(defaultHttp1Limits);
    if (framing !== "none") return new LengthDecoder(framing.length);
    // A response without either lasts until the connection is closed (RFC 9112 §6.3).
    return lengths.length > 0 ? new LengthDecoder(0) : { decode: () => this.#untilClose() };
  }

  #untilClose(): BodyData | BodyEnd | undefined {
    if (this.#buffer.length > 0) return { type: "data", data: this.takeRemaining() };
    return this.#ended ? bareEnd : undefined;
  }
}

function valuesOf(fields: Fields, wanted: string): string[] {
  return fields.filter(([name]) => name === wanted).map(([, value]) => value);
}
