import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";
import { Weather } from "../src/weather_pb.ts";

let program: Program;
let client: grpc.Client;
beforeAll(async () => {
  program = await startProgram("grpc");
  client = new grpc.Client(`localhost:${program.port}`, grpc.credentials.createInsecure());
});
afterAll(async () => {
  client?.close();
  await program?.stop();
});

const { latest, watch, record, follow } = Weather.method;

/** What grpc-js wants to know of a method, in front of its other arguments. */
function method<In extends DescMessage, Out extends DescMessage>(desc: {
  readonly input: In;
  readonly output: Out;
  readonly name: string;
}) {
  return [
    `/${Weather.typeName}/${desc.name}`,
    (message: MessageInitShape<In>) => Buffer.from(toBinary(desc.input, create(desc.input, message))),
    (bytes: Buffer): MessageShape<Out> => fromBinary(desc.output, bytes),
  ] as const;
}

interface Unary<Value> {
  readonly value?: Value | undefined;
  readonly error: grpc.ServiceError | null;
  readonly metadata: grpc.Metadata;
  readonly status: grpc.StatusObject;
}

/** Settles with everything a call of one answer brings. */
function answered<Value>(
  call: (callback: grpc.requestCallback<Value>) => grpc.ClientUnaryCall,
): Promise<Unary<Value>> {
  return new Promise((resolve) => {
    let outcome: Pick<Unary<Value>, "value" | "error"> = { error: null };
    let metadata = new grpc.Metadata();
    const surface = call((error, value) => {
      outcome = { error, value };
    });
    surface.on("metadata", (given) => {
      metadata = given;
    });
    surface.on("status", (status) => setImmediate(() => resolve({ ...outcome, metadata, status })));
  });
}

/** The status a call of many answers ends with, and what came before it. */
async function collected<Value>(
  call: grpc.ClientReadableStream<Value>,
): Promise<{ values: Value[]; status: grpc.StatusObject }> {
  const values: Value[] = [];
  call.on("data", (value) => values.push(value));
  call.on("error", () => {}); // the status says it as well
  const status = await new Promise<grpc.StatusObject>((resolve) => call.on("status", resolve));
  return { values, status };
}

test("unary, with metadata both ways", async () => {
  const metadata = new grpc.Metadata();
  metadata.set("x-client", "test");
  const answer = await answered((done) =>
    client.makeUnaryRequest(...method(latest), { station: "Quito" }, metadata, done),
  );
  expect(answer.error).toBeNull();
  expect(answer.value).toMatchObject({ station: "Quito", celsius: 14 });
  expect(answer.metadata.get("x-units")).toEqual(["celsius"]);
  expect(answer.status.metadata.get("x-asked-by")).toEqual(["test"]);
});

test("many unary calls at a time on one connection", async () => {
  const calls = Array.from({ length: 200 }, () =>
    answered((done) => client.makeUnaryRequest(...method(latest), { station: "Tromsø" }, done)),
  );
  for (const { value } of await Promise.all(calls)) expect(value).toMatchObject({ celsius: -4.5 });
});

test("an error has its status and message", async () => {
  const { error } = await answered((done) =>
    client.makeUnaryRequest(...method(latest), { station: "Atlantis" }, done),
  );
  expect(error).toMatchObject({ code: grpc.status.NOT_FOUND, details: "there is no station Atlantis" });
  const { values, status } = await collected(
    client.makeServerStreamRequest(...method(watch), { station: "Atlantis", count: 2 }),
  );
  expect(values).toEqual([]);
  expect(status).toMatchObject({ code: grpc.status.NOT_FOUND, details: "there is no station Atlantis" });
});

test("a method that does not exist is unimplemented", async () => {
  const { error } = await answered((done) =>
    client.makeUnaryRequest(...method({ ...latest, name: "Forecast" }), { station: "Quito" }, done),
  );
  expect(error?.code).toBe(grpc.status.UNIMPLEMENTED);
});

test("server streaming", async () => {
  const { values, status } = await collected(
    client.makeServerStreamRequest(...method(watch), { station: "Quito", count: 1000 }),
  );
  expect(values.map(({ celsius }) => celsius)).toEqual(Array.from({ length: 1000 }, (_, n) => 14 + n));
  expect(status.code).toBe(grpc.status.OK);
});

test("client streaming", async () => {
  const { value } = await answered((done) => {
    const call = client.makeClientStreamRequest(...method(record), done);
    for (let celsius = 1; celsius <= 1000; celsius++) call.write({ station: "Quito", celsius });
    call.end();
    return call;
  });
  expect(value).toMatchObject({ readings: 1000, mean: expect.closeTo(500.5) });
});

test("bidirectional: each message is answered before the next is sent", async () => {
  const call = client.makeBidiStreamRequest(...method(follow));
  const ended = new Promise<grpc.StatusObject>((resolve) => call.on("status", resolve));
  for (const [index, celsius] of [10, 20, 30].entries()) {
    const summary = new Promise((resolve) => call.once("data", resolve));
    call.write({ station: "Quito", celsius });
    expect(await summary).toMatchObject({ readings: index + 1, mean: 10 + 5 * index });
  }
  call.end();
  expect((await ended).code).toBe(grpc.status.OK);
});

test("a call that is cancelled ends its handler", async () => {
  const call = client.makeServerStreamRequest(...method(watch), { station: "Tromsø", count: 0 });
  call.once("data", () => call.cancel());
  expect((await collected(call)).status.code).toBe(grpc.status.CANCELLED);
  await program.printed(/no longer watching Tromsø/);
});

test("a deadline ends the call on both sides", async () => {
  const deadline = new Date(Date.now() + 500);
  const call = client.makeServerStreamRequest(...method(watch), { station: "Lagos", count: 0 }, { deadline });
  const { status } = await collected(call);
  expect(status.code).toBe(grpc.status.DEADLINE_EXCEEDED);
  await program.printed(/no longer watching Lagos/);
});

test("stops when it is told to", async () => {
  expect(await program.stop()).toBe(0);
});
