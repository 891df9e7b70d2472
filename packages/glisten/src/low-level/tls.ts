// Low-level TLS: passive sockets, driven by calls. As `@x/glisten/tcp`, plus `handshake` and what it agreed on.

import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { CertificateError, TransportError, UsageError } from "../errors.ts";
import { checkObject, shown } from "../option-names.ts";
import type { BoundAddress } from "../transport/address.ts";
import {
  checkListenOptions,
  type SocketSettings,
  socketSettingsOf,
  type TcpOptions,
} from "../transport/socket-options.ts";
import {
  type CertificateOptions,
  type ClientVerification,
  TlsContext,
  type TlsOptions,
} from "../transport/tls.ts";
import { type ListenerParts, listenPassively, PassiveListener } from "./passive-listener.ts";
import { PassiveSocket } from "./passive-socket.ts";
import { type WaitOptions, wait } from "./wait.ts";

export { CertificateError } from "../errors.ts";
export type { CertificateOptions } from "../transport/tls.ts";
export {
  type ActiveMode,
  type BoundAddress,
  type ControllingProcess,
  DeadlineError,
  describeError,
  type Endpoint,
  type Interface,
  type IpAddress,
  ipAddressToString,
  type Linger,
  type PassiveListener,
  type PassiveSocket,
  type Sendable,
  type SocketMessage,
  type SocketOptions,
  type SocketReason,
  type SocketSettings,
  StartError,
  type TcpOptions,
  TransportError,
  UsageError,
  type WaitOptions,
} from "./tcp.ts";

/** Certificates and rules of a TLS listener; all can be replaced with {@link TlsListener.update}. */
export interface TlsCertificates {
  /** The certificate and its key: files, PEM or DER. */
  readonly certKeyConfig: CertificateOptions;
  /** Certificates by the server name clients ask for; `"*.example.com"` stands for any one label. */
  readonly serverNames?: Readonly<Record<string, CertificateOptions>> | undefined;
  /** ALPN protocols in the order we prefer them. */
  readonly alpnPreferredProtocols?: readonly string[] | undefined;
  /** Default: `"TLSv1.2"`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** `"peer"` asks clients for a certificate and turns bad ones away. Default: `"none"`. */
  readonly verify?: "none" | "peer" | undefined;
  /** PEM file with the CA certificates clients are verified against. Only with `verify: "peer"`. */
  readonly caCertFile?: string | URL | undefined;
  /** The same from memory: PEM or DER. Only with `verify: "peer"`. */
  readonly caCerts?: readonly (string | Uint8Array)[] | undefined;
  /** Turns clients away that show no certificate. Only with `verify: "peer"`. Default: false. */
  readonly failIfNoPeerCert?: boolean | undefined;
}

/** Options of a listening TLS socket: its certificates, and those of TCP but `buffer`, which Node fixes for TLS. */
export interface TlsListenOptions extends Omit<TcpOptions, "buffer">, TlsCertificates {}

const tlsNames: readonly (keyof TlsCertificates)[] = [
  ...(["certKeyConfig", "serverNames", "alpnPreferredProtocols", "minVersion"] as const),
  ...(["verify", "caCertFile", "caCerts", "failIfNoPeerCert"] as const),
];

/** A passive TLS socket. It carries no bytes before {@link TlsSocket.handshake}. */
export class TlsSocket extends PassiveSocket {
  readonly #context: TlsContext;
  #encrypted: TLSSocket | undefined;
  #shaking = false;
  /** Closed before the handshake was done. */
  #givenUp = false;

  /** @internal Accepted by a listener. */
  constructor(raw: Socket, settings: SocketSettings, listener: BoundAddress, context: TlsContext) {
    super(raw, settings, listener);
    this.#context = context;
  }

