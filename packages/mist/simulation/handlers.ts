// The handler of the server in a run: does for each request what its plan says, and notes it.

import { Buffer } from "node:buffer";
import * as mist from "@x/mist";
import { contentOf, differsAt, textOf } from "./content.ts";
import type { Records, RequestRecord } from "./record.ts";
import type { Answer, HandlerPlan, Piece, StreamEnd } from "./scenario.ts";
import type { World } from "./world.ts";

/** What all buffers between a producer and its client hold at most, and a piece under way. */
const heldBytes = 10 * 65_536;

/** Thrown on purpose. */
export class PlannedError extends Error {
  override readonly name: string = "PlannedError";
}

type Streamed = Extract<Answer, { readonly type: "iterable" | "source" | "chunked" }>;
type Events = Extract<Answer, { readonly type: "events" }>;

/** The content of event `index`. */
export function eventData(record: RequestRecord, index: number, size: number): string {
  return `${record.key} ${index} ${textOf(`${record.downName}${index}`, size)}`;
}

/** Handles the requests of a run. */
export class Handlers {
  readonly #world: World;
  readonly #records: Records;
  readonly #maxBuffered: number;

  constructor(world: World, records: Records, maxBuffered: number) {
    this.#world = world;
    this.#records = records;
    this.#maxBuffered = maxBuffered;
  }

