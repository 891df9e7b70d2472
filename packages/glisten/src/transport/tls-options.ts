// TLS options: checks them, and loads the material that they name.
//
// Owns: the shape of the options, server names and their wildcards, ALPN names, versions. Refuses: touching a
// socket. Loading either gives everything or throws; nothing is half loaded.

import { createHash } from "node:crypto";
import { createSecureContext, type TlsOptions as NodeTlsOptions, type SecureContextOptions } from "node:tls";
import { domainToASCII } from "node:url";
import { CertificateError, UsageError } from "../errors.ts";
import { checkNames, shown } from "../option-names.ts";
import {
  type CertificateOptions,
  type ClientVerification,
  type Identity,
  loadAuthorities,
  loadIdentity,
} from "./certificates.ts";

export type { CertificateOptions, ClientVerification };

/** How a server offers TLS. The certificate itself answers clients that name no server, or an unknown one. */
export interface TlsOptions extends CertificateOptions {
  /**
   * Certificates by the server name clients ask for (SNI). `"*.example.com"` stands for any one label; an exact
   * name wins over a wildcard (RFC 6125 §6.4.3).
   */
  readonly serverNames?: Readonly<Record<string, CertificateOptions>> | undefined;
  /** Protocols in the order we prefer them (RFC 7301). A client that offers only others is refused. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Default: `"TLSv1.2"`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** OpenSSL's cipher list. Default: Node's. */
  readonly ciphers?: string | undefined;
  /**
   * 48 secret bytes that seal session tickets; give the same to several processes behind one address. Default:
   * random, and kept through updates.
   */
  readonly ticketKeys?: Uint8Array | undefined;
}

/** Everything one TLS server needs, in Node's words. */
export type TlsMaterial = NodeTlsOptions & Identity;

/** The server's own material, and that of each server name. */
export interface LoadedTls {
  readonly fallback: TlsMaterial;
  /** By canonical name: lower case, ASCII, a wildcard as `"*.example.com"`. */
  readonly byName: ReadonlyMap<string, TlsMaterial>;
}

const ticketKeyBytes = 48;

/**
 * Reads and checks everything the options name.
 *
 * @param ticketKeys what tickets are sealed with unless the options say otherwise.
 * @throws CertificateError, UsageError.
 */
export async function loadTlsMaterial(
  options: TlsOptions,
  verification: ClientVerification | undefined,
  ticketKeys: Buffer,
): Promise<LoadedTls> {
  checkTlsOptions(options);
  if (verification !== undefined) checkClientVerification(verification);
  const names = serverNamesOf(options);
  const [identity, authorities, ...identities] = await Promise.all([
    loadIdentity(options, "the server"),
    verification === undefined ? undefined : loadAuthorities(verification),
    ...names.map(([name, certificate]) => loadIdentity(certificate, name)),
  ]);
  const shared = {
    ...contextOptions(options, verification, authorities, ticketKeys),
    ...serverOptions(options, verification),
  };
  return {
    fallback: checked({ ...shared, ...identity }, "the server"),
    byName: new Map(names.map(([name], at) => [name, checked({ ...shared, ...identities[at]! }, name)])),
  };
}

/** What the server's own certificate and those by name have in common. */
function contextOptions(
  options: TlsOptions,
  verification: ClientVerification | undefined,
  authorities: readonly string[] | undefined,
  ticketKeys: Buffer,
): SecureContextOptions {
  return {
    minVersion: options.minVersion ?? "TLSv1.2",
    ...(options.ciphers !== undefined && { ciphers: options.ciphers }),
    ...(authorities !== undefined && { ca: [...authorities] }),
    ticketKeys: options.ticketKeys === undefined ? ticketKeys : Buffer.from(options.ticketKeys),
    sessionIdContext: sessionIdContext(verification, authorities),
  };
}

/**
 * A resumed session carries the client's certificate as it was verified then. So tickets are bound to the
 * authorities and the strictness they were given under: they survive a renewed certificate, but not a changed
 * client CA, which would otherwise stay trusted for the life of the tickets it once earned.
 */
function sessionIdContext(
  verification: ClientVerification | undefined,
  authorities: readonly string[] = [],
): string {
  const policy = verification === undefined ? "none" : verification.optional ? "optional" : "required";
  const hash = createHash("sha256").update(policy);
  for (const authority of authorities) hash.update(authority);
  // OpenSSL takes at most 32 bytes.
  return hash.digest("hex").slice(0, 32);
}

/** The options with the rules of `before` where they have none of their own. */
export function withRules(options: TlsOptions, before: TlsOptions): TlsOptions {
  if (typeof options !== "object" || options === null) return options; // to be refused
  const { alpnProtocols, minVersion, ciphers } = before;
  return {
    ...options,
    alpnProtocols: options.alpnProtocols ?? alpnProtocols,
    minVersion: options.minVersion ?? minVersion,
    ciphers: options.ciphers ?? ciphers,
  };
}

