// The port between the response-writer and a body that needs IO: a file, a compressor in front of another body.
//
// The writer pulls; nothing is read that nobody has asked for.

/** An opened body. Used by one response-writer, which has at most one `read` under way. */
export interface BodySource {
  /**
   * The next piece, or null behind the last one. A piece is never empty.
   *
   * A throw or rejection means that the body cannot be completed: the message has to be broken off.
   */
  read(): Uint8Array | null | Promise<Uint8Array | null>;
  /**
   * That piece has left: the transport holds no reference to it any more, so its memory may be used again.
   * Optional for the caller after `close`; a piece that is never released is left to the garbage collector.
   */
  release?(chunk: Uint8Array): void;
  /**
   * Gives back whatever the source holds, descriptors above all. Called exactly once, after the last piece as well
   * as on abort, and possibly while a `read` is under way; that read may then settle in any way.
   */
  close(): void;
}
