// Frames that carry no message: SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM, the priorities (RFC 9113 §6,
// RFC 9218 §7).

import {
  connectionFault,
  errorCodeName,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
} from "../errors.ts";
import { MAX_WINDOW } from "../flow/flow-control.ts";
import { MAX_PRIORITY, type Priority, parsePriority } from "../flow/priority.ts";
import type { Session } from "../session.ts";
import * as frame from "./frame.ts";
import { readUint31, readUint32 } from "./frame.ts";
import { SETTING_LENGTH } from "./settings.ts";

/** A SETTINGS frame costs as much as so many others: all streams are gone through, and an answer is due. */
const SETTINGS_COST = 50;

/** Where a frame's payload lies. */
export interface Payload {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

export class ControlFrames<Owner> {
  readonly #session: Session<Owner>;
  /** Priorities of streams that are yet to come (RFC 9218 §7.1). */
  readonly #early = new Map<number, Priority>();

  constructor(session: Session<Owner>) {
    this.#session = session;
  }

  /** Takes one frame, complete. Throws a `ConnectionFault`. */
  take(type: number, flags: number, id: number, payload: Payload): void {
    switch (type) {
      case frame.SETTINGS:
        this.#settings(flags, id, payload);
        return;
      case frame.PING:
        this.#ping(flags, id, payload);
        return;
      case frame.GOAWAY:
        this.#goaway(id, payload);
        return;
      case frame.WINDOW_UPDATE:
        this.#windowUpdate(id, payload);
        return;
      case frame.RST_STREAM:
        this.#reset(id, payload);
        return;
      case frame.PRIORITY:
        this.#priority(id, payload);
        return;
      case frame.PRIORITY_UPDATE:
        this.#priorityUpdate(id, payload);
        return;
      case frame.PUSH_PROMISE:
        throw connectionFault(PROTOCOL_ERROR, "a client must not push", "RFC 9113 §8.4");
      default: // RFC 9113 §5.5: what is not known is ignored.
        this.#session.spendOverhead(1);
    }
  }

  /** The priority a PRIORITY_UPDATE gave to a stream that comes only now. */
  takeEarlyPriority(id: number): Priority | undefined {
    if (this.#early.size === 0) return undefined;
    const priority = this.#early.get(id);
    for (const early of this.#early.keys()) if (early <= id) this.#early.delete(early);
    return priority;
  }

  #settings(flags: number, id: number, { bytes, start, end }: Payload): void {
    const session = this.#session;
    onConnection("SETTINGS", id, "RFC 9113 §6.5");
    const length = end - start;
    if ((flags & frame.ACK) !== 0) {
      if (length !== 0) throw wrongSize("an acknowledgement of SETTINGS", length, "RFC 9113 §6.5");
      session.settingsAcknowledged();
      session.spendOverhead(1);
      return;
    }
    if (length % SETTING_LENGTH !== 0) throw wrongSize("SETTINGS", length, "RFC 9113 §6.5");
    const { sender } = session;
    const before = sender.peer.initialWindowSize;
    sender.peer.apply(bytes, start, end);
    this.#moveWindows(sender.peer.initialWindowSize - before);
    sender.acknowledgeSettings();
    session.spendOverhead(SETTINGS_COST);
  }

  /** RFC 9113 §6.9.2: a new initial window moves every stream's window by the difference. */
  #moveWindows(difference: number): void {
    if (difference === 0) return;
    const { streams, sender } = this.#session;
    for (const stream of streams) {
      if (stream.sendWindow + difference > MAX_WINDOW) throw windowOverflow("RFC 9113 §6.9.2");
      stream.sendWindow += difference;
      sender.windowMoved(stream);
    }
  }

  #ping(flags: number, id: number, { bytes, start, end }: Payload): void {
    onConnection("PING", id, "RFC 9113 §6.7");
    if (end - start !== 8) throw wrongSize("PING", end - start, "RFC 9113 §6.7");
    const session = this.#session;
    if ((flags & frame.ACK) !== 0) session.onPingAck?.(bytes, start);
    else session.sender.frames.ping(frame.ACK, bytes, start);
    session.spendOverhead(1);
  }

