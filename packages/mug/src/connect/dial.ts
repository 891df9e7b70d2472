// One attempt: TCP or a unix socket to one address, with TLS on top if it was asked for.

import { isIP, type Socket as NetSocket, connect as netConnect } from "node:net";
import type { Deadline } from "../deadline.ts";
import { ConnectError, type ConnectFailure, toMugError } from "../errors.ts";
import { type ConnectOptions, defaults } from "../options.ts";
import { Socket } from "../socket/socket.ts";
import { type Credentials, secure } from "../socket/tls.ts";
import type { Candidate } from "./resolve.ts";

/** Checked options, with the certificates and keys of `tls` read. */
export interface ConnectPlan extends ConnectOptions {
  readonly credentials: Credentials | undefined;
}

/** TCP to one address. */
export function openTcp(plan: ConnectPlan, candidate: Candidate, deadline: Deadline): Promise<NetSocket> {
  const { localAddress, localPort, noDelay = defaults.noDelay } = plan;
  return open(
    () =>
      netConnect({
        host: candidate.address,
        port: plan.port!,
        family: candidate.family,
        allowHalfOpen: true,
        autoSelectFamily: false,
        noDelay,
        ...(localAddress === undefined ? {} : { localAddress }),
        ...(localPort ? { localPort } : {}),
      }),
    deadline,
  );
}

/** A unix socket. */
export function openPath(path: string, deadline: Deadline): Promise<NetSocket> {
  return open(() => netConnect({ path, allowHalfOpen: true }), deadline);
}

function open(start: () => NetSocket, deadline: Deadline): Promise<NetSocket> {
  return new Promise((resolve, reject) => {
    const stream = start();
    const fail = (error: unknown): void => {
      stop();
      stream.removeAllListeners();
      stream.on("error", () => {});
      stream.destroy();
      reject(toMugError(error));
    };
    const stop = deadline.onExpiry("connect", fail);
    stream.once("error", fail);
    stream.once("connect", () => {
      stop();
      // Until the next owner listens: an unheard error would end the process.
      stream.on("error", () => {});
      stream.removeListener("error", fail);
      resolve(stream);
    });
  });
}

/** The finished socket over a connected stream: with TLS first, if it was asked for. */
export async function secureIfAsked(raw: NetSocket, plan: ConnectPlan, deadline: Deadline): Promise<Socket> {
  const { credentials, host } = plan;
  const stream = credentials === undefined ? raw : await secure(raw, host, credentials, deadline);
  return new Socket(raw, stream, plan);
}

export function connectFailed(options: ConnectOptions, failure: ConnectFailure): ConnectError {
  const { host = "", path, port } = options;
  const target = path ?? (isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`);
  return new ConnectError(target, failure);
}