  handle(request: mist.Request): mist.ServerResponse | Promise<mist.ServerResponse> {
    const record = this.#records.requests.get(request.path.slice(1));
    if (record === undefined) {
      this.#world.fail(
        "requests are the client's",
        `the handler was called for ${request.method} ${request.target.slice(0, 80)}`,
      );
      return mist.response(404);
    }
    record.calls += 1;
    record.calledAt = this.#world.time.elapsed;
    this.#world.log(record.key, `handler called for ${request.method}`);
    if (record.calls > 1) this.#world.fail("one call per request", `${record.key} reached the handler again`);
    if (request.method !== record.step.method)
      this.#world.fail("requests are the client's", `${record.key} is ${request.method} in the handler`);
    const { handler: plan } = record.step;
    this.#accompany(request, record, plan);
    // A handler that has nothing to wait for answers in the call.
    const reads = plan.read === "all" || plan.read === "stream" || plan.read === "some";
    if (plan.waitMs < 0 && !reads && plan.answer.type !== "never") return this.#answer(request, record, plan);
    return this.#later(request, record, plan);
  }

  #accompany(request: mist.Request, record: RequestRecord, plan: HandlerPlan): void {
    const { time } = this.#world;
    if (plan.useSignal) {
      request.signal.addEventListener("abort", () => {
        record.abortedAt = time.elapsed;
        this.#world.log(record.key, "signal aborted");
      });
    }
    if (plan.informational && record.step.version === "1.1")
      mist.sendInformational(request, 103, { "x-hint": record.key });
    const { waitUntilMs } = plan;
    if (waitUntilMs === undefined) return;
    record.background += 1;
    const work = this.#world.sleep(waitUntilMs).then(() => {
      record.background -= 1;
      if (plan.waitUntilFails === true) throw this.#planned(record, "background");
    });
    mist.waitUntil(request, work);
  }

  #planned(record: RequestRecord, what: string): PlannedError {
    const error = new PlannedError(`${record.key} ${what}`);
    record.failures.push(error);
    return error;
  }

  async #later(
    request: mist.Request,
    record: RequestRecord,
    plan: HandlerPlan,
  ): Promise<mist.ServerResponse> {
    if (plan.waitMs > 0) await this.#sleep(record, plan.waitMs);
    else await Promise.resolve();
    this.#judgeHeld(record);
    await this.#read(request, record, plan);
    if (plan.answer.type === "never") {
      this.#waits(record, "ever");
      return await new Promise(() => {});
    }
    return this.#answer(request, record, plan);
  }

  #waits(record: RequestRecord, what: RequestRecord["waits"]): void {
    record.waits = what;
    record.waitsSince = this.#world.time.elapsed;
  }

  async #sleep(record: RequestRecord, ms: number): Promise<void> {
    this.#waits(record, "time");
    await this.#world.sleep(ms);
    this.#waits(record, "nothing");
  }

  /** Content that nobody has asked for waits with the client. */
  #judgeHeld(record: RequestRecord): void {
    const held = record.contentDelivered();
    if (held > this.#maxBuffered + heldBytes)
      this.#world.fail(
        "held bytes stay within limits",
        `${record.key}: ${held} bytes of content have come unasked`,
      );
  }

  async #read(request: mist.Request, record: RequestRecord, plan: HandlerPlan): Promise<void> {
    try {
      this.#waits(record, "content");
      if (plan.read === "all") {
        this.#took(record, await mist.readBody(request, { maxBodyLimit: plan.size }));
        this.#ended(record);
      } else if (plan.read === "stream" || plan.read === "some") {
        const reader = mist.stream(request);
        for (let part = await reader.consume(plan.size); ; part = await reader.consume(plan.size)) {
          if (part.type === "done") {
            this.#ended(record);
            this.#checkTrailers(record, part.trailers);
            break;
          }
          this.#took(record, part.data);
          if (plan.read === "some") break;
          if (plan.pauseMs > 0) await this.#sleep(record, plan.pauseMs);
          this.#waits(record, "content");
        }
      }
      this.#waits(record, "nothing");
    } catch (error) {
      record.readError = error;
      this.#waits(record, "nothing");
      this.#world.log(record.key, `reading failed: ${(error as Error).name} ${(error as Error).message}`);
      throw error;
    }
    const { body } = record.step;
    if (record.readEnded && record.read !== (body?.size ?? 0))
      this.#world.fail(
        "content is the client's",
        `${record.key} ended after ${record.read} of ${body?.size ?? 0} bytes`,
      );
  }

  #checkTrailers(record: RequestRecord, trailers: mist.Fields): void {
    const expected = record.step.body?.trailers === true && record.step.body.chunks !== undefined ? 1 : 0;
    if (trailers.length !== expected)
      this.#world.fail(
        "content is the client's",
        `${record.key} has ${trailers.length} trailers, not ${expected}`,
      );
  }

  #ended(record: RequestRecord): void {
    record.readEnded = true;
    record.readEndedAt = this.#world.time.elapsed;
  }

  #took(record: RequestRecord, data: Buffer): void {
    const at = differsAt(record.upName, record.read, data);
    if (at >= 0)
      this.#world.fail("content is the client's", `${record.key} differs at byte ${at} in the handler`);
    record.read += data.length;
  }

  #answer(request: mist.Request, record: RequestRecord, plan: HandlerPlan): mist.ServerResponse {
    record.returnedAt = this.#world.time.elapsed;
    this.#world.log(record.key, `handler answers: ${plan.answer.type}`);
    if (plan.read === "late") {
      const late = mist.readBody(request, { maxBodyLimit: plan.size });
      late.then(
        (data) => this.#took(record, data),
        () => {},
      );
    }
    const { answer } = plan;
    switch (answer.type) {
      case "bytes": {
        const content = answer.text
          ? textOf(record.downName, answer.size)
          : contentOf(record.downName, 0, answer.size);
        const response = mist.response(answer.status).setBody(mist.bytes(content));
        return answer.close ? response.setHeader("connection", "close") : response;
      }
      case "empty":
        return mist.response(answer.status);
      case "throw":
        throw answer.http ? this.#httpError(record, answer.status) : this.#planned(record, "throws");
      case "nothing":
        record.failures.push(undefined);
        return undefined as unknown as mist.ServerResponse;
      case "echo":
        return mist.response(200).setBody(mist.chunked(this.#echo(mist.stream(request), record)));
      case "events":
        return this.#events(request, record, answer);
      case "chunked":
        return this.#chunked(request, record, answer);
      case "iterable":
        return this.#trailed(
          mist.response(200).setBody(mist.chunked(this.#iterable(record, answer))),
          answer,
        );
      case "source":
        return this.#trailed(mist.response(200).setBody(this.#source(record, answer)), answer);
      case "never":
        throw new Error("unreachable");
    }
  }

  #httpError(record: RequestRecord, status: number): mist.HttpError {
    const error = new mist.HttpError(status, { message: record.key });
    if (status >= 500) record.failures.push(error);
    return error;
  }

  #trailed(response: mist.Response<mist.ResponseBody>, { trailers }: Streamed): mist.ServerResponse {
    return trailers ? response.withTrailers(() => ({ "x-trailer": "here" })) : response;
  }

  async *#echo(pieces: mist.BodyReader, record: RequestRecord): AsyncGenerator<Buffer> {
    record.opened += 1;
    try {
      this.#waits(record, "content");
      for await (const piece of pieces) {
        this.#took(record, piece);
        record.produced += piece.length;
        this.#waits(record, "client");
        yield piece;
        this.#waits(record, "content");
      }
      this.#waits(record, "nothing");
      this.#ended(record);
      record.producerDone = true;
    } catch (error) {
      record.readError = error;
      throw error;
    } finally {
      record.closed += 1;
    }
  }

  // ── streamed content ────────────────────────────────────────────────────────────────────────────────────

  #piece(record: RequestRecord, size: number): Buffer {
    const piece = contentOf(record.downName, record.produced, record.produced + size);
    const held = record.produced - record.received;
    if (held > heldBytes + record.window)
      this.#world.fail(
        "held bytes stay within limits",
        `${record.key}: ${held} bytes were produced and not taken`,
      );
    record.produced += size;
    this.#waits(record, "client");
    return piece;
  }

  #iterable(
    record: RequestRecord,
    { pieces, end }: Streamed,
  ): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
    const atOnce = end !== "never" && pieces.every(({ waitMs }) => waitMs < 0);
    return atOnce ? this.#syncPieces(record, pieces, end) : this.#asyncPieces(record, pieces, end);
  }

  *#syncPieces(record: RequestRecord, pieces: readonly Piece[], end: StreamEnd): Generator<Uint8Array> {
    record.opened += 1;
    try {
      for (const { size } of pieces) yield this.#piece(record, size);
      this.#waits(record, "nothing");
      if (end === "fail") throw this.#planned(record, "producer fails");
      record.producerDone = true;
    } finally {
      record.closed += 1;
    }
  }

  async *#asyncPieces(
    record: RequestRecord,
    pieces: readonly Piece[],
    end: StreamEnd,
  ): AsyncGenerator<Uint8Array> {
    record.opened += 1;
    try {
      for (const { waitMs, size } of pieces) {
        if (waitMs > 0) await this.#sleep(record, waitMs);
        yield this.#piece(record, size);
      }
      this.#waits(record, "nothing");
      if (end === "never") {
        this.#waits(record, "ever");
        await new Promise(() => {});
      }
      if (end === "fail") throw this.#planned(record, "producer fails");
      record.producerDone = true;
    } finally {
      record.closed += 1;
    }
  }

  #source(record: RequestRecord, { pieces, end, sized }: Streamed): mist.SourceBody {
    const total = pieces.reduce((sum, { size }) => sum + size, 0);
    let at = 0;
    let released = 0;
    let out = 0;
    const world = this.#world;
    const source: mist.BodySource = {
      read: () => {
        const piece = pieces[at++];
        const next = (): Uint8Array | null => {
          if (piece !== undefined) {
            out += 1;
            return this.#piece(record, piece.size);
          }
          this.#waits(record, "nothing");
          if (end === "fail") throw this.#planned(record, "producer fails");
          record.producerDone = true;
          return null;
        };
        if (piece === undefined && end === "never") {
          this.#waits(record, "ever");
          return new Promise(() => {});
        }
        if (piece === undefined || piece.waitMs < 0) return next();
        return this.#sleep(record, piece.waitMs).then(next);
      },
      release: () => {
        released += 1;
        if (released > out)
          world.fail("sources are released once", `${record.key}: ${released} releases of ${out} pieces`);
      },
      close: () => {
        record.closed += 1;
      },
    };
    return {
      kind: "source",
      length: sized && end === "end" ? total : undefined,
      open: () => {
        record.opened += 1;
        return pieces[0] !== undefined && pieces[0].waitMs >= 0 ? Promise.resolve(source) : source;
      },
      discard: () => {
        record.discarded += 1;
      },
    };
  }

  #chunked(
    request: mist.Request,
    record: RequestRecord,
    { pieces, end, trailers }: Streamed,
  ): mist.ServerResponse {
    const world = this.#world;
    const head = mist.response(200);
    const response = trailers ? head.withTrailers(() => ({ "x-trailer": "here" })) : head;
    const driven = this.#driven(record, pieces, end);
    return mist.chunked<number, number>({
      request,
      response: response as mist.Response,
      init: (stream) => {
        driven.begin(stream.subject);
        return 0;
      },
      loop: (count, index, stream) => {
        if (index !== count)
          world.fail("messages in order, none twice", `${record.key}: message ${index} after ${count}`);
        const piece = pieces[index];
        if (piece === undefined) return driven.end();
        if (stream.open) void stream.sendChunk(this.#piece(record, piece.size));
        driven.next(index + 1);
        return mist.continue(count + 1);
      },
      onClose: () => driven.closed(),
    });
  }

  #events(
    request: mist.Request,
    record: RequestRecord,
    { events, keepAliveMs, end }: Events,
  ): mist.ServerResponse {
    const world = this.#world;
    const driven = this.#driven(record, events, end);
    return mist.serverSentEvents<number, number>({
      request,
      keepAliveMs,
      init: (stream) => {
        driven.begin(stream.subject);
        return 0;
      },
      loop: (count, index, stream) => {
        if (index !== count)
          world.fail("messages in order, none twice", `${record.key}: message ${index} after ${count}`);
        const piece = events[index];
        if (piece === undefined) return driven.end();
        if (stream.open)
          void stream.sendEvent(mist.event(eventData(record, index, piece.size)).eventId(`${index}`));
        record.produced += 1;
        driven.next(index + 1);
        return mist.continue(count + 1);
      },
      onClose: () => driven.closed(),
    });
  }

  /** A loop that is sent message after message, each when its piece is due. */
  #driven(record: RequestRecord, pieces: readonly Piece[], end: StreamEnd) {
    const world = this.#world;
    let subject: mist.Subject<number> | undefined;
    const next = (index: number): void => {
      const piece = pieces[index];
      if (piece === undefined && end === "never") {
        this.#waits(record, "ever");
        return;
      }
      const waitMs = piece?.waitMs ?? -1;
      this.#waits(record, waitMs > 0 ? "time" : "client");
      const send = (): void => {
        this.#waits(record, "client");
        subject?.send(index);
      };
      if (waitMs < 0) send();
      else world.after(waitMs, send);
    };
    return {
      begin: (given: mist.Subject<number>): void => {
        record.opened += 1;
        subject = given;
        next(0);
      },
      next,
      end: (): mist.Next<never, never> => {
        this.#waits(record, "nothing");
        if (end === "fail") return mist.stopAbnormal(this.#planned(record, "producer fails"));
        record.producerDone = true;
        return mist.stop();
      },
      closed: (): void => {
        record.closed += 1;
        if (record.closed > 1)
          world.fail("one onClose per init", `${record.key}: onClose called ${record.closed} times`);
      },
    };
  }
}

/** Text as the client should receive it. */
export function expectedText(record: RequestRecord, size: number): Buffer {
  record.text ??= Buffer.from(textOf(record.downName, size));
  return record.text;
}
