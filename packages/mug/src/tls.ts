/** The client's side of a TLS handshake over a connected socket, with a deadline and a signal. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP, type Socket as NetSocket } from "node:net";
import {
  createSecureContext,
  type ConnectionOptions as NodeTlsOptions,
  type SecureContext,
  type TLSSocket,
  connect as tlsConnect,
} from "node:tls";
import { startTimeout } from "./deadline.ts";
import { abortedError, DeadlineError, MugError, toMugError, UsageError } from "./errors.ts";
import type { TlsOptions, WaitOptions } from "./options.ts";

/** TLS options with their certificates and keys read. */
export interface Credentials {
  readonly options: TlsOptions;
  readonly context: SecureContext;
}

/** Reads certificates and keys before anything is connected; what cannot be read is the caller's mistake. */
export function readCredentials(options: TlsOptions): Credentials {
  const { ca, cert, key, passphrase, minVersion, maxVersion } = options;
  try {
    const context = createSecureContext({
      ...(ca === undefined ? {} : { ca: (Array.isArray(ca) ? ca : [ca]).map(certificatePem) }),
      ...(cert === undefined ? {} : { cert: certificatePem(cert) }),
      ...(key === undefined ? {} : { key: keyPem(key) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(minVersion === undefined ? {} : { minVersion }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
    });
    return { options, context };
  } catch (error) {
    throw new UsageError(`tls: ${(error as Error).message}`, { cause: error });
  }
}

/** DER is an ASN.1 SEQUENCE, whose tag no PEM text begins with. */
const DER_SEQUENCE = 0x30;

function certificatePem(certificate: string | Uint8Array): string | Buffer {
  if (typeof certificate === "string") return certificate;
  return certificate[0] === DER_SEQUENCE
    ? new X509Certificate(certificate).toString()
    : Buffer.from(certificate);
}

function keyPem(key: string | Uint8Array): string | Buffer {
  if (typeof key === "string") return key;
  const bytes = Buffer.from(key);
  if (bytes[0] !== DER_SEQUENCE) return bytes;
  const parsed = createPrivateKey({ key: bytes, format: "der", type: "pkcs8" });
  return parsed.export({ format: "pem", type: "pkcs8" });
}

/**
 * Shakes hands over `raw`. On any failure `raw` is destroyed: half a handshake is no connection.
 * A refused certificate, an alert or a peer that speaks no TLS has the code `tls`, with Node's error as cause.
 */
export function secure(
  raw: NetSocket,
  host: string | undefined,
  credentials: Credentials,
  wait: WaitOptions,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { timeout = Number.POSITIVE_INFINITY, signal } = wait;
    const stream = tlsConnect(nodeOptions(raw, host, credentials));
    const settle = (done: () => void): void => {
      cancel();
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
    const cancel = startTimeout(timeout, () => fail(new DeadlineError("TLS handshake", timeout)));
    stream.once("secureConnect", onSecure);
    stream.once("error", onError);
    stream.once("close", onClose);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}

function nodeOptions(raw: NetSocket, host: string | undefined, credentials: Credentials): NodeTlsOptions {
  const { context, options } = credentials;
  const name = options.serverName ?? host;
  return {
    socket: raw,
    secureContext: context,
    // An IP address is verified but never sent as SNI (RFC 6066 §3).
    ...(name === undefined ? {} : isIP(name) ? { host: name } : { servername: name, host: name }),
    ...(options.alpnProtocols === undefined ? {} : { ALPNProtocols: [...options.alpnProtocols] }),
    rejectUnauthorized: options.dangerouslyDisableVerification !== true,
  };
}

/** Certificate verdicts have codes of their own (`CERT_HAS_EXPIRED`, …); all that is no system error is TLS's. */
function handshakeError(error: Error): MugError {
  const mapped = toMugError(error, "TLS handshake");
  if (mapped.code !== "unknown") return mapped;
  const { code } = error as NodeJS.ErrnoException;
  return new MugError("tls", `TLS handshake: ${error.message}${code ? ` (${code})` : ""}`, { cause: error });
}
