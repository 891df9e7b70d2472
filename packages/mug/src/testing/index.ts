// The testing kit: scripted peers and servers for tests of network programs, with any test runner.

export { type Clock, type Timer, useClock } from "../clock.ts";
export { ExpectationError } from "./expectation-error.ts";
export {
  type CloseKind,
  type CloseOptions,
  type CutKind,
  connect,
  type DribbleOptions,
  type ExpectOptions,
  type MatchOptions,
  over,
  type PacingOptions,
  Peer,
  type PeerOptions,
  type PeerTimeout,
} from "./peer.ts";
export { type ListenOptions, listen, type Script, ScriptedServer, type ServerTls } from "./server.ts";
export {
  type Bytes,
  chop,
  type EverySplitOptions,
  everySplit,
  forEverySplit,
  type Split,
  type SplitOptions,
  splitAt,
} from "./splits.ts";
export { type EntryKind, escapeBytes, Transcript, type TranscriptEntry } from "./transcript.ts";
