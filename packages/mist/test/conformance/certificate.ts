// A certificate for localhost, made by openssl once per test process and gone with it.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

let made: Promise<Certificate> | undefined;

export function certificate(): Promise<Certificate> {
  made ??= makeCertificate();
  return made;
}

/** One of its own. */
export async function makeCertificate(): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), "mist-cert-"));
  const [certfile, keyfile] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=localhost", "-addext", names, "-days", "2"];
  await run("openssl", ["req", "-x509", ...curve, "-keyout", keyfile, "-out", certfile, ...subject]);
  const [cert, key] = await Promise.all([readFile(certfile, "utf8"), readFile(keyfile, "utf8")]);
  await rm(directory, { recursive: true });
  return { cert, key };
}
