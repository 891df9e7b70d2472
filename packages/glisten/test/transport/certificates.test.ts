import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { CertificateError, UsageError } from "../../src/errors.ts";
import { type CertificateOptions, loadAuthorities, loadIdentity } from "../../src/transport/certificates.ts";
import { type TestCertificates, testCertificates } from "../certificates.ts";

let made: TestCertificates;
beforeAll(async () => {
  made = await testCertificates();
});

type From<T> = (certificates: TestCertificates) => T;

describe("a certificate and its key are taken", () => {
  const cases: readonly (readonly [string, From<CertificateOptions>, From<string>])[] = [
    ["from files", ({ server: { certfile, keyfile } }) => ({ certfile, keyfile }), (all) => all.server.cert],
    [
      "from file URLs",
      ({ server }) => ({ certfile: pathToFileURL(server.certfile), keyfile: pathToFileURL(server.keyfile) }),
      (all) => all.server.cert,
    ],
    ["as PEM text", ({ server: { cert, key } }) => ({ cert, key }), (all) => all.server.cert],
    [
      "as PEM bytes",
      ({ server: { cert, key } }) => ({ cert: Buffer.from(cert), key: new TextEncoder().encode(key) }),
      (all) => all.server.cert,
    ],
    ["one from a file, one not", ({ rsa: { certfile, key } }) => ({ certfile, key }), (all) => all.rsa.cert],
    [
      "as DER, EC in SEC 1",
      ({ der }) => ({ cert: der.cert, key: der.traditional }),
      (all) => all.server.cert,
    ],
    ["as DER, EC in PKCS#8", ({ der }) => ({ cert: der.cert, key: der.pkcs8 }), (all) => all.server.cert],
    [
      "as DER, RSA in PKCS#1",
      (all) => ({ cert: all.rsaDer.cert, key: all.rsaDer.traditional }),
      (all) => all.rsa.cert,
    ],
    [
      "as DER, RSA in PKCS#8",
      (all) => ({ cert: all.rsaDer.cert, key: all.rsaDer.pkcs8 }),
      (all) => all.rsa.cert,
    ],
    [
      "as DER of a named type",
      ({ der }) => ({ cert: der.cert, key: der.traditional, keyType: "ec" }),
      (all) => all.server.cert,
    ],
    [
      "with an encrypted PEM key",
      ({ server: { cert }, encrypted: { pem: key, passphrase } }) => ({ cert, key, passphrase }),
      (all) => all.server.cert,
    ],
    [
      "with an encrypted DER key",
      ({ server: { cert }, encrypted: { der: key, passphrase } }) => ({ cert, key, passphrase }),
      (all) => all.server.cert,
    ],
    [
      "with its chain in one file",
      ({ chained: { cert, key } }) => ({ cert, key }),
      (all) => all.chained.cert,
    ],
    [
      "with its chain as an array",
      ({ chained: { cert, key } }) => ({ cert: cert.split(/(?<=END CERTIFICATE-----\n)/), key }),
      (all) => all.chained.cert,
    ],
    [
      "with its key in the same text",
      ({ server: { cert, key } }) => ({ cert: key + cert, key: key + cert }),
      (all) => all.server.cert,
    ],
    ["although it has expired", ({ expired: { cert, key } }) => ({ cert, key }), (all) => all.expired.cert],
  ];

  it.each(cases)("%s", async (_, options, expected) => {
    const identity = await loadIdentity(options(made), "the server");
    expect(identity.cert).toBe(expected(made));
    expect(identity.key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  });
});

describe("what is missing or does not fit is named", () => {
  const missing = "/nowhere/at/all";
  const cases: readonly (readonly [string, From<CertificateOptions>, string, RegExp])[] = [
    [
      "nothing given",
      () => ({}),
      "no-key-or-certificate",
      /give cert or certfile, and .* give key or keyfile/,
    ],
    [
      "no file there",
      () => ({ certfile: `${missing}/c`, keyfile: `${missing}/k` }),
      "no-key-or-certificate",
      /\/c: there is no such file .*\/k: there is no such file/,
    ],
    [
      "a path in place of a certificate",
      ({ server }) => ({ cert: server.certfile, keyfile: server.keyfile }),
      "invalid-certificate",
      /cert takes PEM or DER, and this looks like a path\. Did you mean certfile\?$/,
    ],
    [
      "a path in place of a key",
      ({ server }) => ({ certfile: server.certfile, key: server.keyfile }),
      "invalid-key",
      /key takes PEM or DER, and this looks like a path\. Did you mean keyfile\?$/,
    ],
    [
      "no certificate file",
      ({ server }) => ({ certfile: missing, keyfile: server.keyfile }),
      "no-certificate",
      /certificate file \/nowhere\/at\/all: there is no such file or directory \(enoent\)/,
    ],
    [
      "no key file",
      ({ server }) => ({ cert: server.cert, keyfile: missing }),
      "no-key",
      /key file \/nowhere/,
    ],
    [
      "no key given",
      ({ server }) => ({ cert: server.cert }),
      "no-key",
      /the key of the server: give key or keyfile/,
    ],
    [
      "a directory",
      ({ directory, server }) => ({ certfile: directory, keyfile: server.keyfile }),
      "no-certificate",
      /is a directory/,
    ],
    [
      "text that is no PEM",
      ({ server }) => ({ cert: "hello", key: server.key }),
      "invalid-certificate",
      /no certificate/,
    ],
    [
      "a damaged certificate",
      ({ server }) => ({
        cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        key: server.key,
      }),
      "invalid-certificate",
      /cannot be decoded/,
    ],
    [
      "bytes that are no DER",
      ({ server }) => ({ cert: Buffer.from([1, 2, 3]), key: server.key }),
      "invalid-certificate",
      /cannot be decoded/,
    ],
    [
      "a damaged key",
      ({ server }) => ({ cert: server.cert, key: "hello" }),
      "invalid-key",
      /key of the server/,
    ],
    [
      "an empty DER key",
      ({ server }) => ({ cert: server.cert, key: new Uint8Array(0) }),
      "invalid-key",
      /cannot be decoded/,
    ],
    [
      "a DER key of another type",
      ({ der }) => ({ cert: der.cert, key: der.traditional, keyType: "rsa" }),
      "invalid-key",
      /encoded as sec1, not as pkcs1/,
    ],
    [
      "no passphrase",
      ({ server, encrypted }) => ({ cert: server.cert, key: encrypted.pem }),
      "invalid-key",
      /it needs a passphrase/,
    ],
    [
      "a wrong passphrase",
      ({ server, encrypted }) => ({ cert: server.cert, key: encrypted.pem, passphrase: "guess" }),
      "invalid-key",
      /the passphrase is wrong/,
    ],
    [
      "another's key",
      ({ server, rsa }) => ({ certfile: server.certfile, key: rsa.key }),
      "key-mismatch",
      /key of the server does not belong to the certificate file/,
    ],
  ];

  it.each(cases)("%s", async (_, options, reason, message) => {
    const error = await loadIdentity(options(made), "the server").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CertificateError);
    expect(error).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  it("both a file and a value are too much", async () => {
    await expect(loadIdentity(made.server, "the server")).rejects.toThrow(UsageError);
    const { cert, key } = made.server;
    await expect(loadIdentity({ cert, key, keyType: "ec" }, "the server")).rejects.toThrow(/keyType/);
    await expect(loadAuthorities({ ca: made.ca.cert, caFile: made.ca.certfile })).rejects.toThrow(UsageError);
  });
});

describe("client authorities", () => {
  it("are taken from a file, as PEM and as DER, one or several", async () => {
    const { ca, wrongCa } = made;
    const der = new X509Certificate(ca.cert).raw;
    const bundle = join(made.directory, "bundle.pem");
    await writeFile(bundle, `a comment\n${ca.cert}\nanother\n${wrongCa.cert}`);
    expect(await loadAuthorities({ caFile: ca.certfile })).toEqual([ca.cert]);
    expect(await loadAuthorities({ caFile: bundle })).toEqual([ca.cert, wrongCa.cert]);
    expect(await loadAuthorities({ ca: der })).toEqual([ca.cert]);
    expect(await loadAuthorities({ ca: [der, wrongCa.cert] })).toEqual([ca.cert, wrongCa.cert]);
  });

  it.each([
    [{}, "no-authority"],
    [{ ca: [] }, "invalid-authority"],
    [{ ca: "" }, "invalid-authority"],
    [{ ca: new Uint8Array(0) }, "invalid-authority"],
    [{ caFile: "/nowhere/at/all" }, "no-authority"],
  ])("%j are refused", async (options, reason) => {
    await expect(loadAuthorities(options)).rejects.toMatchObject({ name: "CertificateError", reason });
  });
});
