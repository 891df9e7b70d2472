/**
 * Who is on the other side of a connection, what was agreed with them, and how far the connection has come.
 */

import type { Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import type { Subject } from "../actor/index.ts";
import { TransportError, UsageError } from "../errors.ts";
import { connectionInfo } from "../transport/address.ts";
import type { ConnectionInfo, Endpoint } from "./connection.ts";
import { type ConnectionState, STATE_NAMES } from "./connection-host.ts";
import type { Handshaken } from "./handshake.ts";
import { Inbound } from "./inbound.ts";

/** What a connection can say of itself, above its two directions. */
export abstract class Identified extends Inbound {
  /** The socket below TLS. */
  protected raw: Socket | undefined = undefined;
  protected agreed: Handshaken | undefined = undefined;
  private who: ConnectionInfo | undefined = undefined;

  get subject(): Subject<never> {
    const subject = this.protocol?.subject;
    if (subject !== undefined) return subject as unknown as Subject<never>;
    throw new UsageError("connection.subject exists only with glisten.new(init, loop)");
  }

  get transport(): "tcp" | "tls" | "unix" {
    return this.raw === undefined ? this.host.address.type : "tls";
  }

  get state(): ConnectionState {
    return STATE_NAMES[this.phase]!;
  }

  get kind(): string {
    return this.protocol?.kind ?? "connection";
  }

  info(): ConnectionInfo {
    this.who ??= readInfo(this.socket, this.agreed?.client);
    return this.who;
  }

  get alpnProtocol(): string | false {
    return this.agreed?.tls?.alpnProtocol || false;
  }

  get serverName(): string | undefined {
    return this.agreed?.tls?.servername || undefined;
  }

  peerCertificate(): PeerCertificate | undefined {
    const tls = this.agreed?.tls;
    return tls?.authorized ? tls.getPeerCertificate(true) : undefined;
  }
}

function readInfo(socket: Socket, peer: Endpoint | undefined): ConnectionInfo {
  const there = peer ?? connectionInfo(socket.remoteAddress, socket.remotePort);
  const here = connectionInfo(socket.localAddress, socket.localPort);
  if (there === undefined || here === undefined) throw new TransportError("enotconn");
  return { ipAddress: there.ipAddress, port: there.port, local: here };
}
