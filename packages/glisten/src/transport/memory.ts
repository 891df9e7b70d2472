// Listening on memory: connections of this process with itself.
//
// Owns: where a connection comes from, and its refusal. Everything behind that, from the listener to the protocol, is the
// same as with a socket of the system.

import { isIP, type Socket } from "node:net";
import { TransportError, UsageError } from "../errors.ts";
import { checkNames, checkObject, shown } from "../option-names.ts";
import { integer } from "../option-values.ts";
import { type BoundAddress, ipAddressToString } from "./address.ts";
import type { ListenerOptions, OpenListener } from "./listening-socket.ts";
import { asSocket, type MemoryEndpoint, MemorySocket } from "./memory-socket.ts";

/** How much a connection in memory holds. */
export interface MemoryOptions {
  /** Bytes that an end holds unread before writes of the other end wait. At least 1. Default: 65 536. */
  readonly highWaterMark?: number | undefined;
}

/** Listens on nothing but memory: only this process can connect, by `server.connect()`. */
export interface MemoryTarget {
  /** True, or options for every connection. */
  readonly memory: true | MemoryOptions;
}

/** Options of `server.connect()`. */
export interface ConnectOptions extends MemoryOptions {
  /** The client's IP address, as the server sees it. Default: `"127.0.0.1"`. */
  readonly remoteAddress?: string | undefined;
  /** The client's port, likewise. Default: counts up from 49 152. */
  readonly remotePort?: number | undefined;
}

const defaultHighWaterMark = 65_536;
// The ports that are for clients (RFC 6335 §6).
const firstClientPort = 49_152;
const clientPorts = 16_384;

/** Accepts connections in memory. Each server has one, whatever else it listens on. */
export class MemoryListener implements OpenListener {
  readonly kind = "memory";
  readonly address: BoundAddress = { type: "memory" };
  readonly addresses: readonly BoundAddress[] = [this.address];
  readonly port: undefined;
  readonly servers: readonly [] = [];
  readonly #defaults: MemoryOptions;
  readonly #onConnection: (socket: Socket) => void;
  readonly #local: MemoryEndpoint;
  #closed = false;
  #connects = 0;

  /** `at`: where the server listens otherwise, which its connections have as their local address. */
  constructor(
    { memory }: MemoryTarget,
    { onConnection }: Pick<ListenerOptions, "onConnection">,
    at?: BoundAddress,
  ) {
    this.#defaults = memory === true ? {} : memory;
    this.#onConnection = onConnection;
    this.#local = localEndpoint(at);
  }

  /**
   * Connects; resolves with the client's end when the connection is accepted: in the next microtask, so that no code of
   * the server's runs inside this call, and none waits in a backlog.
   *
   * @throws UsageError (rejects) for wrong options; TransportError (`econnrefused`) once the listener is closed.
   */
  async connect(options: ConnectOptions = {}): Promise<MemorySocket> {
    checkConnectOptions(options);
    const { highWaterMark = this.#defaults.highWaterMark ?? defaultHighWaterMark } = options;
    const port = options.remotePort ?? firstClientPort + (this.#connects % clientPorts);
    this.#connects += 1;
    const remote = { address: options.remoteAddress ?? "127.0.0.1", port };
    const [ours, theirs] = MemorySocket.pair(this.#local, remote, highWaterMark);
    await undefined;
    if (this.#closed) {
      throw new TransportError("econnrefused", "The server does not accept connections (econnrefused).");
    }
    this.#onConnection(asSocket(ours.pause()));
    return theirs;
  }

  close(): void {
    this.#closed = true;
  }
}

/** Listens on memory. @throws UsageError (rejects) for wrong options. */
export async function openMemoryListener(
  target: MemoryTarget,
  options: ListenerOptions,
): Promise<MemoryListener> {
  checkMemoryTarget(target);
  return new MemoryListener(target, options);
}

/** @throws UsageError */
export function checkMemoryTarget({ memory }: MemoryTarget): void {
  if (memory === true) return;
  if (typeof memory !== "object" || memory === null) {
    throw new UsageError(`memory must be true or { highWaterMark }, got ${shown(memory)}`);
  }
  checkNames("memory", memory, ["highWaterMark"]);
  checkHighWaterMark(memory);
}

function checkConnectOptions(options: ConnectOptions): void {
  checkObject("connect", options);
  checkNames("connect", options, ["highWaterMark", "remoteAddress", "remotePort"]);
  checkHighWaterMark(options);
  const { remoteAddress, remotePort } = options;
  if (remoteAddress !== undefined && (typeof remoteAddress !== "string" || isIP(remoteAddress) === 0)) {
    throw new UsageError(`remoteAddress must be an IPv4 or IPv6 address, got ${shown(remoteAddress)}`);
  }
  const wanted = remotePort === undefined ? undefined : integer(0, 65_535)(remotePort);
  if (wanted !== undefined) throw new UsageError(`remotePort must be ${wanted}, got ${shown(remotePort)}`);
}

function checkHighWaterMark({ highWaterMark }: MemoryOptions): void {
  const wanted = highWaterMark === undefined ? undefined : integer(1, 1_073_741_824)(highWaterMark);
  if (wanted !== undefined) {
    throw new UsageError(`highWaterMark must be ${wanted}, got ${shown(highWaterMark)}`);
  }
}

function localEndpoint(at: BoundAddress | undefined): MemoryEndpoint {
  if (at?.type !== "tcp") return { address: "127.0.0.1", port: 0 };
  const address = ipAddressToString(at.ipAddress);
  const isAny = address === "0.0.0.0" || address === "::";
  return { address: isAny ? "127.0.0.1" : address, port: at.port };
}
