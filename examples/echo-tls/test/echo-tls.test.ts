import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, runProgram, startProgram } from "../../program.ts";

const folder = mkdtempSync(join(tmpdir(), "echo-tls-"));
const [CERT, KEY] = [join(folder, "cert.pem"), join(folder, "key.pem")];
let program: Program;

beforeAll(async () => {
  const [subject, names] = ["/CN=localhost", "subjectAltName=DNS:localhost"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const files = ["-keyout", KEY, "-out", CERT];
  execFileSync("openssl", ["req", "-x509", ...curve, "-subj", subject, "-addext", names, ...files], {
    stdio: "ignore",
  });
  program = await startProgram("echo-tls", { CERT, KEY });
});

afterAll(async () => {
  await program?.stop();
  rmSync(folder, { recursive: true });
});

test("a client that trusts the certificate gets its words back", async () => {
  const ca = readFileSync(CERT, "utf8");
  const socket = await mug.new("localhost", { port: program.port }).timeout(5_000).withTls({ ca }).connect();
  await socket.send("under cover");
  expect((await socket.receiveExact(11, { timeout: 5_000 })).toString()).toBe("under cover");
  await program.printed(/localhost over tls/);
  await socket.shutdown();
});

test("a client without TLS is turned away and costs nobody else anything", async () => {
  const plain = await mug.new("localhost", { port: program.port }).connect();
  await plain.send("GET / HTTP/1.1\r\n\r\n");
  await expect(plain.receiveExact(100_000, { timeout: 5_000 })).rejects.toMatchObject({ name: "MugError" });
  const ca = readFileSync(CERT, "utf8");
  const socket = await mug.new("localhost", { port: program.port }).timeout(5_000).withTls({ ca }).connect();
  await socket.send("still here");
  expect((await socket.receiveExact(10, { timeout: 5_000 })).toString()).toBe("still here");
  await socket.shutdown();
});

test("says in one line which file is missing", async () => {
  const { output, code } = await runProgram("echo-tls", { CERT: "/no/cert.pem", KEY, PORT: "0" });
  expect(code).toBe(1);
  expect(output.trim().split("\n")).toHaveLength(1);
});
