/**
 * Certificates for tests, made by the openssl command line in a temporary directory that goes away with the
 * process. One set per test process, made on first use.
 */

import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A certificate and its key, as files and as PEM text. */
export interface TestIdentity {
  readonly certfile: string;
  readonly keyfile: string;
  readonly cert: string;
  readonly key: string;
}

/** One key in the encodings a server may be given. */
export interface TestEncodings {
  readonly cert: Buffer;
  /** PKCS#1 for RSA, SEC 1 for EC. */
  readonly traditional: Buffer;
  readonly pkcs8: Buffer;
}

export interface TestCertificates {
  readonly directory: string;
  /** The authority everything is signed by unless said otherwise. */
  readonly ca: TestIdentity;
  /** An authority nobody trusts. */
  readonly wrongCa: TestIdentity;
  /** EC, for localhost, 127.0.0.1 and ::1. */
  readonly server: TestIdentity;
  /** RSA, for the same names. */
  readonly rsa: TestIdentity;
  /** Another EC certificate for the same names, as after a renewal. */
  readonly renewed: TestIdentity;
  /** For localhost, signed by an intermediate that follows it in the file. */
  readonly chained: TestIdentity;
  /** For second.example. */
  readonly second: TestIdentity;
  /** For *.wild.example. */
  readonly wildcard: TestIdentity;
  /** For localhost, expired. */
  readonly expired: TestIdentity;
  readonly client: TestIdentity;
  /** Signed by the wrong authority. */
  readonly wrongClient: TestIdentity;
  readonly expiredClient: TestIdentity;
  /** The server's certificate and key as DER. */
  readonly der: TestEncodings;
  readonly rsaDer: TestEncodings;
  /** The server's key, encrypted: PEM and PKCS#8 DER. */
  readonly encrypted: { readonly passphrase: string; readonly pem: string; readonly der: Buffer };
}

let made: Promise<TestCertificates> | undefined;

/** The certificates, made once. */
export function testCertificates(): Promise<TestCertificates> {
  made ??= makeAll();
  return made;
}

const LOCALHOST = "DNS:localhost,IP:127.0.0.1,IP:::1";

interface Request {
  readonly name: string;
  readonly issuer: TestIdentity | undefined;
  readonly extensions: readonly string[];
  readonly algorithm?: "ec" | "rsa";
  readonly expired?: boolean;
}

