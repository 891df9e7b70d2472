// How many of the bytes given to the kernel a peer has not acknowledged yet (Linux, TCP).
//
// Node cannot tell. It hears of progress only when the kernel has room for another write, and Linux says so when a
// third of its send buffer is free: up to 1.3 MB, which a slow reader takes minutes for. `/proc/self/net/tcp` has the
// exact number (proc(5), `tx_queue`). It lists every socket of the network namespace, so it is read in the thread pool,
// once for all who ask, and no more than a tenth of the time. A connection in memory knows the number itself.

import { open } from "node:fs/promises";
import type { Socket } from "node:net";
import { endianness } from "node:os";
import { realClock } from "../clock.ts";
import { parseIpAddress } from "./address.ts";
import { isMemory } from "./memory-socket.ts";

const lists = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const readBytes = 256 * 1024;
/** Longer lists, of some 200 000 sockets, are not searched to their end. */
const mostBytes = 32 * 1024 * 1024;

type Answer = (bytes: number | undefined) => void;

let asked: Map<string, Answer> = new Map();
let searching = false;
let available: boolean = process.platform === "linux";

/** Asks for one socket; `answer` is called later, with undefined when it cannot be told. */
export function unacknowledgedBytes(socket: Socket, answer: Answer): void {
  if (isMemory(socket)) {
    answer(socket.unread);
    return;
  }
  const key = available ? keyOf(socket) : undefined;
  if (key === undefined) {
    answer(undefined);
    return;
  }
  asked.set(key, answer);
  if (searching) return;
  searching = true;
  void search();
}

async function search(): Promise<void> {
  while (asked.size > 0) {
    const wanted = asked;
    asked = new Map();
    const began = realClock.now();
    for (const path of lists) {
      if (wanted.size > 0) await searchList(path, wanted);
    }
    for (const answer of wanted.values()) answer(undefined);
    if (asked.size > 0) {
      const tookMs = realClock.now() - began;
      await new Promise<void>((resolve) => realClock.setTimer(resolve, tookMs * 10).unref());
    }
  }
  searching = false;
}

/** Answers those that are in the list, and takes them out of `wanted`. */
async function searchList(path: string, wanted: Map<string, Answer>): Promise<void> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) {
    if (path === lists[0]) available = false; // no /proc here
    return;
  }
  try {
    const buffer = Buffer.allocUnsafe(readBytes);
    let rest = "";
    for (let total = 0; total < mostBytes && wanted.size > 0; ) {
      const { bytesRead } = await file.read(buffer, 0, readBytes);
      if (bytesRead === 0) return;
      total += bytesRead;
      const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
      rest = lines.pop()!;
      for (const line of lines) answerLine(line, wanted);
    }
  } catch {
    // What was not found is answered as unknown.
  } finally {
    await file.close();
  }
}

/** `  sl  local_address rem_address st tx_queue:rx_queue …`: addresses and ports in hexadecimal. */
const socketLine = /^ *\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]{8}):/;

function answerLine(text: string, wanted: Map<string, Answer>): void {
  const match = socketLine.exec(text);
  if (match === null) return;
  const answer = wanted.get(match[1]!);
  if (answer === undefined) return;
  wanted.delete(match[1]!);
  answer(Number.parseInt(match[2]!, 16));
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string | undefined {
  const local = hexEnd(localAddress, localPort);
  const remote = hexEnd(remoteAddress, remotePort);
  return local === undefined || remote === undefined ? undefined : `${local} ${remote}`;
}

function hexEnd(address: string | undefined, port: number | undefined): string | undefined {
  const ip = address === undefined ? undefined : parseIpAddress(address);
  if (ip === undefined || port === undefined) return undefined;
  const bytes =
    ip.type === "ipv4" ? [...ip.octets] : ip.groups.flatMap((group) => [group >> 8, group & 0xff]);
  return `${hexWords(bytes)}:${hex(port, 4)}`;
}

/** The kernel prints addresses as words of 32 bits in the order of the machine. */
function hexWords(bytes: readonly number[]): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    if (endianness() === "LE") word.reverse();
    text += word.map((byte) => hex(byte, 2)).join("");
  }
  return text;
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
