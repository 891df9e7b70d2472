// node:http2 as the client of a mist server.

import { once } from "node:events";
import * as http2 from "node:http2";
import { onTestFinished } from "vitest";

export interface Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders | undefined;
  readonly informational: http2.IncomingHttpHeaders[];
}

export interface Asked {
  readonly method?: string;
  readonly headers?: http2.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

/** A session that is gone when the test is over. */
export async function session(url: string, options: http2.SecureClientSessionOptions = {}) {
  const client = http2.connect(url, { rejectUnauthorized: false, ...options });
  client.on("error", () => {});
  onTestFinished(() => client.destroy());
  await once(client, "connect");
  return client;
}

/** Asks, and gives the whole answer; rejects if the stream is reset. */
export async function ask(
  client: http2.ClientHttp2Session,
  path: string,
  asked: Asked = {},
): Promise<Answer> {
  const { method = asked.body === undefined ? "GET" : "POST", headers = {}, body } = asked;
  const stream = client.request(
    { ":method": method, ":path": path, ...headers },
    { endStream: body === undefined },
  );
  const answer = answerOf(stream);
  if (body !== undefined) stream.end(body);
  return answer;
}

/** What comes on a stream. */
export async function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  const informational: http2.IncomingHttpHeaders[] = [];
  const pieces: Buffer[] = [];
  let trailers: http2.IncomingHttpHeaders | undefined;
  stream.on("headers", (headers) => informational.push(headers));
  stream.on("trailers", (fields) => {
    trailers = fields;
  });
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  let headers: Answer["headers"] | undefined;
  stream.on("response", (given) => {
    headers = given;
  });
  await new Promise<void>((resolve, reject) => {
    stream.once("error", reject);
    stream.once("close", () => {
      if (headers === undefined || (stream.rstCode !== 0 && stream.rstCode !== undefined))
        reject(new Error(`reset with ${stream.rstCode}`));
      else resolve();
    });
  });
  return {
    status: Number(headers?.[":status"]),
    headers: headers as Answer["headers"],
    body: Buffer.concat(pieces),
    trailers,
    informational,
  };
}