async function makeAll(): Promise<TestCertificates> {
  const directory = await mkdtemp(join(tmpdir(), "glisten-certificates-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const make = (request: Request) => makeIdentity(directory, request);
  const [ca, wrongCa] = await Promise.all([make(authority("ca")), make(authority("wrong-ca"))]);
  const intermediate = await make(authority("intermediate", ca));
  const leaf = await make(serverFor("chained", intermediate, LOCALHOST));
  const [server, rsa, renewed, second, wildcard, expired] = await Promise.all([
    make(serverFor("server", ca, LOCALHOST)),
    make({ ...serverFor("rsa", ca, LOCALHOST), algorithm: "rsa" }),
    make(serverFor("renewed", ca, LOCALHOST)),
    make(serverFor("second", ca, "DNS:second.example")),
    make(serverFor("wildcard", ca, "DNS:*.wild.example")),
    make({ ...serverFor("expired", ca, LOCALHOST), expired: true }),
  ]);
  const [client, wrongClient, expiredClient] = await Promise.all([
    make(clientOf("client", ca)),
    make(clientOf("wrong-client", wrongCa)),
    make({ ...clientOf("expired-client", ca), expired: true }),
  ]);
  const chained = await appendChain(leaf, intermediate);
  const [der, rsaDer, encrypted] = await Promise.all([
    encode(directory, server, "ec"),
    encode(directory, rsa, "rsa"),
    encrypt(directory, server),
  ]);
  return {
    ...{ directory, ca, wrongCa, server, rsa, renewed, chained, second, wildcard, expired },
    ...{ client, wrongClient, expiredClient, der, rsaDer, encrypted },
  };
}

function authority(name: string, issuer?: TestIdentity): Request {
  return { name, issuer, extensions: ["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,cRLSign"] };
}

function serverFor(name: string, issuer: TestIdentity, names: string): Request {
  return { name, issuer, extensions: [`subjectAltName=${names}`, "extendedKeyUsage=serverAuth"] };
}

function clientOf(name: string, issuer: TestIdentity): Request {
  return { name, issuer, extensions: ["extendedKeyUsage=clientAuth"] };
}

const KEY_OPTIONS = {
  ec: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
} as const;

async function makeIdentity(directory: string, request: Request): Promise<TestIdentity> {
  const file = (suffix: string) => join(directory, `${request.name}${suffix}`);
  const keyfile = file(".key");
  const certfile = file(".pem");
  const extfile = file(".ext");
  await writeFile(extfile, request.extensions.join("\n"));
  await run("openssl", ["genpkey", ...KEY_OPTIONS[request.algorithm ?? "ec"], "-out", keyfile]);
  await run("openssl", [
    "req",
    "-new",
    "-key",
    keyfile,
    "-subj",
    `/CN=${request.name}`,
    "-out",
    file(".csr"),
  ]);
  const { issuer } = request;
  const signer = issuer
    ? ["-CA", issuer.certfile, "-CAkey", issuer.keyfile, "-set_serial", serialOf(request.name)]
    : ["-signkey", keyfile];
  const common = ["x509", "-req", "-in", file(".csr"), "-extfile", extfile, "-out", certfile, ...signer];
  if (request.expired) await signExpired(common);
  else await run("openssl", [...common, "-days", "2"]);
  return await read(certfile, keyfile);
}

/** OpenSSL before 3.4 takes a negative number of days; from then on the dates themselves. */
async function signExpired(command: readonly string[]): Promise<void> {
  const dates = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"];
  await run("openssl", [...command, "-days", "-1"]).catch(() => run("openssl", [...command, ...dates]));
}

/** A number of its own per name, so that files made at once do not fight over a serial file. */
function serialOf(name: string): string {
  return `0x${Buffer.from(name).toString("hex").slice(0, 32)}`;
}

async function read(certfile: string, keyfile: string): Promise<TestIdentity> {
  const [cert, key] = await Promise.all([readFile(certfile, "utf8"), readFile(keyfile, "utf8")]);
  return { certfile, keyfile, cert, key };
}

async function appendChain(leaf: TestIdentity, intermediate: TestIdentity): Promise<TestIdentity> {
  await writeFile(leaf.certfile, leaf.cert + intermediate.cert);
  return await read(leaf.certfile, leaf.keyfile);
}

async function encode(directory: string, identity: TestIdentity, kind: "ec" | "rsa"): Promise<TestEncodings> {
  const file = (suffix: string) => join(directory, `${kind}-encoded${suffix}`);
  const traditional = kind === "ec" ? ["ec"] : ["rsa", "-traditional"];
  await Promise.all([
    run("openssl", ["x509", "-in", identity.certfile, "-outform", "DER", "-out", file(".cert")]),
    run("openssl", [
      ...traditional,
      "-in",
      identity.keyfile,
      "-outform",
      "DER",
      "-out",
      file(".traditional"),
    ]),
    run("openssl", [
      ...["pkcs8", "-topk8", "-nocrypt", "-in", identity.keyfile],
      ...["-outform", "DER", "-out", file(".pkcs8")],
    ]),
  ]);
  return {
    cert: await readFile(file(".cert")),
    traditional: await readFile(file(".traditional")),
    pkcs8: await readFile(file(".pkcs8")),
  };
}

async function encrypt(directory: string, identity: TestIdentity): Promise<TestCertificates["encrypted"]> {
  const passphrase = "open sesame";
  const pem = join(directory, "encrypted.key");
  const der = join(directory, "encrypted.der");
  const convert = ["pkcs8", "-topk8", "-in", identity.keyfile, "-passout", `pass:${passphrase}`];
  await run("openssl", [...convert, "-out", pem]);
  await run("openssl", [...convert, "-outform", "DER", "-out", der]);
  return { passphrase, pem: await readFile(pem, "utf8"), der: await readFile(der) };
}
