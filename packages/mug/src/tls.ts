/** The client's side of a TLS handshake over a connected socket, with a deadline and a signal. */

import { isIP, type Socket as NetSocket } from "node:net";
import { type ConnectionOptions as NodeTlsOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { abortedError, DeadlineError, MugError, toMugError } from "./errors.ts";
import type { TlsOptions, WaitOptions } from "./options.ts";

/**
 * Shakes hands over `raw`. On any failure `raw` is destroyed: half a handshake is no connection.
 * A refused certificate, an alert or a peer that speaks no TLS has the code `tls`, with Node's error as cause.
 */
export function secure(
  raw: NetSocket,
  host: string | undefined,
  options: TlsOptions,
  wait: WaitOptions,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { timeout = Number.POSITIVE_INFINITY, signal } = wait;
    const stream = tlsConnect(nodeOptions(raw, host, options));
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      stream.removeListener("secureConnect", onSecure);
      stream.removeListener("error", onError);
      stream.removeListener("close", onClose);
      done();
    };
    const fail = (error: MugError): void =>
      settle(() => {
        // The stream may still report what we already know.
        stream.on("error", () => {});
        stream.destroy();
        raw.destroy();
        reject(error);
      });
    const onSecure = (): void => settle(() => resolve(stream));
    const onError = (error: Error): void => fail(handshakeError(error));
    const onClose = (): void => fail(new MugError("closed", "the peer closed during the TLS handshake"));
    const onAbort = (): void => fail(abortedError("TLS handshake", signal!));
    const limited = timeout !== Number.POSITIVE_INFINITY;
    const expire = (): void => fail(new DeadlineError("TLS handshake", timeout));
    const timer = limited ? setTimeout(expire, timeout) : undefined;
    stream.once("secureConnect", onSecure);
    stream.once("error", onError);
    stream.once("close", onClose);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function nodeOptions(raw: NetSocket, host: string | undefined, options: TlsOptions): NodeTlsOptions {
  const name = options.serverName ?? host;
  const { ca, cert, key, passphrase, minVersion, maxVersion, alpnProtocols } = options;
  return {
    socket: raw,
    // An IP address is verified but never sent as SNI (RFC 6066 §3).
    ...(name === undefined ? {} : isIP(name) ? { host: name } : { servername: name, host: name }),
    ...(ca === undefined ? {} : { ca: bytesOrList(ca) }),
    ...(cert === undefined ? {} : { cert: bytes(cert) }),
    ...(key === undefined ? {} : { key: bytes(key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
    rejectUnauthorized: options.dangerouslyDisableVerification !== true,
  };
}

function bytes(value: string | Uint8Array): string | Buffer {
  return typeof value === "string" ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function bytesOrList(value: NonNullable<TlsOptions["ca"]>): string | Buffer | (string | Buffer)[] {
  return typeof value === "string" || value instanceof Uint8Array ? bytes(value) : value.map(bytes);
}

/** Certificate verdicts have codes of their own (`CERT_HAS_EXPIRED`, …); all that is no system error is TLS's. */
function handshakeError(error: Error): MugError {
  const mapped = toMugError(error, "TLS handshake");
  if (mapped.code !== "unknown") return mapped;
  const { code } = error as NodeJS.ErrnoException;
  return new MugError("tls", `TLS handshake: ${error.message}${code ? ` (${code})` : ""}`, { cause: error });
}