function serverOptions(options: TlsOptions, verification: ClientVerification | undefined): NodeTlsOptions {
  return {
    requestCert: verification !== undefined,
    // With "optional", a client without a certificate is let in; an invalid one is rejected after the handshake.
    rejectUnauthorized: verification !== undefined && verification.optional !== true,
    ...(options.alpnProtocols !== undefined && { ALPNProtocols: [...options.alpnProtocols] }),
  };
}

/** Has OpenSSL try the material. */
function checked(material: TlsMaterial, name: string): TlsMaterial {
  try {
    createSecureContext(material);
    return material;
  } catch (cause) {
    const message = `TLS cannot be offered for ${name}: ${cause instanceof Error ? cause.message : String(cause)}.`;
    throw new CertificateError("invalid-certificate", message, cause);
  }
}

/** What answers a name: the exact one first, then the wildcard for its first label (RFC 6125 §6.4.3). */
export function lookUpName<T>(byName: ReadonlyMap<string, T>, name: string): T | undefined {
  const exact = byName.get(name);
  const dot = name.indexOf(".");
  return exact === undefined && dot > 0 ? byName.get(`*${name.slice(dot)}`) : exact;
}

function serverNamesOf({ serverNames = {} }: TlsOptions): readonly (readonly [string, CertificateOptions])[] {
  return Object.entries(serverNames).map(([name, certificate]) => [canonicalName(name), certificate]);
}

const hostNamePattern = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

function canonicalName(name: string): string {
  const wildcard = name.startsWith("*.");
  const ascii = domainToASCII(wildcard ? name.slice(2) : name);
  if (ascii.length > 253 || !hostNamePattern.test(ascii)) {
    throw new UsageError(`a server name must be a host name, or one behind "*.", got ${shown(name)}`);
  }
  return wildcard ? `*.${ascii}` : ascii;
}

const certificateNames = ["certfile", "keyfile", "cert", "key", "keyType", "passphrase"];
const tlsNames = [
  ...certificateNames,
  ...["serverNames", "alpnProtocols", "minVersion", "ciphers", "ticketKeys"],
];

/** Checks what can be checked without reading a file. @throws UsageError. */
export function checkTlsOptions(options: TlsOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new UsageError(
      `the options of withTls must be { certfile, keyfile } or { cert, key }, got ${shown(options)}`,
    );
  }
  const { serverNames = {}, alpnProtocols = [], minVersion, ticketKeys } = options;
  checkNames("withTls", options, tlsNames);
  checkKeyType(options);
  for (const [name, certificate] of serverNamesOf({ serverNames })) {
    checkNames(`serverNames[${JSON.stringify(name)}]`, certificate, certificateNames);
    checkKeyType(certificate);
  }
  if (minVersion !== undefined && minVersion !== "TLSv1.2" && minVersion !== "TLSv1.3") {
    throw new UsageError(`minVersion must be "TLSv1.2" or "TLSv1.3", got ${shown(minVersion)}`);
  }
  if (ticketKeys !== undefined && ticketKeys.byteLength !== ticketKeyBytes) {
    throw new UsageError(`ticketKeys must be ${ticketKeyBytes} bytes, got ${ticketKeys.byteLength}`);
  }
  if (!Array.isArray(alpnProtocols)) {
    throw new UsageError(`alpnProtocols must be an array of names, got ${shown(alpnProtocols)}`);
  }
  for (const protocol of alpnProtocols) checkProtocol(protocol);
}

function checkKeyType({ keyType }: CertificateOptions): void {
  if (keyType === undefined || ["rsa", "ec", "pkcs8"].includes(keyType)) return;
  throw new UsageError(`keyType must be "rsa", "ec" or "pkcs8", got ${shown(keyType)}`);
}

/** The same for what clients are verified against. @throws UsageError. */
export function checkClientVerification(verification: ClientVerification): void {
  if (typeof verification !== "object" || verification === null) {
    throw new UsageError(
      `the options of withClientVerification must be { caFile } or { ca }, got ${shown(verification)}`,
    );
  }
  checkNames("withClientVerification", verification, ["caFile", "ca", "optional"]);
  const { optional = false } = verification;
  if (typeof optional === "boolean") return;
  throw new UsageError(`optional must be true or false, got ${shown(optional)}`);
}

/** RFC 7301 §3.1: each name has 1 to 255 bytes. */
function checkProtocol(protocol: string): void {
  const length = Buffer.byteLength(protocol);
  if (length > 0 && length <= 255) return;
  throw new UsageError(`an ALPN protocol must have 1 to 255 bytes, got ${shown(protocol)}`);
}
