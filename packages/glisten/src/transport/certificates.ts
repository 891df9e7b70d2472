// Certificates, private keys and client authorities: read, decoded, checked against each other.
//
// Owns: files, PEM text or bytes, DER bytes, chains, encrypted keys; and saying what is missing by name before
// any socket sees it. Does not judge trust or dates: an expired certificate is
// served as it is, for clients to reject.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  CertificateError,
  type CertificateErrorReason,
  describeError,
  toSocketReason,
  UsageError,
} from "../errors.ts";

/** A certificate and its key, each from a file or from memory. Intermediates follow the certificate. */
export interface CertificateOptions {
  /** Path of the certificate: PEM (with its chain) or DER. */
  readonly certfile?: string | URL | undefined;
  /** Path of the private key: PEM or DER. */
  readonly keyfile?: string | URL | undefined;
  /** The certificate: PEM text or bytes (with its chain), DER bytes, or an array: the leaf, then its chain. */
  readonly cert?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The private key: PEM text or bytes, or DER bytes (PKCS#1 for RSA, SEC 1 for EC, PKCS#8 for any). */
  readonly key?: string | Uint8Array | undefined;
  /** What a DER key is encoded as. Default: told by its structure. */
  readonly keyType?: "rsa" | "ec" | "pkcs8" | undefined;
  /** Opens an encrypted key. */
  readonly passphrase?: string | undefined;
}

/** The authorities that client certificates are verified against, and whether a client must present one. */
export interface ClientVerification {
  /** Path of a PEM file with one or more CA certificates, or of a DER file with one. */
  readonly caFile?: string | URL | undefined;
  /** CA certificates: PEM text or bytes, DER bytes, or an array of them. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** Lets a client without a certificate in; a certificate that is presented must still be valid. Default: false. */
  readonly optional?: boolean | undefined;
}

/** A certificate chain and its key, decoded, checked and written as PEM. */
export interface Identity {
  /** The leaf, then its intermediates. */
  readonly cert: string;
  /** PKCS#8, not encrypted: it never leaves the process. */
  readonly key: string;
}

interface Source {
  readonly what: "certificate" | "key";
  /** How the message names it. */
  readonly name: string;
  readonly content?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  readonly problem?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Reads a certificate and its key.
 *
 * @param name what the certificate is for, in messages: `"the server"` or a server name.
 * @throws CertificateError naming what is missing, unreadable, undecodable, or does not fit together.
 */
export async function loadIdentity(options: CertificateOptions, name: string): Promise<Identity> {
  const [cert, key] = await Promise.all([
    openSource("certificate", options.cert, options.certfile, name),
    openSource("key", options.key, options.keyfile, name),
  ]);
  requirePresent(cert, key);
  const chain = decodeCertificates(cert.content!, cert.name, "invalid-certificate");
  const privateKey = decodeKey(key.content as string | Uint8Array, key.name, options);
  if (!chain[0]!.checkPrivateKey(privateKey)) {
    throw new CertificateError("key-mismatch", `${capitalize(key.name)} does not belong to ${cert.name}.`);
  }
  return {
    cert: chain.map((each) => each.toString()).join(""),
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

/**
 * Reads the authorities clients are verified against, as PEM, one string each.
 *
 * @throws CertificateError when there are none, or they cannot be read or decoded.
 */
export async function loadAuthorities(options: ClientVerification): Promise<readonly string[]> {
  const name =
    options.caFile === undefined ? "the client CA" : `the client CA file ${pathText(options.caFile)}`;
  const content = await authorityContent(options, name);
  return decodeCertificates(content, name, "invalid-authority").map((each) => each.toString());
}

async function authorityContent(
  { ca, caFile }: ClientVerification,
  name: string,
): Promise<CertificateContent> {
  if (ca !== undefined && caFile !== undefined) throw new UsageError("give either ca or caFile, not both");
  if (ca !== undefined) return ca;
  if (caFile === undefined) {
    throw new CertificateError("no-authority", "Client verification needs the CA: give ca or caFile.");
  }
  return await readFile(caFile).catch((cause: unknown) => {
    throw new CertificateError("no-authority", `Cannot read ${name}: ${inWords(cause)}.`, cause);
  });
}

type CertificateContent = NonNullable<CertificateOptions["cert"]>;

async function openSource(
  what: Source["what"],
  content: CertificateContent | undefined,
  file: string | URL | undefined,
  owner: string,
): Promise<Source> {
  const short = what === "key" ? "key" : "cert";
  if (content !== undefined && file !== undefined) {
    throw new UsageError(`give either ${short} or ${short}file for ${owner}, not both`);
  }
  if (content !== undefined) return { what, name: `the ${what} of ${owner}`, content };
  if (file === undefined) {
    return { what, name: `the ${what} of ${owner}`, problem: `give ${short} or ${short}file` };
  }
  const name = `the ${what} file ${pathText(file)}`;
  return await readFile(file).then(
    (bytes) => ({ what, name, content: bytes }),
    (cause: unknown) => ({ what, name, problem: inWords(cause), cause }),
  );
}

function requirePresent(cert: Source, key: Source): void {
  const missing = [cert, key].filter((each) => each.content === undefined);
  if (missing.length === 0) return;
  const reason = missing.length === 2 ? "no-key-or-certificate" : `no-${missing[0]!.what}`;
  const sentences = missing.map((each) => `${each.name}: ${each.problem}`).join(", and ");
  throw new CertificateError(
    reason as "no-key" | "no-certificate" | "no-key-or-certificate",
    `TLS cannot use ${sentences}.`,
    missing[0]!.cause,
  );
}

function pathText(path: string | URL): string {
  return typeof path === "string" ? path : path.pathname;
}

function inWords(error: unknown): string {
  const reason = toSocketReason(error);
  return `${describeError(reason)} (${reason})`;
}

const pemCertificate =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

function decodeCertificates(
  content: CertificateContent,
  name: string,
  reason: "invalid-certificate" | "invalid-authority",
): readonly X509Certificate[] {
  const parts = typeof content === "string" || content instanceof Uint8Array ? [content] : content;
  try {
    const certificates = parts.flatMap(certificateBlocks).map((each) => new X509Certificate(each));
    if (certificates.length > 0) return certificates;
  } catch (cause) {
    throw new CertificateError(reason, `${capitalize(name)} cannot be decoded: ${messageOf(cause)}.`, cause);
  }
  const why = `${capitalize(name)} holds no certificate`;
  throw new CertificateError(reason, parts.some(looksLikePath) ? `${why}${hintOfPath(reason)}` : `${why}.`);
}

/** Text on one line is not PEM. */
function looksLikePath(content: string | Uint8Array): boolean {
  return typeof content === "string" && content !== "" && !/-----BEGIN |\n/.test(content);
}

function hintOfPath(reason: CertificateErrorReason): string {
  const options = { "invalid-certificate": ["cert", "certfile"], "invalid-authority": ["ca", "caFile"] };
  const [given, meant] = options[reason as keyof typeof options] ?? ["key", "keyfile"];
  return `: ${given} takes PEM or DER, and this looks like a path. Did you mean ${meant}?`;
}

/** The PEM blocks of a text, or DER bytes as they are. */
function certificateBlocks(content: string | Uint8Array): readonly (string | Uint8Array)[] {
  const pem = pemText(content);
  return pem === undefined ? [content] : (pem.match(pemCertificate) ?? []);
}

/** Text is PEM; bytes are PEM when they say so, and DER otherwise. */
function pemText(content: string | Uint8Array): string | undefined {
  if (typeof content === "string") return content;
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  return bytes.includes("-----BEGIN ") ? bytes.toString("latin1") : undefined;
}

function decodeKey(content: string | Uint8Array, name: string, options: CertificateOptions): KeyObject {
  const passphrase = options.passphrase === undefined ? {} : { passphrase: options.passphrase };
  const pem = pemText(content);
  if (pem !== undefined && options.keyType !== undefined) {
    throw new UsageError(`keyType says how a DER key is encoded; ${name} is PEM, which says it itself.`);
  }
  try {
    if (pem !== undefined) return createPrivateKey({ key: pem, format: "pem", ...passphrase });
    const key = Buffer.from(content as Uint8Array);
    return createPrivateKey({ key, format: "der", type: requiredType(key, options), ...passphrase });
  } catch (cause) {
    if (looksLikePath(content)) {
      throw new CertificateError(
        "invalid-key",
        `${capitalize(name)} holds no key${hintOfPath("invalid-key")}`,
        cause,
      );
    }
    const why = wrongPassphrase(pem, options.passphrase, cause) ?? messageOf(cause);
    throw new CertificateError("invalid-key", `${capitalize(name)} cannot be decoded: ${why}.`, cause);
  }
}

/** OpenSSL says "interrupted or cancelled" when it asks for a passphrase and gets none. */
function wrongPassphrase(
  pem: string | undefined,
  passphrase: string | undefined,
  cause: unknown,
): string | undefined {
  if (passphrase !== undefined)
    return /bad decrypt/.test(messageOf(cause)) ? "the passphrase is wrong" : undefined;
  return pem?.includes("ENCRYPTED") ? "it needs a passphrase" : undefined;
}

/** Newer Nodes take a key of any type whatever they are told; so it is compared here. */
function requiredType(der: Uint8Array, { keyType }: CertificateOptions): "pkcs1" | "sec1" | "pkcs8" {
  const type = derKeyType(der);
  if (keyType === undefined || derTypes[keyType] === type) return type;
  throw new Error(
    `it is encoded as ${type}, not as ${derTypes[keyType]} (keyType ${JSON.stringify(keyType)})`,
  );
}

const derTypes = { rsa: "pkcs1", ec: "sec1", pkcs8: "pkcs8" } as const;

/**
 * Every private key is a SEQUENCE; all but an encrypted PKCS#8 (RFC 5958 §3) begin with a version. Behind it
 * stands the modulus, an INTEGER (RFC 8017 §A.1.2), the EC key, an OCTET STRING (RFC 5915 §3), or an
 * algorithm, a SEQUENCE (RFC 5958 §2).
 */
function derKeyType(der: Uint8Array): "pkcs1" | "sec1" | "pkcs8" {
  const lengthByte = der[1] ?? 0;
  const body = 2 + (lengthByte & 0x80 ? lengthByte & 0x7f : 0);
  const isVersioned = der[body] === 0x02 && der[body + 1] === 1;
  const second = isVersioned ? der[body + 3] : undefined;
  if (second === 0x02) return "pkcs1";
  return second === 0x04 ? "sec1" : "pkcs8";
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
