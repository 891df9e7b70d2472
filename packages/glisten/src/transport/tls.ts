// The server's side of TLS: from an accepted socket to an encrypted one.
//
// Owns: the handshake of one connection at a time, and the swap of everything it uses. Refuses: deadlines (the
// owner of the raw socket destroys it, and the handshake fails) and listening.
//
// A `tls.Server` that never listens does the work: sockets are injected with its documented "connection" event.
// Only then does Node verify a client's certificate: a `TLSSocket` made by hand requests one and never reports
// whether it is valid. Each handshake gets its own view of that server (an object that inherits from it), so
// that each outcome reaches its own caller.

import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { describeError, ignore, TransportError, toSocketReason } from "../errors.ts";
import { longestTimerMs } from "../option-values.ts";
import { parseClientHello } from "./client-hello.ts";
import {
  type ClientVerification,
  loadTlsMaterial,
  lookUpName,
  type TlsMaterial,
  type TlsOptions,
  withRules,
} from "./tls-options.ts";

export type { CertificateOptions, ClientVerification, TlsOptions } from "./tls-options.ts";

interface Outcome {
  secure(socket: TLSSocket): void;
  failed(error: Error, socket: TLSSocket | undefined): void;
}

/** The servers that shake hands: one for each certificate. */
interface Offer {
  readonly fallback: Server;
  readonly byName: ReadonlyMap<string, Server>;
}

/** Certificates, keys, authorities and rules in force, and the handshakes under them. */
export class TlsContext {
  #offer: Offer;
  readonly #rules: TlsOptions;
  readonly #ticketKeys: Buffer;
  #updates: Promise<unknown> = Promise.resolve();

  private constructor(offer: Offer, rules: TlsOptions, ticketKeys: Buffer) {
    this.#offer = offer;
    this.#rules = rules;
    this.#ticketKeys = ticketKeys;
  }

  /**
   * Loads what the options name.
   *
   * @throws CertificateError when something is missing, unreadable or does not fit; UsageError for bad options.
   */
  static async create(options: TlsOptions, verification?: ClientVerification): Promise<TlsContext> {
    const ticketKeys = randomBytes(48);
    return new TlsContext(await prepare(options, verification, ticketKeys), options, ticketKeys);
  }

  /**
   * Replaces everything at once: key, chain, names, client authorities. ALPN, the lowest version and the ciphers stay
   * what they were from the start unless `options` name others. Loads and checks first: if that fails, the promise
   * rejects (as {@link create} does) and nothing has changed. Handshakes under way finish as they
   * began, open connections go on, session tickets stay good unless the client verification changed. Updates
   * take effect in the order they were asked for.
   */
  update(options: TlsOptions, verification?: ClientVerification): Promise<void> {
    const prepared = prepare(withRules(options, this.#rules), verification, this.#ticketKeys);
    const turn = this.#updates.then(async () => {
      this.#offer = await prepared;
    });
    this.#updates = turn.catch(() => {});
    return turn;
  }

  /**
   * Shakes hands on an accepted socket that is not being read (paused, no "data" listener).
   *
   * @param received bytes that were read from it already and belong to TLS.
   * @returns the encrypted socket: not flowing yet, half-open allowed, with a listener for "error".
   * @throws TransportError (rejects) when the handshake fails; the raw socket is destroyed then. Destroy it
   *   yourself to give up.
   */
  async handshake(raw: Socket, received?: Uint8Array): Promise<TLSSocket> {
    raw.on("error", ignore);
    if (raw.destroyed) throw new TransportError("closed");
    // A FIN in the middle of a handshake is its end; a half-open socket would wait for more.
    raw.allowHalfOpen = false;
    if (received !== undefined && received.byteLength > 0) raw.unshift(received);
    return await shakeHands(await chooseServer(this.#offer, raw), raw);
  }
}

/**
 * Node lets a certificate be chosen in the middle of a handshake (SNICallback), but then leaves the first one in
 * place beside it: when one is RSA and the other EC, clients get whichever kind they prefer, under the wrong
 * name. So the name is read ahead, and the whole handshake belongs to the server with the right certificate.
 */
async function chooseServer({ fallback, byName }: Offer, raw: Socket): Promise<Server> {
  if (byName.size === 0) return fallback;
  const name = await readServerName(raw);
  return name === undefined ? fallback : (lookUpName(byName, name) ?? fallback);
}

/** Reads the ClientHello and puts it back. */
function readServerName(raw: Socket): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      const result = parseClientHello(bytes);
      if (result.type === "need-more") return;
      raw.off("data", onData).off("close", onClose).pause();
      raw.unshift(bytes);
      resolve(result.serverName);
    };
    const onClose = () =>
      reject(new TransportError("closed", "The TLS handshake failed: the peer has gone."));
    raw.on("data", onData).on("close", onClose).resume();
  });
}

function shakeHands(server: Server, raw: Socket): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error, socket?: TLSSocket) => {
      raw.destroy();
      reject(handshakeError(error, socket));
    };
    if (raw.destroyed) failed(new TransportError("closed"));
    else inject(server, raw, { secure: (socket) => settle(socket, resolve, failed), failed });
  });
}

function settle(
  socket: TLSSocket,
  resolve: (socket: TLSSocket) => void,
  failed: (error: Error, socket: TLSSocket) => void,
): void {
  socket.on("error", ignore);
  if (showedBadCertificate(socket)) {
    failed(new TransportError("eproto"), socket);
    return;
  }
  socket.allowHalfOpen = true;
  resolve(socket);
}

/** With optional verification, no certificate is accepted and an invalid one is not. */
function showedBadCertificate(socket: TLSSocket): boolean {
  return Boolean(socket.authorizationError) && socket.getPeerX509Certificate() !== undefined;
}

async function prepare(
  options: TlsOptions,
  verification: ClientVerification | undefined,
  ticketKeys: Buffer,
): Promise<Offer> {
  const { fallback, byName } = await loadTlsMaterial(options, verification, ticketKeys);
  return {
    fallback: serverWith(fallback),
    byName: new Map(Array.from(byName, ([name, material]) => [name, serverWith(material)])),
  };
}

/** The owner of the raw socket keeps the deadline; here it is only the longest a timer can be. */
function serverWith(material: TlsMaterial): Server {
  return createServer({ ...material, handshakeTimeout: longestTimerMs });
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
  return new TransportError(code, `The TLS handshake failed: ${whyInWords(error)}.`, { cause: error });
}

/** OpenSSL's messages are traces, with its source files and a newline; `reason` is what they say. */
function whyInWords(error: Error & { readonly reason?: unknown }): string {
  if (error instanceof TransportError) return describeError(error.code);
  if (typeof error.reason === "string") return error.reason;
  return error.message.split("\n", 1)[0]!.replace(/\.$/, "");
}
