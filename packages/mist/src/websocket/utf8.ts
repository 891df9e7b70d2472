// UTF-8 as it arrives (RFC 3629, RFC 6455 §8.1): a text message is refused at its first wrong octet, not at its
// end, however it is cut into frames and packets.
//
// The few octets around a cut go through a small automaton; everything between is given to the platform.

import { type Buffer, isAscii, isUtf8 } from "node:buffer";

/** Shorter runs are not worth a native call. */
const nativeFrom = 48;

const COMPLETE = 0;
const REJECT = 1;

// States name what may follow. RFC 3629 §4: the second octet is narrowed after E0 (no overlong forms),
// ED (no surrogates), F0 (no overlong forms) and F4 (nothing above U+10FFFF).
const TAIL_1 = 2;
const TAIL_2 = 3;
const TAIL_3 = 4;
const AFTER_E0 = 5;
const AFTER_ED = 6;
const AFTER_F0 = 7;
const AFTER_F4 = 8;

/** The state after a first octet. */
const leads = new Uint8Array(256).fill(REJECT);
leads.fill(COMPLETE, 0x00, 0x80);
leads.fill(TAIL_1, 0xc2, 0xe0);
leads.fill(TAIL_2, 0xe0, 0xf0);
leads.fill(TAIL_3, 0xf0, 0xf5);
leads[0xe0] = AFTER_E0;
leads[0xed] = AFTER_ED;
leads[0xf0] = AFTER_F0;
leads[0xf4] = AFTER_F4;

function step(state: number, octet: number): number {
  switch (state) {
    case COMPLETE:
      return leads[octet]!;
    case TAIL_1:
      return (octet & 0xc0) === 0x80 ? COMPLETE : REJECT;
    case TAIL_2:
      return (octet & 0xc0) === 0x80 ? TAIL_1 : REJECT;
    case TAIL_3:
      return (octet & 0xc0) === 0x80 ? TAIL_2 : REJECT;
    case AFTER_E0:
      return octet >= 0xa0 && octet <= 0xbf ? TAIL_1 : REJECT;
    case AFTER_ED:
      return octet >= 0x80 && octet <= 0x9f ? TAIL_1 : REJECT;
    case AFTER_F0:
      return octet >= 0x90 && octet <= 0xbf ? TAIL_2 : REJECT;
    case AFTER_F4:
      return octet >= 0x80 && octet <= 0x8f ? TAIL_2 : REJECT;
    default:
      return REJECT;
  }
}

/** Validates a text in pieces. */
export class Utf8Validator {
  #state = COMPLETE;
  #ascii = true;

  /** Has the text so far been ASCII? */
  get ascii(): boolean {
    return this.#ascii;
  }

  /** Is the text so far whole characters? */
  get complete(): boolean {
    return this.#state === COMPLETE;
  }

  /** Takes the next piece, `bytes[start, end)`. False: no continuation could make this UTF-8. */
  push(bytes: Uint8Array, start: number, end: number): boolean {
    let i = start;
    if (this.#ascii) {
      if (isAscii(bytes.subarray(start, end))) return true;
      this.#ascii = false;
    }
    while (this.#state !== COMPLETE && i < end) this.#state = step(this.#state, bytes[i++]!);
    if (end - i >= nativeFrom) {
      const boundary = characterBoundary(bytes, end);
      if (!isUtf8(bytes.subarray(i, boundary))) {
        this.#state = REJECT;
        return false;
      }
      i = boundary;
    }
    let state = this.#state;
    while (i < end) state = step(state, bytes[i++]!);
    this.#state = state;
    return state !== REJECT;
  }
}

/** Where the last, unfinished character before `end` begins; `end` if there is none. */
function characterBoundary(bytes: Uint8Array, end: number): number {
  for (let back = 1; back <= 3; back++) {
    const octet = bytes[end - back]!;
    if ((octet & 0xc0) === 0x80) continue;
    const length = octet < 0xc0 ? 1 : octet < 0xe0 ? 2 : octet < 0xf0 ? 3 : 4;
    return length > back ? end - back : end;
  }
  return end;
}

/** Decodes a whole text; undefined if it is not UTF-8. */
export function decodeUtf8(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}
