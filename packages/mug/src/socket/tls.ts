// The client's side of a TLS handshake over a connected stream.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import {
  createSecureContext,
  type ConnectionOptions as NodeTlsOptions,
  type SecureContext,
  type TLSSocket,
  connect as tlsConnect,
} from "node:tls";
import type { Deadline } from "../deadline.ts";
import { detailOf, MugError, toMugError, UsageError } from "../errors.ts";
import type { TlsOptions } from "../options.ts";

/** TLS options with their certificates and keys read. */
export interface Credentials {
  readonly options: TlsOptions;
  readonly context: SecureContext;
}

/** Reads certificates and keys before anything is connected. Unreadable ones are the caller's mistake. */
export function readCredentials(options: TlsOptions): Credentials {
  const { ca, cert, key, passphrase, minVersion, maxVersion } = options;
  try {
    const context = createSecureContext({
      ...(ca === undefined ? {} : { ca: certificatesPem(ca) }),
      ...(cert === undefined ? {} : { cert: certificatesPem(cert).join("\n") }),
      ...(key === undefined ? {} : { key: keyPem(key) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(minVersion === undefined ? {} : { minVersion }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
    });
    return { options, context };
  } catch (error) {
    throw new UsageError(`tls: cannot read the certificates or the key: ${detailOf(error)}`, {
      cause: error,
    });
  }
}

/** DER begins with the tag of an ASN.1 SEQUENCE; PEM text never does. */
const derSequence = 0x30;

function certificatesPem(given: string | Uint8Array | readonly (string | Uint8Array)[]): string[] {
  const certificates = typeof given === "string" || given instanceof Uint8Array ? [given] : given;
  return certificates.map((certificate) => {
    if (typeof certificate === "string") return certificate;
    if (certificate[0] === derSequence) return new X509Certificate(certificate).toString();
    return Buffer.from(certificate).toString("latin1");
  });
}

function keyPem(key: string | Uint8Array): string | Buffer {
  if (typeof key === "string") return key;
  const bytes = Buffer.from(key);
  if (bytes[0] !== derSequence) return bytes;
  const parsed = createPrivateKey({ key: bytes, format: "der", type: "pkcs8" });
  return parsed.export({ format: "pem", type: "pkcs8" });
}

/**
 * Shakes hands over `raw`, which any failure destroys. A refused certificate, an alert or a peer that does not speak
 * TLS is code `tls`, with Node's error as cause.
 */
export function secure(
  raw: Duplex,
  host: string | undefined,
  credentials: Credentials,
  deadline: Deadline,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // A Duplex may deliver inside write(), so the whole handshake could be over, unheard, before tls.connect returns.
    raw.cork();
    const stream = tlsConnect(nodeOptions(raw, host, credentials));
    process.nextTick(() => raw.uncork());
    const settle = (done: () => void): void => {
      stop();
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
    const stop = deadline.onExpiry("TLS handshake", fail);
    stream.once("secureConnect", onSecure);
    stream.once("error", onError);
    stream.once("close", onClose);
  });
}

function nodeOptions(raw: Duplex, host: string | undefined, credentials: Credentials): NodeTlsOptions {
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

/** Refused certificates have codes of their own (`CERT_HAS_EXPIRED`, …); what is no system error is the code `tls`. */
function handshakeError(error: Error): MugError {
  const mapped = toMugError(error, "TLS handshake");
  if (mapped.code !== "unknown") return mapped;
  const { code } = error as NodeJS.ErrnoException;
  const detail = `${detailOf(error)}${code ? ` (${code})` : ""}`;
  return new MugError("tls", `TLS handshake: ${detail}`, { cause: error });
}
