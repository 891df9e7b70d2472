// Opening a regular file for reading, and proving that it lies below a root.
//
// Every check is made on the open descriptor, so nothing can be exchanged between the check and the use.
// Refused without ever waiting: directories, FIFOs, sockets, devices.
//
// The first `open` goes through the thread pool, since it may wait for a disk. What follows does not: name and inode are
// in memory then, and a trip to the pool takes the main thread longer (up to 50 µs) than the call itself (1 to 3 µs).

import {
  closeSync,
  constants,
  fstatSync,
  open,
  openSync,
  readlinkSync,
  realpath,
  type Stats,
  stat,
} from "node:fs";
import { resolve, sep } from "node:path";
import { FileError, type FileErrorReason } from "../../errors.ts";

/** An open descriptor of a regular file, with its state at that moment. The owner closes it. */
export interface OpenFile {
  readonly descriptor: number;
  readonly stats: Stats;
}

// Without O_NONBLOCK, opening a FIFO would hold a thread of the pool until somebody writes to it.
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/**
 * Opens a regular file for reading.
 *
 * @param path path in the file system.
 * @param root if given, a directory that the opened file must lie below, symbolic links resolved.
 * @throws FileError (rejects) is-dir for a directory; no-access for other special files, for a file outside the root
 *   and where permission is missing; no-entry; unknown with the system's error as `cause`.
 */
export async function openRegularFile(path: string, root?: string): Promise<OpenFile> {
  const descriptor = await openDescriptor(path);
  try {
    // Check the location before the kind, so that a client learns nothing about files outside the root.
    if (root !== undefined && !(await liesBelow(root, descriptor, path))) {
      throw new FileError("no-access", path);
    }
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw new FileError(stats.isDirectory() ? "is-dir" : "no-access", path);
    return { descriptor, stats };
  } catch (error) {
    closeDescriptor(descriptor);
    throw toFileError(error, path);
  }
}

/**
 * Opens again, at once, a file that was open a moment ago.
 *
 * @param known its state then: the path must still name the same file; its content may have changed.
 * @returns the descriptor.
 * @throws FileError unknown if that fails, or another file has taken its place.
 */
export function openAgain(path: string, known: Stats): number {
  let descriptor: number;
  try {
    descriptor = openSync(path, openFlags);
  } catch (error) {
    throw new FileError("unknown", path, error); // the answer has begun: no longer a matter of 404
  }
  const { dev, ino } = fstatSync(descriptor);
  if (dev === known.dev && ino === known.ino) return descriptor;
  closeDescriptor(descriptor);
  throw new FileError(
    "unknown",
    path,
    new Error("another file has taken its place since the response began"),
  );
}

/** Closes a descriptor that was only read from: no data can be lost, so errors are ignored. */
export function closeDescriptor(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // EIO or EINTR; the descriptor is gone all the same.
  }
}

function openDescriptor(path: string): Promise<number> {
  return new Promise((fulfil, reject) => {
    const done = (error: Error | null, descriptor: number) =>
      error === null ? fulfil(descriptor) : reject(toFileError(error, path));
    try {
      open(path, openFlags, done);
    } catch (error) {
      reject(toFileError(error, path)); // NUL in the path
    }
  });
}

const reasons: Readonly<Record<string, FileErrorReason>> = {
  EACCES: "no-access",
  EISDIR: "is-dir",
  ELOOP: "no-entry",
  ENAMETOOLONG: "no-entry",
  ENODEV: "no-access",
  ENOENT: "no-entry",
  ENOTDIR: "no-entry",
  ENXIO: "no-access", // a socket, on Linux
  EOPNOTSUPP: "no-access", // a socket, on macOS
  EPERM: "no-access",
  ERR_INVALID_ARG_VALUE: "no-entry",
};

/** A failure of the file system as a FileError; a FileError as it is. */
export function toFileError(error: unknown, path: string): FileError {
  if (error instanceof FileError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return new FileError(reasons[code] ?? "unknown", path, error);
}

// Roots resolved before. A root may be a link that is pointed elsewhere later (`current -> release-7`), so an entry
// is a first guess only: before a file is refused, its root is resolved afresh.
const knownRoots = new Map<string, string>();
const maxKnownRoots = 64;

async function liesBelow(root: string, descriptor: number, path: string): Promise<boolean> {
  const real = openedPath(descriptor) ?? (await openedPathByName(descriptor, path));
  if (real === undefined) return false;
  const known = knownRoots.get(root);
  if (known !== undefined && isInside(known, real)) return true;
  const current = await realPathOf(root);
  if (knownRoots.size >= maxKnownRoots) knownRoots.clear();
  knownRoots.set(root, current);
  return isInside(current, real);
}

function isInside(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

/** The path of an open descriptor according to the kernel; undefined where the kernel cannot tell. Never blocks. */
function openedPath(descriptor: number): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return undefined; // no /proc here
  }
}

/**
 * Where an open file lies, found by its name: resolves the name and compares the file there with the open one.
 * Undefined if they differ, which means that a link was exchanged meanwhile.
 */
export async function openedPathByName(descriptor: number, path: string): Promise<string | undefined> {
  const real = await realPathOf(path);
  const named = await new Promise<{ dev: bigint; ino: bigint }>((fulfil, reject) => {
    stat(real, { bigint: true }, (error, stats) => (error === null ? fulfil(stats) : reject(error)));
  });
  const opened = fstatSync(descriptor, { bigint: true });
  return named.dev === opened.dev && named.ino === opened.ino ? real : undefined;
}

function realPathOf(path: string): Promise<string> {
  return new Promise((fulfil, reject) => {
    realpath.native(resolve(path), (error, real) => (error === null ? fulfil(real) : reject(error)));
  });
}
