// Settings (RFC 9113 §6.5, RFC 8441 §3, RFC 9218 §2.1): what the peer says, checked, and what we say.

import { connectionFault, FLOW_CONTROL_ERROR, PROTOCOL_ERROR } from "../errors.ts";
import { DEFAULT_WINDOW, MAX_WINDOW } from "../flow/flow-control.ts";
import type { Http2Limits } from "../limits.ts";
import type { ByteSink } from "./byte-sink.ts";
import { MAX_FRAME_SIZE, readUint32, SETTINGS, writeFrameHeader, writeUint32 } from "./frame.ts";

const HEADER_TABLE_SIZE = 0x1;
const ENABLE_PUSH = 0x2;
const MAX_CONCURRENT_STREAMS = 0x3;
const INITIAL_WINDOW_SIZE = 0x4;
const MAX_FRAME_SIZE_ID = 0x5;
const MAX_HEADER_LIST_SIZE = 0x6;
const ENABLE_CONNECT_PROTOCOL = 0x8;
const NO_RFC7540_PRIORITIES = 0x9;

/** Octets of one setting. */
export const SETTING_LENGTH = 6;
const LARGEST_FRAME_SIZE = 0xff_ffff;

/** The settings of the peer that concern a server. */
export class PeerSettings {
  headerTableSize = 4096;
  /** The smallest of the table sizes in the last SETTINGS frame: the encoder must say it, too (RFC 7541 §4.2). */
  smallestTableSize = 4096;
  initialWindowSize: number = DEFAULT_WINDOW;
  maxFrameSize: number = MAX_FRAME_SIZE;

  /** Takes the settings in `bytes[start, end)`, in order. Throws a `ConnectionFault`. */
  apply(bytes: Uint8Array, start: number, end: number): void {
    this.smallestTableSize = Number.POSITIVE_INFINITY;
    for (let at = start; at < end; at += SETTING_LENGTH) {
      this.#set(((bytes[at] as number) << 8) | (bytes[at + 1] as number), readUint32(bytes, at + 2));
    }
  }

  #set(id: number, value: number): void {
    switch (id) {
      case HEADER_TABLE_SIZE:
        this.headerTableSize = value;
        this.smallestTableSize = Math.min(this.smallestTableSize, value);
        return;
      case INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW) throw badSetting("SETTINGS_INITIAL_WINDOW_SIZE", value, FLOW_CONTROL_ERROR);
        this.initialWindowSize = value;
        return;
      case MAX_FRAME_SIZE_ID:
        if (value < MAX_FRAME_SIZE || value > LARGEST_FRAME_SIZE) {
          throw badSetting("SETTINGS_MAX_FRAME_SIZE", value, PROTOCOL_ERROR);
        }
        this.maxFrameSize = value;
        return;
      // Switches: this server never pushes, and the others are its own to set, but a value must be one.
      case ENABLE_PUSH:
      case ENABLE_CONNECT_PROTOCOL:
      case NO_RFC7540_PRIORITIES:
        if (value > 1) throw badSetting(`setting ${id}`, value, PROTOCOL_ERROR);
        return;
      default: // RFC 9113 §6.5.2: what is not known is ignored.
    }
  }
}

/** Writes our SETTINGS frame. What is not in it has its default. */
export function writeSettings(sink: ByteSink, limits: Http2Limits, extendedConnect: boolean): void {
  const settings: [id: number, value: number][] = [
    [MAX_CONCURRENT_STREAMS, limits.maxStreams],
    [MAX_HEADER_LIST_SIZE, limits.maxHead],
    [NO_RFC7540_PRIORITIES, 1],
  ];
  if (extendedConnect) settings.push([ENABLE_CONNECT_PROTOCOL, 1]);
  if (limits.streamWindow !== DEFAULT_WINDOW) settings.push([INITIAL_WINDOW_SIZE, limits.streamWindow]);
  writeFrameHeader(sink, settings.length * SETTING_LENGTH, SETTINGS, 0, 0);
  for (const [id, value] of settings) {
    sink.octet(id >> 8);
    sink.octet(id & 0xff);
    writeUint32(sink, value);
  }
}

function badSetting(name: string, value: number, code: number): Error {
  return connectionFault(code, `${name} cannot be ${value}`, "RFC 9113 §6.5.2");
}
