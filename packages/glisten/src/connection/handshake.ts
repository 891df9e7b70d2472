// What comes between an accepted socket and its protocol: first a PROXY header, then TLS.
//
// Owns the order of the steps. The connection owns the deadline over all of them: when it passes, the socket is
// destroyed and whatever step was under way fails. A peer that sends garbage costs its own connection only.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ProxyProtocolError, TransportError } from "../errors.ts";
import type { Endpoint } from "../transport/address.ts";
import { parseProxyHeader, type TrustedPeers } from "../transport/proxy-protocol.ts";
import type { TlsContext } from "../transport/tls.ts";

/** The result of a handshake. */
export interface Handshaken {
  /** The client that a PROXY header named. */
  readonly client: Endpoint | undefined;
  readonly tls: TLSSocket | undefined;
}

/** A connection during its handshake. */
export interface Candidate {
  handshaken(result: Handshaken): void;
  refuse(error: unknown): void;
}

/** Performs the handshake on an accepted socket, and tells the candidate how it ended. */
export type Handshake = (raw: Socket, candidate: Candidate) => void;

/** Which peers may send PROXY headers, and how long the headers may be. */
export interface ProxySettings {
  readonly trusted: TrustedPeers;
  readonly maxHeaderBytes: number | undefined;
}

/** The handshake of a server with these parts; undefined when there is none of them. */
export function handshake(
  proxy: ProxySettings | undefined,
  tls: TlsContext | undefined,
): Handshake | undefined {
  if (proxy === undefined && tls === undefined) return undefined;
  return (raw, candidate) => {
    shakeHands(raw, proxy, tls).then(
      (result) => candidate.handshaken(result),
      (error: unknown) => candidate.refuse(error),
    );
  };
}

async function shakeHands(
  raw: Socket,
  proxy: ProxySettings | undefined,
  tls: TlsContext | undefined,
): Promise<Handshaken> {
  const told = proxy === undefined ? undefined : await readProxyHeader(raw, proxy);
  if (tls !== undefined) return { client: told?.client, tls: await tls.handshake(raw, told?.rest) };
  if (told !== undefined && told.rest.length > 0) raw.unshift(told.rest);
  return { client: told?.client, tls: undefined };
}

interface ProxyTold {
  readonly client: Endpoint | undefined;
  /** Bytes behind the header. */
  readonly rest: Buffer;
}

/** Reads up to the end of the header. The socket is unread (paused, no "data" listener) before and after. */
function readProxyHeader(raw: Socket, { trusted, maxHeaderBytes }: ProxySettings): Promise<ProxyTold> {
  return new Promise((resolve, reject) => {
    if (isGone(raw) || !trusted.trusts(raw.remoteAddress)) {
      reject(new ProxyProtocolError("untrusted", "PROXY header: this peer is not trusted to send one."));
      return;
    }
    let bytes: Buffer = Buffer.alloc(0);
    const leave = (): void => {
      raw.pause();
      raw.off("data", onData);
      raw.off("end", onGone);
      raw.off("close", onGone);
    };
    const onGone = (): void => {
      leave();
      reject(new TransportError("closed"));
    };
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      const parsed = parseProxyHeader(bytes, maxHeaderBytes);
      if (parsed.type === "need-more") return;
      leave();
      if (parsed.type === "error") reject(parsed.error);
      else resolve({ client: parsed.header.source, rest: bytes.subarray(parsed.length) });
    };
    raw.on("data", onData);
    raw.on("end", onGone);
    raw.on("close", onGone);
    raw.resume();
  });
}

/** A peer that reset the connection has no address either, and must not pass for one on a unix socket. */
function isGone(raw: Socket): boolean {
  return raw.remoteAddress === undefined && (raw.destroyed || raw.localAddress !== undefined);
}
