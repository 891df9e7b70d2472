// The network between a simulated client and the server: segments of drawn sizes after drawn delays, readers that take
// their time, and links that break at a byte.

import type { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { Random } from "./random.ts";
import type { Network } from "./scenario.ts";
import type { World } from "./world.ts";

/** What a client hears of its link. */
export interface LinkOwner {
  received(bytes: Buffer): void;
  /** The server's FIN, behind everything it has sent. */
  ended(): void;
  /** The connection is gone; `code` is that of an error, if one ended it. */
  closed(code: string | undefined): void;
}

/** A connection, as the transport gives it to a client. */
export interface ClientEnd extends Duplex {
  resetAndDestroy?(): unknown;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  at: number;
}

/** One end of a connection, with a network in front of it. */
export class Link {
  readonly name: string;
  /** Bytes the client has handed over, that the server's side has been given, and that the client has read. */
  sent = 0;
  delivered = 0;
  received = 0;
  lastDeliveredAt = 0;
  lastReceivedAt = 0;
  /** When the client's own side of the connection broke, through no fault of the server. */
  brokenAt: number | undefined = undefined;
  /** It broke, and the server need not notice: nothing came, or a FIN behind which an answer may still be sent. */
  vanished = false;
  /** When the client's FIN was delivered. */
  finAt: number | undefined = undefined;
  /** When the server's FIN, or the end of the connection, was seen. */
  endSeenAt: number | undefined = undefined;
  closedAt: number | undefined = undefined;
  /** The end came with an error. */
  code: string | undefined = undefined;
  /** The longest time for which the client took nothing. */
  stalledMs = 0;
  readonly #world: World;
  readonly #duplex: ClientEnd;
  readonly #network: Network;
  readonly #random: Random;
  readonly #owner: LinkOwner;
  readonly #outgoing: Outgoing[] = [];
  readonly #marks: { readonly at: number; readonly reached: () => void }[] = [];
  #ending = false;
  #pumping = false;
  #reading = false;
  #stalled = 0;

  constructor(world: World, name: string, duplex: ClientEnd, network: Network, owner: LinkOwner) {
    this.#world = world;
    this.name = name;
    this.#duplex = duplex;
    this.#network = network;
    this.#random = new Random(network.seed);
    this.#owner = owner;
    duplex.on("readable", () => this.#readable());
    duplex.on("end", () => this.#ended());
    duplex.on("error", (error: NodeJS.ErrnoException) => {
      this.code = error.code ?? error.message;
    });
    duplex.on("close", () => this.#closed());
    world.after(0, () => this.#checkFault());
  }

  /** Whether the client takes less than it might. */
  get isSlow(): boolean {
    return this.#network.readBytes > 0;
  }

  /** How fast it takes what it is sent. */
  get bytesPerSecond(): number {
    const { readBytes, readEveryMs } = this.#network;
    return readBytes === 0 || readEveryMs === 0 ? Number.POSITIVE_INFINITY : (readBytes * 1000) / readEveryMs;
  }

  /** Whether anything can still be exchanged. */
  get open(): boolean {
    return this.brokenAt === undefined && this.closedAt === undefined;
  }

  /** Sends; `delivered` is called once the server's side has been given all of it. */
  send(bytes: Uint8Array, delivered?: () => void): void {
    if (!this.open || this.#ending) return;
    this.sent += bytes.length;
    if (bytes.length > 0) this.#outgoing.push({ bytes, at: 0 });
    if (delivered !== undefined) this.#marks.push({ at: this.sent, reached: delivered });
    this.#schedule(this.#network.latencyMs);
  }

  /** Calls `reached` once that many bytes of this connection were given to the server. In rising order. */
  watch(atByte: number, reached: () => void): void {
    if (this.open && !this.#ending) this.#marks.push({ at: atByte, reached });
  }

  /** Sends FIN behind what was sent. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#schedule(this.#network.latencyMs);
  }

  /** Breaks the connection. */
  break(how: "reset" | "vanish" | "destroy"): void {
    if (!this.open) return;
    this.#world.log(this.name, how);
    this.brokenAt = this.#world.time.elapsed;
    this.#outgoing.length = 0;
    this.vanished = how !== "reset";
    if (how === "vanish") this.#duplex.pause();
    else if (how === "reset" && this.#duplex.resetAndDestroy !== undefined) this.#duplex.resetAndDestroy();
    else this.#duplex.destroy();
    this.#owner.closed(undefined);
  }

  /** Takes nothing for that long. */
  stall(ms: number): void {
    this.#stalled += 1;
    this.stalledMs += ms;
    this.#world.after(ms, () => {
      this.#stalled -= 1;
      this.#readable();
    });
  }

  // ── towards the server ──────────────────────────────────────────────────────────────────────────────────

  #schedule(ms: number): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const { jitterMs } = this.#network;
    this.#world.after(ms + (jitterMs === 0 ? 0 : this.#random.small(0, jitterMs)), () => this.#pump());
  }

  #pump(): void {
    this.#pumping = false;
    if (!this.open) return;
    if (this.#duplex.writableNeedDrain) {
      this.#pumping = true;
      this.#duplex.once("drain", () => this.#pump());
      return;
    }
    const first = this.#outgoing[0];
    if (first === undefined) {
      if (!this.#ending || this.finAt !== undefined) return;
      this.finAt = this.#world.time.elapsed;
      this.#world.log(this.name, "FIN");
      this.#duplex.end();
      return;
    }
    const { fault, segmentBytes } = this.#network;
    const left = first.bytes.length - first.at;
    let size = Math.min(left, this.#random.integer(Math.ceil(segmentBytes / 4), segmentBytes));
    if (fault?.way === "up") size = Math.min(size, Math.max(0, fault.atByte - this.delivered));
    if (size > 0) this.#deliver(first, size);
    this.#checkFault();
    if (this.open && (this.#outgoing.length > 0 || this.#ending)) this.#schedule(0);
  }

  #deliver(first: Outgoing, size: number): void {
    const piece = first.bytes.subarray(first.at, first.at + size);
    first.at += size;
    if (first.at === first.bytes.length) this.#outgoing.shift();
    this.delivered += size;
    this.lastDeliveredAt = this.#world.time.elapsed;
    // The server may unmask in place.
    this.#duplex.write(Uint8Array.prototype.slice.call(piece));
    while (this.#marks[0] !== undefined && this.#marks[0].at <= this.delivered)
      this.#marks.shift()?.reached();
  }

  #checkFault(): void {
    const { fault } = this.#network;
    if (fault === undefined || !this.open) return;
    const gone = fault.way === "up" ? this.delivered : this.received;
    if (gone >= fault.atByte) this.break(fault.how);
  }

  // ── from the server ─────────────────────────────────────────────────────────────────────────────────────

  #readable(): void {
    if (this.#stalled > 0 || !this.open) return;
    const { readBytes, readEveryMs } = this.#network;
    if (readBytes === 0) {
      for (let chunk = this.#read(); chunk !== null && this.open; chunk = this.#read()) this.#received(chunk);
      return;
    }
    if (this.#reading) return;
    this.#reading = true;
    this.#world.after(readEveryMs, () => {
      this.#reading = false;
      if (this.#stalled > 0 || !this.open) return;
      const chunk = this.#read(Math.min(readBytes, this.#duplex.readableLength));
      if (chunk === null) return;
      this.#received(chunk);
      this.#readable();
    });
  }

  #read(size?: number): Buffer | null {
    // 0 asks for the end.
    return this.#duplex.read(size) as Buffer | null;
  }

  #received(chunk: Buffer): void {
    const { fault } = this.#network;
    const room = fault?.way === "down" ? fault.atByte - this.received : chunk.length;
    const bytes = room < chunk.length ? chunk.subarray(0, Math.max(0, room)) : chunk;
    this.received += bytes.length;
    this.lastReceivedAt = this.#world.time.elapsed;
    if (bytes.length > 0) this.#owner.received(bytes);
    this.#checkFault();
  }

  #ended(): void {
    if (this.brokenAt !== undefined) return;
    this.endSeenAt ??= this.#world.time.elapsed;
    this.#world.log(this.name, "the server's FIN");
    this.#owner.ended();
  }

  #closed(): void {
    if (this.closedAt !== undefined) return;
    this.closedAt = this.#world.time.elapsed;
    if (this.brokenAt !== undefined) return;
    this.endSeenAt ??= this.closedAt;
    this.#world.log(this.name, this.code === undefined ? "closed" : `closed (${this.code})`);
    this.#owner.closed(this.code);
  }
}

/**
 * Whether a server may still have a connection at that instant: its client has not left, or not for long.
 *
 * @param ms how long the server's own code may take behind the end
 */
export function mayLive(link: Link | undefined, at: number, ms: number): boolean {
  if (link === undefined) return false;
  const { closedAt, brokenAt, vanished } = link;
  if (vanished) return true;
  const leftAt = brokenAt ?? closedAt;
  return leftAt === undefined || leftAt + ms + 700 >= at;
}
