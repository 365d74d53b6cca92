import "reflect-metadata"; // what the next one wants loaded before itself
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { Certificates } from "#mesh/identity/certificates.ts";

/** An authority of tests: it signs whatever it is told to. */
export interface TestAuthority {
  /** Its certificate, as PEM. */
  readonly certificate: string;
  /** A certificate of `service` with a key of its own: good for an hour, and as it should be unless told otherwise. */
  issue(service: string, options?: IssueOptions): Promise<Certificates>;
  /** The same for a key that is there already: a SubjectPublicKeyInfo in DER. Answers the leaf, as PEM. */
  certify(publicKey: Uint8Array, service: string, options?: IssueOptions): Promise<string>;
}

export interface IssueOptions {
  /** The names in the certificate, in place of the one of the service. */
  readonly uris?: readonly string[];
  /** From when on it is good; the past hour unless given. */
  readonly startTime?: Date;
  /** Until when it is good; the next hour unless given. */
  readonly expireTime?: Date;
  /** What else is believed by who holds it. */
  readonly trusted?: readonly string[];
}

const HOUR_MS = 60 * 60_000;
const KEY: EcKeyGenParams & EcdsaParams = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

type EcKeyGenParams = webcrypto.EcKeyGenParams;
type EcdsaParams = webcrypto.EcdsaParams;

/** Makes an authority with a key of its own. `generation` is what its certificates are said to be signed under. */
export async function createTestAuthority(generation = 1n): Promise<TestAuthority> {
  const keys = await makeKeys();
  const name = `CN=test authority ${generation}`;
  const root = await X509CertificateGenerator.createSelfSigned({
    name,
    keys,
    notBefore: hoursFromNow(-2),
    notAfter: hoursFromNow(24),
    signingAlgorithm: KEY,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  const certificate = root.toString("pem");

  const certify: TestAuthority["certify"] = async (publicKey, service, options = {}) => {
    const leaf = await X509CertificateGenerator.create({
      issuer: name,
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: KEY,
      notBefore: options.startTime ?? hoursFromNow(-1),
      notAfter: options.expireTime ?? hoursFromNow(1),
      extensions: leafExtensions(options.uris ?? [`spiffe://shopmesh/${service}`]),
    });
    return leaf.toString("pem");
  };
  return {
    certificate,
    certify,
    async issue(service, options = {}) {
      const leafKeys = await makeKeys();
      const publicKey = new Uint8Array(await webcrypto.subtle.exportKey("spki", leafKeys.publicKey));
      return {
        service,
        certificate: await certify(publicKey, service, options),
        privateKey: await privatePem(leafKeys.privateKey),
        trusted: options.trusted ?? [certificate],
        expireTime: options.expireTime ?? hoursFromNow(1),
        generation,
      };
    },
  };
}

/** A certificate of `service` that nobody signed but its own key. */
export async function selfSigned(service: string): Promise<Certificates> {
  const keys = await makeKeys();
  const leaf = await X509CertificateGenerator.createSelfSigned({
    keys,
    notBefore: hoursFromNow(-1),
    notAfter: hoursFromNow(1),
    signingAlgorithm: KEY,
    extensions: leafExtensions([`spiffe://shopmesh/${service}`]),
  });
  const certificate = leaf.toString("pem");
  const privateKey = await privatePem(keys.privateKey);
  return { service, certificate, privateKey, trusted: [certificate], expireTime: hoursFromNow(1), generation: 1n };
}

function leafExtensions(uris: readonly string[]): Extension[] {
  const names = uris.map((value) => ({ type: "url" as const, value }));
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names, true)]),
  ];
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
}

function hoursFromNow(hours: number): Date {
  return new Date(Date.now() + hours * HOUR_MS);
}
