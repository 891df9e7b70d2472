/**
 * The server's side of TLS: from an accepted socket to an encrypted one.
 *
 * Owns: the handshake of one connection at a time, and the swap of everything it uses. Refuses: deadlines (the
 * owner of the raw socket destroys it, and the handshake fails) and listening.
 *
 * A `tls.Server` that never listens does the work: sockets are injected with its documented "connection" event.
 * Only that way does Node judge a client's certificate: a `TLSSocket` made by hand asks for one and never says
 * whether it was any good. Each handshake gets its own view of that server (an object that inherits from it), so
 * that the outcome reaches the one who asked and nobody has to guess whose it is.
 */

import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { TransportError, toSocketReason } from "../errors.ts";
import { type ClientVerification, loadTlsMaterial, type TlsOptions } from "./tls-options.ts";

export type { CertificateOptions, ClientVerification, TlsOptions } from "./tls-options.ts";

interface Outcome {
  secure(socket: TLSSocket): void;
  failed(error: Error, socket: TLSSocket | undefined): void;
}

/** Certificates, keys, authorities and rules in force, and the handshakes under them. */
export class TlsContext {
  private server: Server;
  private readonly ticketKeys: Buffer;
  private updates: Promise<unknown> = Promise.resolve();

  private constructor(server: Server, ticketKeys: Buffer) {
    this.server = server;
    this.ticketKeys = ticketKeys;
  }

  /**
   * Loads what the options name.
   *
   * @throws CertificateError when something is missing, unreadable or does not fit; UsageError for bad options.
   */
  static async create(options: TlsOptions, verification?: ClientVerification): Promise<TlsContext> {
    const ticketKeys = randomBytes(48);
    return new TlsContext(await prepare(options, verification, ticketKeys), ticketKeys);
  }

  /**
   * Replaces everything at once: key, chain, names, client authorities. Loads and checks first: if that fails,
   * the promise rejects (as {@link create} does) and nothing has changed. Handshakes under way finish as they
   * began, open connections go on, session tickets stay good unless the client verification changed. Updates
   * take effect in the order they were asked for.
   */
  update(options: TlsOptions, verification?: ClientVerification): Promise<void> {
    const prepared = prepare(options, verification, this.ticketKeys);
    const turn = this.updates.then(async () => {
      this.server = await prepared;
    });
    this.updates = turn.catch(() => {});
    return turn;
  }

  /**
   * Shakes hands on an accepted socket nobody reads (paused, no "data" listener).
   *
   * @param received bytes that were read from it already and belong to TLS.
   * @returns the encrypted socket: not flowing yet, half-open allowed, with a listener for "error".
   * @throws TransportError (rejects) when the peer does not manage; the raw socket is destroyed then. Destroy it
   *   yourself to give up.
   */
  handshake(raw: Socket, received?: Uint8Array): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error, socket?: TLSSocket) => {
        raw.destroy();
        reject(handshakeError(error, socket));
      };
      raw.on("error", ignore);
      if (raw.destroyed) return failed(new TransportError("closed"));
      if (received !== undefined && received.byteLength > 0) raw.unshift(received);
      // A FIN in the middle of a handshake is its end; a half-open socket would wait for more.
      raw.allowHalfOpen = false;
      inject(this.server, raw, { secure: (socket) => settle(socket, resolve, failed), failed });
    });
  }
}

function settle(
  socket: TLSSocket,
  resolve: (socket: TLSSocket) => void,
  failed: (error: Error, socket: TLSSocket) => void,
): void {
  if (showedBadCertificate(socket)) {
    failed(new TransportError("eproto"), socket);
    return;
  }
  socket.on("error", ignore);
  socket.allowHalfOpen = true;
  resolve(socket);
}

/** Optional verification: nothing shown is fine, a bad certificate shown is not. */
function showedBadCertificate(socket: TLSSocket): boolean {
  return Boolean(socket.authorizationError) && socket.getPeerX509Certificate() !== undefined;
}

async function prepare(
  options: TlsOptions,
  verification: ClientVerification | undefined,
  ticketKeys: Buffer,
): Promise<Server> {
  const material = await loadTlsMaterial(options, verification, ticketKeys);
  // The owner of the raw socket keeps the deadline; this is only the longest a timer can be.
  return createServer({ ...material, handshakeTimeout: 0x7fffffff });
}

/** Gives a socket to the server and its events to `outcome` alone. */
function inject(server: Server, raw: Socket, outcome: Outcome): void {
  const view = Object.create(server, {
    emit: {
      value(event: string, subject: unknown, socket?: unknown): boolean {
        if (event === "secureConnection") outcome.secure(subject as TLSSocket);
        else if (event === "tlsClientError")
          outcome.failed(subject as Error, socket as TLSSocket | undefined);
        return true;
      },
    },
  }) as Server;
  EventEmitter.prototype.emit.call(view, "connection", raw);
}

function handshakeError(error: Error, socket: TLSSocket | undefined): TransportError {
  const refused = socket?.authorizationError;
  if (refused) {
    const text = refused instanceof Error ? refused.message : String(refused);
    return new TransportError("eproto", `The client's certificate was refused: ${text}.`, { cause: error });
  }
  const code = toSocketReason(error);
  return new TransportError(code, `The TLS handshake failed: ${error.message}`, { cause: error });
}

function ignore(): void {}
