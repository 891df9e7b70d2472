/** Descriptors of this process, found where Linux lists them, to be passed to another process. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The number of the descriptor of this process behind a socket. */
export function descriptorOf(inode: string): number {
  const link = `socket:[${inode}]`;
  const names = readdirSync("/proc/self/fd").filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === link;
    } catch {
      return false;
    }
  });
  return Number(names[0]);
}

/** The inode of the TCP socket that listens on a port. */
export function inodeOfPort(port: number): string {
  const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`);
  return rowOf("/proc/net/tcp", (row) => listening.test(row))
    .trim()
    .split(/\s+/)[9]!;
}

/** The inode of the unix socket that listens on a path. */
export function inodeOfPath(path: string): string {
  return rowOf("/proc/net/unix", (row) => row.endsWith(` ${path}`)).split(/\s+/)[6]!;
}

function rowOf(file: string, matches: (row: string) => boolean): string {
  return readFileSync(file, "utf8").split("\n").find(matches)!;
}
