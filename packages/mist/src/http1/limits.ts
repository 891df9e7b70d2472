// What one peer may make the core hold or look at.

/** Limits on the parts of a request: bytes or lines, with the status that answers what exceeds them. */
export interface Http1Limits {
  /** Bytes of the request target: 414. Default 8 KiB. */
  readonly maxTarget: number;
  /** Bytes of request line and field section together, line ends included: 431. Default 16 KiB. */
  readonly maxHead: number;
  /** Field lines in the head: 431. Default 100. */
  readonly maxFields: number;
  /** Bytes of a trailer section: 431. Default 8 KiB. */
  readonly maxTrailer: number;
  /** Field lines in a trailer section: 431. Default 64. */
  readonly maxTrailerFields: number;
  /** Bytes of chunk extensions in one message, all chunks together: 400. Default 16 KiB. */
  readonly maxChunkExtension: number;
  /** Empty lines tolerated before a request line (RFC 9112 §2.2): 400. Default 4. */
  readonly maxEmptyLines: number;
}

export const defaultHttp1Limits: Http1Limits = Object.freeze({
  maxTarget: 8192,
  maxHead: 16384,
  maxFields: 100,
  maxTrailer: 8192,
  maxTrailerFields: 64,
  maxChunkExtension: 16384,
  maxEmptyLines: 4,
});
