// Unix listening sockets.
//
// Owns: the path, a file that is already there, abstract names (`"@name"`, Linux). A stale socket file is
// replaced; a live socket, and any other file, is not. The file is removed when the socket is closed.

import { lstat, stat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { StartError, UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import {
  createListeningServer,
  type ListenerOptions,
  listenOn,
  listenRefused,
  type OpenListener,
  openListenerOf,
} from "./listening-socket.ts";

/** A unix socket to listen on. */
export interface UnixTarget {
  /**
   * The path of the socket file, or `"@name"` for an abstract socket (Linux only; Node 20 pads the name with NUL
   * bytes to its full length, so that only peers on Node 20 find it).
   */
  readonly path: string;
  /** Lets every user connect, whatever the umask. Default: false. */
  readonly everyone?: boolean | undefined;
}

// sun_path holds 108 bytes on Linux and 104 elsewhere, with its NUL. Longer paths were cut off in silence by
// older Nodes: clients would not find the socket.
const maxPathBytes = process.platform === "linux" ? 107 : 103;

/**
 * Listens on a unix socket.
 *
 * @throws StartError (`"system-error"`) when the path is taken or refused; UsageError for a bad path.
 */
export async function openUnixListener(target: UnixTarget, options: ListenerOptions): Promise<OpenListener> {
  const { path } = target;
  const name = checkedName(path);
  for (let cleared = false; ; cleared = true) {
    const server = createListeningServer(options);
    try {
      await listenOn(server, { path: name, ...permissions(target) }, options);
      return openListenerOf([server], [{ type: "unix", path }]);
    } catch (cause) {
      const taken = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!taken || cleared || !(await removeStale(path))) throw await refused(path, cause);
    }
  }
}

async function refused(path: string, cause: unknown): Promise<StartError> {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") {
    return listenRefused(path, cause, "a live server or another kind of file is in the way");
  }
  if (code !== "EACCES" || path.startsWith("@")) return listenRefused(path, cause);
  // Node says EACCES for a directory that is not there, too.
  const missing = await missingDirectory(path);
  return missing === undefined
    ? listenRefused(path, cause, "its directory may not be written to")
    : listenRefused(path, missing, "its directory is missing");
}

function missingDirectory(path: string): Promise<Error | undefined> {
  return stat(dirname(path)).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => (error.code === "ENOENT" ? error : undefined),
  );
}

function permissions({ everyone = false }: UnixTarget): { readableAll?: true; writableAll?: true } {
  return everyone ? { readableAll: true, writableAll: true } : {};
}

/** The name as Node takes it: an abstract one begins with NUL. */
function checkedName(path: string): string {
  if (path === "" || path.includes("\0")) {
    throw new UsageError(`the path of a unix socket must be text without NUL characters, got ${shown(path)}`);
  }
  const abstract = path.startsWith("@");
  if (abstract && process.platform !== "linux") {
    throw new UsageError(`abstract unix sockets exist on Linux only, got ${shown(path)}`);
  }
  if (Buffer.byteLength(path) > maxPathBytes) {
    const message = `Cannot listen on ${path}: a socket path has at most ${maxPathBytes} bytes (enametoolong).`;
    throw new StartError("system-error", { message, socketReason: "enametoolong", address: path });
  }
  return abstract ? `\0${path.slice(1)}` : path;
}

/** Removes a socket file that no process listens on; false: it must stay. */
async function removeStale(path: string): Promise<boolean> {
  if (path.startsWith("@") || !(await isSocketFile(path)) || (await isLive(path))) return false;
  await unlink(path).catch(() => {});
  return true;
}

async function isSocketFile(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.isSocket() ?? false;
}

/** Only a refused connection proves that no process listens: a full backlog or a missing right does not. */
function isLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}