  #goaway(id: number, { bytes, start, end }: Payload): void {
    onConnection("GOAWAY", id, "RFC 9113 §6.8");
    if (end - start < 8) throw wrongSize("GOAWAY", end - start, "RFC 9113 §6.8");
    this.#session.spendOverhead(1);
    this.#session.tell({ type: "goaway", code: readUint32(bytes, start + 4) });
  }

  #windowUpdate(id: number, { bytes, start, end }: Payload): void {
    if (end - start !== 4) throw wrongSize("WINDOW_UPDATE", end - start, "RFC 9113 §6.9");
    const session = this.#session;
    const increment = readUint31(bytes, start);
    if (id === 0) {
      if (increment === 0) throw connectionFault(PROTOCOL_ERROR, "a window increment is 0", "RFC 9113 §6.9");
      if (!session.sender.openWindow(increment)) throw windowOverflow("RFC 9113 §6.9.1");
    } else {
      this.#openStreamWindow(id, increment);
    }
    session.spendOverhead(1);
  }

  #openStreamWindow(id: number, increment: number): void {
    const session = this.#session;
    const stream = session.streams.get(id);
    if (stream === undefined) {
      this.#mustNotBeIdle("WINDOW_UPDATE", id);
      return; // RFC 9113 §5.1: closed, and the peer may not know it yet.
    }
    if (increment === 0) {
      session.streamError(stream, PROTOCOL_ERROR, "a window increment is 0");
    } else if (stream.sendWindow + increment > MAX_WINDOW) {
      session.streamError(stream, FLOW_CONTROL_ERROR, "the stream's window is too large");
    } else {
      stream.sendWindow += increment;
      session.sender.windowMoved(stream);
    }
  }

  #reset(id: number, { bytes, start, end }: Payload): void {
    if (end - start !== 4) throw wrongSize("RST_STREAM", end - start, "RFC 9113 §6.4");
    const session = this.#session;
    const stream = session.streams.get(id);
    if (stream === undefined) {
      this.#mustNotBeIdle("RST_STREAM", id);
      session.spendOverhead(1);
      return;
    }
    const code = readUint32(bytes, start);
    session.close(stream, true);
    session.tell({
      type: "reset",
      stream,
      code,
      by: "peer",
      reason: `the client sent ${errorCodeName(code)}`,
    });
    session.spendReset();
  }

  /** RFC 9113 §6.3: of the scheme of RFC 7540, only the form is of interest. */
  #priority(id: number, { bytes, start, end }: Payload): void {
    const session = this.#session;
    if (id === 0) throw connectionFault(PROTOCOL_ERROR, "PRIORITY concerns a stream", "RFC 9113 §6.3");
    const wrong = end - start !== 5;
    if (wrong || readUint31(bytes, start) === id) {
      const code = wrong ? FRAME_SIZE_ERROR : PROTOCOL_ERROR;
      const reason = wrong ? `PRIORITY has ${end - start} bytes` : "a stream depends on itself";
      const stream = session.streams.get(id);
      if (stream !== undefined) session.streamError(stream, code, reason);
      // An idle stream cannot be reset.
      else if (session.streams.isIdle(id)) throw connectionFault(code, reason, "RFC 9113 §6.3");
      else if (wrong) session.resetUnknown(id, code);
    }
    session.spendOverhead(1);
  }

  /** RFC 9218 §7.1. */
  #priorityUpdate(id: number, { bytes, start, end }: Payload): void {
    const session = this.#session;
    onConnection("PRIORITY_UPDATE", id, "RFC 9218 §7.1");
    if (end - start < 4) throw wrongSize("PRIORITY_UPDATE", end - start, "RFC 9218 §7.1");
    const target = readUint31(bytes, start);
    if (target === 0 || (target & 1) === 0) {
      throw connectionFault(PROTOCOL_ERROR, "PRIORITY_UPDATE names no request", "RFC 9218 §7.1");
    }
    session.spendOverhead(1);
    const stream = session.streams.get(target);
    if (stream === undefined && !session.streams.isIdle(target)) return;
    const priority = parsePriority(
      bytes.toString("latin1", start + 4, Math.min(end, start + 4 + MAX_PRIORITY + 1)),
    );
    if (stream !== undefined) {
      stream.priority = priority;
      session.sender.scheduler.move(stream);
    } else if (this.#early.size < session.limits.maxStreams || this.#early.has(target)) {
      this.#early.set(target, priority);
    }
  }

  #mustNotBeIdle(name: string, id: number): void {
    if (id !== 0 && !this.#session.streams.isIdle(id)) return;
    throw connectionFault(PROTOCOL_ERROR, `${name} on an idle stream`, "RFC 9113 §5.1");
  }
}

function onConnection(name: string, id: number, section: string): void {
  if (id !== 0) throw connectionFault(PROTOCOL_ERROR, `${name} on a stream`, section);
}

function wrongSize(name: string, length: number, section: string): Error {
  return connectionFault(FRAME_SIZE_ERROR, `${name} has ${length} bytes`, section);
}

function windowOverflow(section: string): Error {
  return connectionFault(FLOW_CONTROL_ERROR, "a window is too large", section);
}