  /**
   * Shakes hands; resolves with the socket itself, ready to send and receive.
   *
   * @throws TransportError (rejects) when the peer does not manage, and `"closed"` when the socket was closed
   *   meanwhile; DeadlineError after `timeout`; the signal's reason when it aborts. The connection is gone then.
   *   `"ealready"` while another handshake runs, `"eisconn"` after it.
   */
  handshake(options: WaitOptions = {}): Promise<this> {
    if (this.#encrypted !== undefined) return Promise.reject(new TransportError("eisconn"));
    if (this.#shaking) return Promise.reject(new TransportError("ealready"));
    const { raw } = this;
    return wait<this>("handshake", options, (waiter) => {
      this.#shaking = true;
      this.#context.handshake(raw).then(
        (socket) => {
          this.#encrypted = socket;
          this.attach(socket);
          waiter.resolve(this);
        },
        (error: unknown) => waiter.reject(this.#givenUp ? new TransportError("closed") : error),
      );
      return () => raw.destroy();
    });
  }

  /** Closes both ways; in the middle of a handshake, or before it, at once. */
  override async close(): Promise<void> {
    if (this.#encrypted === undefined) {
      this.#givenUp = true;
      this.raw.destroy();
    }
    await super.close();
  }

  /** What ALPN agreed on; undefined when nothing, or before the handshake. */
  negotiatedProtocol(): string | undefined {
    return this.#encrypted?.alpnProtocol || undefined;
  }

  /** The name the client asked for (SNI); undefined when none, or before the handshake. */
  serverName(): string | undefined {
    const { servername } = (this.#encrypted ?? {}) as { servername?: string | false | null };
    return servername || undefined;
  }

  /** The certificate the client showed and that was verified; undefined: none, or not verified. */
  peerCertificate(): PeerCertificate | undefined {
    return this.#encrypted?.authorized ? this.#encrypted.getPeerCertificate(true) : undefined;
  }
}

/** A passive listening socket; `accept` gives {@link TlsSocket}s that have not shaken hands yet. */
export class TlsListener extends PassiveListener<TlsSocket> {
  readonly #context: TlsContext;

  /** @internal Use {@link listen}. */
  constructor(parts: ListenerParts<TlsSocket>, context: TlsContext) {
    super(parts);
    this.#context = context;
  }

  /**
   * Replaces certificates and rules at once, for handshakes that begin from now on. Loads and checks first: if
   * that fails nothing has changed.
   *
   * @throws CertificateError (rejects) when something is missing or does not fit; UsageError for bad options.
   */
  async update(certificates: TlsCertificates): Promise<void> {
    await this.#context.update(tlsOptionsOf(certificates), verificationOf(certificates));
  }
}

/**
 * Listens for TLS on a port (0: one the system chooses), or on a unix socket with `ip: { unixPath }`.
 *
 * @throws CertificateError (rejects) naming what is missing or does not fit; StartError when the system refuses;
 *   UsageError for an option that cannot be set.
 *
 * @example
 * ```ts
 * const listener = await listen(8443, { certKeyConfig: { certfile: "cert.pem", keyfile: "key.pem" } });
 * const socket = await listener.accept();
 * await socket.handshake({ timeout: 15_000 });
 * await socket.send(`you speak ${socket.negotiatedProtocol() ?? "no protocol"}\n`);
 * ```
 */
export async function listen(port: number, options: TlsListenOptions): Promise<TlsListener> {
  checkObject("tls.listen", options);
  if ("buffer" in options)
    throw new UsageError("buffer cannot be set for TLS: Node fixes how far TLS reads ahead");
  checkListenOptions(options, tlsNames);
  const context = await TlsContext.create(tlsOptionsOf(options), verificationOf(options));
  const settings = socketSettingsOf(options);
  const wrap = (raw: Socket, address: BoundAddress) => new TlsSocket(raw, settings, address, context);
  return new TlsListener(await listenPassively(port, options, wrap), context);
}

function tlsOptionsOf(options: TlsCertificates): TlsOptions {
  const { certKeyConfig, serverNames, alpnPreferredProtocols: alpnProtocols, minVersion } = options;
  return {
    ...certKeyConfig,
    ...(serverNames !== undefined && { serverNames }),
    ...(alpnProtocols !== undefined && { alpnProtocols }),
    ...(minVersion !== undefined && { minVersion }),
  };
}

function verificationOf(options: TlsCertificates): ClientVerification | undefined {
  const { verify = "none", caCertFile: caFile, caCerts: ca, failIfNoPeerCert } = options;
  if (verify !== "none" && verify !== "peer") {
    throw new UsageError(`verify must be "none" or "peer", got ${shown(verify)}`);
  }
  if (verify === "peer") {
    if (caFile !== undefined && ca !== undefined) {
      throw new UsageError("give either caCertFile or caCerts, not both");
    }
    if (caFile === undefined && ca === undefined) {
      throw new CertificateError("no-authority", 'verify: "peer" needs the CA: give caCertFile or caCerts.');
    }
    const optional = failIfNoPeerCert !== true;
    return { optional, ...(caFile !== undefined && { caFile }), ...(ca !== undefined && { ca }) };
  }
  if (caFile === undefined && ca === undefined && failIfNoPeerCert !== true) return undefined;
  throw new UsageError('caCertFile, caCerts and failIfNoPeerCert need verify: "peer"');
}
