// What one peer may make the core hold, look at or do. Everything is on by default; sizes are bytes, the rest are
// counts. What happens when a limit is exceeded stands beside it. GOAWAY means ENHANCE_YOUR_CALM where no other code
// is named.

/** Every limit and deadline of one HTTP/2 connection. */
export interface Http2Limits {
  /** Streams open at a time, announced: REFUSED_STREAM. Default 100. */
  readonly maxStreams: number;
  /**
   * Size of a decoded request head: names, values and 32 bytes per field, announced: 431. Four times as much, decoded
   * or not: GOAWAY. Default 16 KiB.
   */
  readonly maxHead: number;
  /** Decoded fields in a head, every crumb of a cookie counted: 431; four times as many: GOAWAY. Default 100. */
  readonly maxFields: number;
  /** Bytes of `:path`: 414. Default 8 KiB. */
  readonly maxTarget: number;
  /** Size of a decoded trailer section: the stream is reset. Default 8 KiB. */
  readonly maxTrailer: number;
  /** Fields in a trailer section: the stream is reset. Default 64. */
  readonly maxTrailerFields: number;
  /** CONTINUATION frames behind one HEADERS frame: GOAWAY. Default 64. */
  readonly maxContinuations: number;
  /**
   * Streams the peer resets, and stream errors it provokes from us, at once: GOAWAY. Default 1000 (CVE-2023-44487,
   * CVE-2025-8671). Streams this server resets of its own accord do not count.
   */
  readonly resetBurst: number;
  /** How many of these are forgotten again per second. Every response sent whole forgets one, too. Default 33. */
  readonly resetsPerSecond: number;
  /**
   * Frames that carry no request and no data, at once: PING, WINDOW_UPDATE, PRIORITY, unknown ones, empty DATA, and
   * frames for closed streams; a SETTINGS frame counts as 50. GOAWAY. Default 20 000.
   */
  readonly overheadBurst: number;
  /** How many of these are forgotten again per second. DATA frames and responses sent forget some, too. Default 10 000. */
  readonly overheadPerSecond: number;
  /** Control frames that wait to be written, because the peer does not read: GOAWAY. Default 10 000. */
  readonly maxWaitingControls: number;
  /** A stream's receive window at first. Default 65 535, as the protocol has it. */
  readonly streamWindow: number;
  /** What it may grow to while the application keeps up with the peer. Default 1 MiB. */
  readonly maxStreamWindow: number;
  /** The connection's receive window. Default 1 MiB. */
  readonly connectionWindow: number;
  /** Bytes of all requests that were received and not read; there the connection's window stays shut. Default 8 MiB. */
  readonly maxUnread: number;
  /**
   * Bytes a stream takes from the application before `sendData` says that there is no room, and 128 more for each piece.
   * Default 64 KiB. What the peer's windows let out at once may be more: 256 KiB for all streams together.
   */
  readonly maxQueued: number;
  /** Time for our SETTINGS to be acknowledged: GOAWAY with SETTINGS_TIMEOUT. Default 10 s. */
  readonly settingsAckMs: number;
  /** Time for the preface, for a frame once it has begun, and for a header block: GOAWAY. Default 10 s. */
  readonly headMs: number;
  /** Time in which a stream with something to send must be allowed to send some of it: CANCEL. Default 30 s. */
  readonly sendMs: number;
}

export const DEFAULT_LIMITS: Http2Limits = Object.freeze({
  maxStreams: 100,
  maxHead: 16384,
  maxFields: 100,
  maxTarget: 8192,
  maxTrailer: 8192,
  maxTrailerFields: 64,
  maxContinuations: 64,
  resetBurst: 1000,
  resetsPerSecond: 33,
  overheadBurst: 20_000,
  overheadPerSecond: 10_000,
  maxWaitingControls: 10_000,
  streamWindow: 65_535,
  maxStreamWindow: 1024 * 1024,
  connectionWindow: 1024 * 1024,
  maxUnread: 8 * 1024 * 1024,
  maxQueued: 65_536,
  settingsAckMs: 10_000,
  headMs: 10_000,
  sendMs: 30_000,
});

/** Beyond so many times the limit a head is no longer decoded to be refused: the connection ends. */
export const HARD_FACTOR = 4;
