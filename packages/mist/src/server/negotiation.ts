// Which version of HTTP a connection speaks: with TLS what ALPN has agreed upon; without, what its first bytes say
// (RFC 9113 §3.2, §3.3). An `Upgrade: h2c` is ignored, as a server may (RFC 9113 §3.1).

import { Buffer } from "node:buffer";
import type { Connection, CreateProtocol, Protocol } from "@x/glisten";
import { clock } from "@x/glisten/kit";
import { recognisePreface } from "../http2/frames/frame.ts";
import { http2Limits } from "../options.ts";
import type { Service } from "./exchange/service.ts";
import { HttpConnection } from "./http1/connection.ts";
import { Http2ServerConnection } from "./http2/connection.ts";
import { switchProtocol } from "./switch-protocol.ts";

/** Makes the protocol of each connection of a server. */
export function httpProtocol(service: Service, http2: boolean): CreateProtocol {
  const http1: CreateProtocol = (connection) => new HttpConnection(service, connection);
  if (!http2) return http1;
  const limits = http2Limits(service.limits, service.deadlines);
  const { headMs, stopGraceMs } = service.deadlines;
  const versions: Versions = {
    headMs,
    stopGraceMs,
    http1,
    http2: (connection) => new Http2ServerConnection(service, limits, connection),
  };
  return (connection) => {
    if (connection.transport !== "tls") return new FirstBytes(versions, connection);
    return connection.alpnProtocol === "h2" ? versions.http2(connection) : http1(connection);
  };
}

interface Versions {
  readonly headMs: number;
  readonly stopGraceMs: number;
  readonly http1: CreateProtocol;
  readonly http2: CreateProtocol;
}

const noBytes = Buffer.alloc(0);

/**
 * Three words and no version: the form of a preface, and of no request line. That peer is told by GOAWAY (RFC 9113 §3.4);
 * every other mistake is answered in HTTP/1.
 */
const wrongPreface = /^[A-Z]+ [A-Z]+ [A-Z]+\r\n/;
const longestPreface = 64;

/** A cleartext connection of which nothing is known: the first bytes tell, and the rest is none of its business. */
class FirstBytes implements Protocol {
  readonly kind = "http";
  readonly #versions: Versions;
  readonly #connection: Connection;
  /** The beginning of a preface. */
  #held: Buffer = noBytes;
  #stopMs = -1;
  #undecided = true;

  constructor(versions: Versions, connection: Connection) {
    this.#versions = versions;
    this.#connection = connection;
    connection.setDeadline(versions.headMs);
  }

  data(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = bytes;
    const found = recognisePreface(bytes);
    if (found === "incomplete") return;
    const isHttp2 = found === "http2" || wrongPreface.test(bytes.toString("latin1", 0, longestPreface));
    this.#become(isHttp2 ? this.#versions.http2 : this.#versions.http1, false);
  }

  end(): void {
    this.#become(this.#versions.http1, true);
  }

  shutdown(deadlineMs: number): void {
    this.#stopMs = deadlineMs;
    this.#connection.setDeadline(Math.max(1, this.#versions.stopGraceMs));
  }

  deadline(): void {
    // The grace is short, and a busy event loop sees it pass before it reads what has come in the meantime.
    if (this.#stopMs >= 0) clock.nextTurn(() => this.#undecided && this.#connection.close());
    else this.#become(this.#versions.http1, false).deadline?.();
  }

  #become(create: CreateProtocol, ended: boolean): Protocol {
    this.#undecided = false;
    const next = create(this.#connection);
    switchProtocol(this.#connection, next, {
      leftover: this.#held,
      ended,
      shutdownDeadlineMs: this.#stopMs,
    });
    return next;
  }
}
