// Listening sockets this process was started with: a descriptor by number, or systemd's socket activation
// (sd_listen_fds(3)): LISTEN_PID says for whom, LISTEN_FDS how many from descriptor 3 on, LISTEN_FDNAMES their
// names.
//
// Owns: reading those variables and listening on what they name. Refuses: variables meant for another process,
// and descriptors that are not listening sockets.

import cluster from "node:cluster";
import { readFileSync, readlinkSync } from "node:fs";
import type { Server } from "node:net";
import { StartError, UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import type { BoundAddress } from "./address.ts";
import {
  closeServers,
  createListeningServer,
  type ListenerOptions,
  listenOn,
  listenRefused,
  type OpenListener,
  openListenerOf,
  tcpAddressOf,
} from "./listening-socket.ts";

/** A listening socket that is open already. */
export interface DescriptorTarget {
  /** The number of the file descriptor. */
  readonly fd: number;
}

/** Every socket systemd passed, or those with one name (`FileDescriptorName=`). */
export interface SystemdTarget {
  /** A name of `FileDescriptorName=`, or true for all of them. */
  readonly systemd: true | string;
}

/** One socket systemd passed; `name` is `"unknown"` when it has none. */
export interface InheritedSocket {
  readonly fd: number;
  readonly name: string;
}

// A worker of node:cluster listens on descriptors of its primary, to which systemd passed them.
const holder = cluster.isWorker ? process.ppid : process.pid;

const firstDescriptor = 3;
// More than any process may have open; a larger count is garbage, and we would loop over it.
const maxDescriptors = 65_536;

/**
 * The sockets systemd passed to this process; none when it passed none, or passed them to another process (a
 * child inherits the variables but not the sockets).
 *
 * @throws StartError (`"system-error"`, einval) when the variables contradict themselves.
 */
export function inheritedSockets(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  pid: number = holder,
): readonly InheritedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined) return [];
  if (wholeNumber("LISTEN_PID", LISTEN_PID) !== pid) return [];
  const count = wholeNumber("LISTEN_FDS", LISTEN_FDS);
  if (count > maxDescriptors) throw malformed("LISTEN_FDS", LISTEN_FDS);
  const names = LISTEN_FDNAMES === undefined ? undefined : LISTEN_FDNAMES.split(":");
  if (names !== undefined && names.length !== count) throw malformed("LISTEN_FDNAMES", LISTEN_FDNAMES!);
  return Array.from({ length: count }, (_, index) => ({
    fd: firstDescriptor + index,
    name: names?.[index] || "unknown",
  }));
}

function wholeNumber(variable: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw malformed(variable, text);
  return Number(text);
}

function malformed(variable: string, text: string): StartError {
  const message = `Cannot use the sockets passed to this process: ${variable} is ${JSON.stringify(text)}.`;
  return new StartError("system-error", { message, socketReason: "einval" });
}

/**
 * Listens on what systemd passed. A unit with several `ListenStream=` lines of one name gives several sockets,
 * all of which are served; they must be of one kind.
 *
 * @throws StartError (`"system-error"`) when there is no such socket, or it is not a listening one.
 */
export function openSystemdListener(
  { systemd }: SystemdTarget,
  options: ListenerOptions,
): Promise<OpenListener> {
  const wanted = inheritedSockets().filter((each) => systemd === true || each.name === systemd);
  if (wanted.length > 0)
    return openDescriptors(
      wanted.map((each) => each.fd),
      options,
    );
  const named = systemd === true ? "" : ` named ${JSON.stringify(systemd)}`;
  const message = `Cannot listen: no socket${named} was passed to this process.`;
  return Promise.reject(new StartError("system-error", { message, socketReason: "enoent" }));
}

/**
 * Listens on a descriptor that is a bound socket.
 *
 * @throws StartError (`"system-error"`) when it is not one; UsageError for an invalid descriptor number.
 */
export async function openDescriptorListener(
  { fd }: DescriptorTarget,
  options: ListenerOptions,
): Promise<OpenListener> {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) {
    throw new UsageError(`a file descriptor must be an integer of at least 0, got ${shown(fd)}`);
  }
  return await openDescriptors([fd], options);
}

async function openDescriptors(fds: readonly number[], options: ListenerOptions): Promise<OpenListener> {
  const servers: Server[] = [];
  const addresses: BoundAddress[] = [];
  for (const fd of fds) {
    const path = unixPathOf(fd);
    const server = createListeningServer(options);
    try {
      await listenOn(server, { fd }, options);
    } catch (cause) {
      closeServers(servers);
      throw listenRefused(`file descriptor ${fd}`, cause, "it is not a socket that can listen");
    }
    servers.push(server);
    addresses.push(tcpAddressOf(server) ?? { type: "unix", path });
  }
  return openListenerOf(servers, addresses);
}

/** Node does not tell the path of a unix socket it did not bind; Linux does, in its table of sockets. */
function unixPathOf(fd: number): string {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${holder}/fd/${fd}`))?.[1];
    const row = readFileSync("/proc/net/unix", "utf8")
      .split("\n")
      .find((line) => line.split(/\s+/)[6] === inode);
    return row?.split(/\s+/)[7] ?? "";
  } catch {
    return "";
  }
}
