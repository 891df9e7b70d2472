// Where a server listens, as an options object says it beside other options.

import { UsageError } from "./errors.ts";
import { shown } from "./option-names.ts";
import type { MemoryOptions } from "./transport/memory.ts";
import type { DescriptorTarget, MemoryTarget, SystemdTarget, UnixTarget } from "./transport/transport.ts";

/** Where to listen: one of `port`, `path`, `fd`, `systemd` and `memory`. */
export interface ListenPlace {
  /** A TCP port; 0: the system chooses one. */
  readonly port?: number | undefined;
  /** The path of a unix socket; see `UnixTarget`. */
  readonly path?: string | undefined;
  /** With `path`: lets every user connect, whatever the umask. Default: false. */
  readonly everyone?: boolean | undefined;
  /** The descriptor of a socket that is already listening. */
  readonly fd?: number | undefined;
  /** The sockets that systemd passed: a name of `FileDescriptorName=`, or true for all of them. */
  readonly systemd?: true | string | undefined;
  /** Nothing but memory: connections come from `server.connect()` only. True, or options for every connection. */
  readonly memory?: true | MemoryOptions | undefined;
}

/** The names of {@link ListenPlace}. */
export const placeNames: readonly string[] = ["port", "path", "everyone", "fd", "systemd", "memory"];

/**
 * The target that these options name; undefined if they name none.
 *
 * @throws UsageError for more than one, or for `everyone` without a path.
 */
export function targetOf(
  where: string,
  { port, path, everyone, fd, systemd, memory }: ListenPlace,
): number | UnixTarget | DescriptorTarget | SystemdTarget | MemoryTarget | undefined {
  const named = Object.entries({ port, path, fd, systemd, memory }).filter(
    ([, value]) => value !== undefined,
  );
  if (named.length > 1) {
    const names = named.map(([name]) => name).join(" and ");
    throw new UsageError(`${where} takes only one of port, path, fd, systemd and memory, got ${names}`);
  }
  if (everyone !== undefined && path === undefined) {
    throw new UsageError(`everyone needs path, the path of a unix socket, got ${shown(everyone)} without`);
  }
  if (path !== undefined) return everyone === undefined ? { path } : { path, everyone };
  if (fd !== undefined) return { fd };
  if (memory !== undefined) return { memory };
  return systemd === undefined ? port : { systemd };
}
