// Content codings by zlib (RFC 9110 §8.4.1): which of them this Node has, at once for small bodies, or piece by piece.
//
// A coder holds native memory (about a megabyte for brotli) from its first piece until `close`.

import { Buffer } from "node:buffer";
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import type { ContentCoding } from "../../http/content-negotiation.ts";

// zstd came with Node 22.15 and 23.8; the types here may be older or newer than that.
interface ZlibWithZstd {
  createZstdCompress?: ((options: object) => CoderStream) | undefined;
  zstdCompress?: ((data: Uint8Array, options: object, done: Done) => void) | undefined;
  zstdCompressSync?: ((data: Uint8Array, options: object) => Buffer) | undefined;
  constants: Readonly<Record<string, number>>;
}

type CoderStream = Transform & { flush(kind: number, done: () => void): void };

type Done = (error: Error | null, result: Buffer) => void;

interface Codec {
  readonly levels: readonly [lowest: number, highest: number];
  readonly flush: number;
  options(level: number, length: number | undefined): object;
  create(options: object): CoderStream;
  atOnce(data: Uint8Array, options: object, done: Done): void;
  atOnceSync(data: Uint8Array, options: object): Buffer;
}

const { constants } = zlib;

// 512 KiB, so that a connection's coder costs no more memory than with the other codings; the web's files gain
// little from a larger one.
const brotliWindow = 19;

const brotli: Codec = {
  levels: [0, 11],
  flush: constants.BROTLI_OPERATION_FLUSH,
  options: (level, length) => ({
    params: {
      [constants.BROTLI_PARAM_QUALITY]: level,
      [constants.BROTLI_PARAM_LGWIN]: brotliWindow,
      ...(length !== undefined && { [constants.BROTLI_PARAM_SIZE_HINT]: length }),
    },
  }),
  create: (options) => zlib.createBrotliCompress(options),
  atOnce: zlib.brotliCompress,
  atOnceSync: zlib.brotliCompressSync,
};

const gzip: Codec = {
  levels: [1, 9],
  flush: constants.Z_SYNC_FLUSH,
  options: (level) => ({ level }),
  create: (options) => zlib.createGzip(options),
  atOnce: zlib.gzip,
  atOnceSync: zlib.gzipSync,
};

// "deflate" is the zlib format (RFC 9110 §8.4.1.2), not bare deflate data.
const deflate: Codec = {
  ...gzip,
  create: (options) => zlib.createDeflate(options),
  atOnce: zlib.deflate,
  atOnceSync: zlib.deflateSync,
};

function zstdCodec(): Codec | undefined {
  const {
    createZstdCompress,
    zstdCompress,
    zstdCompressSync,
    constants: known,
  } = zlib as unknown as ZlibWithZstd;
  if (createZstdCompress === undefined || zstdCompress === undefined || zstdCompressSync === undefined) {
    return undefined;
  }
  return {
    // Higher levels use windows above the 8 MiB that a client has to support (RFC 9659 §3).
    levels: [1, 19],
    flush: known["ZSTD_e_flush"]!,
    options: (level) => ({ params: { [known["ZSTD_c_compressionLevel"]!]: level } }),
    create: createZstdCompress,
    atOnce: zstdCompress,
    atOnceSync: zstdCompressSync,
  };
}

const codecs: ReadonlyMap<ContentCoding, Codec | undefined> = new Map<ContentCoding, Codec | undefined>([
  ["br", brotli],
  ["zstd", zstdCodec()],
  ["gzip", gzip],
  ["deflate", deflate],
]);

/** The lowest and the highest level of a coding; undefined if this Node has no such coding. */
export function codingLevels(coding: ContentCoding): readonly [lowest: number, highest: number] | undefined {
  return codecs.get(coding)?.levels;
}

function codecOf(coding: ContentCoding): Codec {
  const codec = codecs.get(coding);
  if (codec === undefined) throw new TypeError(`no coding ${coding} here`);
  return codec;
}

/** All of `data`, coded synchronously: for small bodies, where a trip to the thread pool costs more than the work. */
export function encodeSync(coding: ContentCoding, level: number, data: Uint8Array): Buffer {
  const codec = codecOf(coding);
  return codec.atOnceSync(data, codec.options(level, data.length));
}

/** All of `data`, coded in the thread pool. */
export function encode(coding: ContentCoding, level: number, data: Uint8Array): Promise<Buffer> {
  const codec = codecOf(coding);
  return new Promise((fulfil, reject) => {
    codec.atOnce(data, codec.options(level, data.length), (error, result) => {
      if (error === null) fulfil(result);
      else reject(error);
    });
  });
}

/**
 * Codes a body piece by piece. One operation at a time; when its promise settles, its output is there to `take`.
 * Closing the coder rejects an operation that is in progress.
 */
export class ContentCoder {
  readonly #stream: CoderStream;
  readonly #flush: number;
  #output: Uint8Array[] = [];
  #taken = 0;
  #rejectCurrent: ((error: unknown) => void) | undefined;
  #failure: unknown;

  constructor(coding: ContentCoding, level: number) {
    const codec = codecOf(coding);
    this.#flush = codec.flush;
    this.#stream = codec.create(codec.options(level, undefined));
    this.#stream.on("data", (piece: Uint8Array) => this.#output.push(piece));
    this.#stream.on("error", (error) => this.#fail(error));
  }

  /** Takes a piece of the body. Its memory is free again when the promise settles. */
  write(data: Uint8Array): Promise<void> {
    return this.#operate((done) => this.#stream.write(data, done));
  }

  /** Forces out everything written so far, at some cost in size. */
  flush(): Promise<void> {
    return this.#operate((done) => this.#stream.flush(this.#flush, done));
  }

  /** Ends the body. */
  end(): Promise<void> {
    return this.#operate((done) => {
      this.#stream.once("end", done);
      this.#stream.end();
    });
  }

  /** The next piece of coded output, if there is one now. */
  take(): Uint8Array | undefined {
    const piece = this.#output[this.#taken];
    if (piece === undefined) return undefined;
    if (++this.#taken === this.#output.length) {
      this.#output = [];
      this.#taken = 0;
    }
    return piece;
  }

  /** Frees the native memory, now or when the thread pool is done with it. May be called again. */
  close(): void {
    this.#fail(new Error("the response was broken off"));
    this.#stream.destroy();
  }

  #operate(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((fulfil, reject) => {
      this.#rejectCurrent = reject;
      start((error) => (error ? reject(error) : fulfil()));
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#rejectCurrent?.(this.#failure);
    this.#rejectCurrent = undefined;
  }
}

/** Text as UTF-8, bytes as they are. */
export function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? Buffer.from(data) : data;
}
