/** A throw-away authority and certificates signed by it, made by the openssl command for one test file. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly ca: string;
  /** For localhost, 127.0.0.1 and ::1. */
  readonly server: Identity;
  /** For elsewhere.test only. */
  readonly elsewhere: Identity;
  readonly client: Identity;
  /** An authority that signed none of these. */
  readonly strangerCa: string;
}

export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "mug-certificates-"));
  try {
    makeAuthority(directory, "ca");
    makeAuthority(directory, "stranger");
    return {
      ca: readFileSync(join(directory, "ca.crt"), "utf8"),
      strangerCa: readFileSync(join(directory, "stranger.crt"), "utf8"),
      server: sign(directory, "server", "DNS:localhost,IP:127.0.0.1,IP:::1"),
      elsewhere: sign(directory, "elsewhere", "DNS:elsewhere.test"),
      client: sign(directory, "client", "DNS:client.test"),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function makeAuthority(directory: string, name: string): void {
  openssl(directory, [
    ...["req", "-x509", ...newKey, "-subj", `/CN=${name}`, "-days", "2"],
    ...["-keyout", `${name}.key`, "-out", `${name}.crt`],
  ]);
}

function sign(directory: string, name: string, subjectAltName: string): Identity {
  openssl(directory, [
    "req",
    ...newKey,
    ...["-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`],
  ]);
  writeFileSync(join(directory, "ext"), `subjectAltName=${subjectAltName}\n`);
  openssl(directory, [
    ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
    ...["-days", "2", "-extfile", "ext", "-out", `${name}.crt`],
  ]);
  return {
    cert: readFileSync(join(directory, `${name}.crt`), "utf8"),
    key: readFileSync(join(directory, `${name}.key`), "utf8"),
  };
}

function openssl(directory: string, args: readonly string[]): void {
  execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
}
