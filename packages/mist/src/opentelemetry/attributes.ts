// What spans and metrics say of a request, in the words of the semantic conventions for HTTP servers.

import type { Attributes } from "@opentelemetry/api";
import { ipAddressToString } from "@x/glisten";
import type { Request } from "../http/request.ts";
import { getConnectionInfo } from "../server/exchange/request-services.ts";
import type { RequestEndEvent } from "../server/exchange/telemetry.ts";

// RFC 9110 §9, PATCH (RFC 5789) and QUERY. Others could be anything, and each would be a time series of its own.
const knownMethods = new Set("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split(" "));

/** The method if it is a known one, else `_OTHER`. */
export function methodOf({ method }: Request<unknown>): string {
  return knownMethods.has(method) ? method : "_OTHER";
}

/** The attributes of a span from its start, for samplers to decide by. */
export function requestAttributes(request: Request<unknown>): Attributes {
  const { scheme, host, port, query, path, version } = request;
  const method = methodOf(request);
  const client = clientOf(request);
  return {
    "http.request.method": method,
    "http.request.method_original": method === "_OTHER" ? request.method : undefined,
    "url.scheme": scheme,
    "url.path": path,
    "url.query": query === undefined ? undefined : withoutSecrets(query),
    "server.address": host === "" ? undefined : host.replace(/^\[(.*)\]$/, "$1"),
    "server.port": host === "" ? undefined : (port ?? (scheme === "https" ? 443 : 80)),
    "client.address": client?.address,
    "client.port": client?.port,
    "network.protocol.version": version,
    "user_agent.original": request.getHeader("user-agent"),
  };
}

/** The attributes of the metrics, of which there must be few values. */
export function labelsOf(event: RequestEndEvent, method: string, route: string | undefined): Attributes {
  const { request, status } = event;
  const labels: Attributes = {
    "http.request.method": method,
    "url.scheme": request.scheme,
    "network.protocol.version": request.version,
  };
  if (status !== undefined) labels["http.response.status_code"] = status;
  if (route !== undefined) labels["http.route"] = route;
  const type = errorType(event);
  if (type !== undefined) labels["error.type"] = type;
  return labels;
}

/** `error.type`; undefined if nothing went wrong, as far as the server is concerned. */
export function errorType({ error, status, complete }: RequestEndEvent): string | undefined {
  if (error !== undefined) return error instanceof Error ? error.name : "_OTHER";
  if (status !== undefined && status >= 500) return `${status}`;
  return complete ? undefined : "client_gone";
}

interface Client {
  readonly address: string;
  readonly port: number | undefined;
}

function clientOf(request: Request<unknown>): Client | undefined {
  try {
    const { ipAddress, port } = getConnectionInfo(request);
    // Most proxies do not tell the port: it is 0 then.
    return { address: ipAddressToString(ipAddress), port: port === 0 ? undefined : port };
  } catch {
    return undefined; // a unix socket, or a client that has gone already
  }
}

// Signatures that give access to whoever reads them; the conventions name these.
const secret = /(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*/g;

function withoutSecrets(query: string): string {
  return query.replace(secret, "$1$2=REDACTED");
}
