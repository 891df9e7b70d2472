// The port between the server and the system's sockets: every way to listen behind one call.
//
// Owns: telling the kinds of target apart. A listener is one `OpenListener` whether it stands on TCP, on a unix
// socket, on inherited descriptors or on memory; TLS and the PROXY protocol come after it, per connection.

import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import {
  type DescriptorTarget,
  openDescriptorListener,
  openSystemdListener,
  type SystemdTarget,
} from "./inherited-sockets.ts";
import type { ListenerOptions, OpenListener } from "./listening-socket.ts";
import { type MemoryTarget, openMemoryListener } from "./memory.ts";
import { openTcpListener, type TcpTarget } from "./tcp.ts";
import { openUnixListener, type UnixTarget } from "./unix.ts";

export type { ListenerOptions, OpenListener } from "./listening-socket.ts";
export type { DescriptorTarget, MemoryTarget, SystemdTarget, TcpTarget, UnixTarget };

/** Where to listen. */
export type ListenTarget = TcpTarget | UnixTarget | DescriptorTarget | SystemdTarget | MemoryTarget;

/**
 * Listens, and gives every accepted socket to `options.onConnection`: paused, half-open allowed, Nagle off.
 *
 * @throws StartError when the system refuses, in one sentence with the address; UsageError for an
 *   invalid target.
 */
export function openListener(target: ListenTarget, options: ListenerOptions): Promise<OpenListener> {
  if (typeof target !== "object" || target === null) return Promise.reject(noTarget(target));
  if ("port" in target) return openTcpListener(target, options);
  if ("path" in target) return openUnixListener(target, options);
  if ("fd" in target) return openDescriptorListener(target, options);
  if ("systemd" in target) return openSystemdListener(target, options);
  if ("memory" in target) return openMemoryListener(target, options);
  return Promise.reject(noTarget(target));
}

function noTarget(given: unknown): UsageError {
  return new UsageError(
    `a listen target must be { port }, { path }, { fd }, { systemd } or { memory }, got ${shown(given)}`,
  );
}
