import "reflect-metadata"; // what the next one wants loaded before itself
import { createHash, createPublicKey, type KeyObject, randomBytes, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { workloadUri } from "#mesh/identity/spiffe.ts";
import { type AuthorityKey, CLOCK_SKEW_MS } from "./domain.ts";

/** How long an authority is good for: it is rotated long before. */
const AUTHORITY_LIFETIME_MS = 10 * 365 * 24 * 60 * 60_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
/** As much of a serial number as RFC 5280 (4.1.2.2) leaves room for, and more than guessing could hit. */
const SERIAL_BYTES = 16;

/** A key that may be certified: a SubjectPublicKeyInfo in DER, as this process writes it. */
export type UsableKey = Buffer<ArrayBuffer>;

/** What a leaf is to say. */
export interface LeafInit {
  readonly service: string;
  readonly publicKey: UsableKey;
  readonly now: Date;
  readonly lifetimeMs: number;
}

export interface Leaf {
  /** PEM. */
  readonly certificate: string;
  readonly expireTime: Date;
}

/** Makes the key and the certificate of an authority. */
export async function makeAuthority(generation: number, now: Date): Promise<AuthorityKey> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const expireTime = new Date(now.getTime() + AUTHORITY_LIFETIME_MS);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=shopmesh authority ${generation}`,
    keys,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: expireTime,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const privateKey = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    generation,
    certificate: `${certificate.toString("pem")}\n`,
    privateKey: `-----BEGIN PRIVATE KEY-----\n${privateKey.toString("base64")}\n-----END PRIVATE KEY-----\n`,
    fingerprint: createHash("sha256").update(Buffer.from(certificate.rawData)).digest("hex"),
    createTime: now,
    expireTime,
  };
}

/** Signs a leaf with one name, for both sides of a connection. Throws when the authority signs no more. */
export async function signLeaf(authority: AuthorityKey, init: LeafInit): Promise<Leaf> {
  const { service, publicKey, now, lifetimeMs } = init;
  const root = new X509Certificate(authority.certificate);
  // To the second, as certificates tell the time, and never past the authority's own end.
  const end = Math.min(now.getTime() + lifetimeMs, authority.expireTime.getTime());
  const expireTime = new Date(Math.floor(end / 1_000) * 1_000);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: root.subjectName,
    publicKey,
    signingKey: await signingKey(authority),
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: expireTime,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      // Critical, because the certificate has no subject (RFC 5280, 4.2.1.6).
      new SubjectAlternativeNameExtension([{ type: "url", value: workloadUri(service) }], true),
      await AuthorityKeyIdentifierExtension.create(root.publicKey),
    ],
  });
  return { certificate: `${certificate.toString("pem")}\n`, expireTime };
}

/** The key, if it is one on P-256 that can be certified. */
export function usableKey(der: Uint8Array): UsableKey | undefined {
  const key = readKey(der);
  if (key?.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return undefined;
  // Written anew, so that nothing is certified that came along with the key.
  return Buffer.from(key.export({ type: "spki", format: "der" }));
}

function readKey(der: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    return undefined; // whoever sent it is told that it is no such key
  }
}

function signingKey({ privateKey, generation }: AuthorityKey): Promise<webcrypto.CryptoKey> {
  if (privateKey === undefined) throw new Error(`the authority ${generation} signs no more`);
  const der = Buffer.from(privateKey.replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
  return webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
}

/** Positive, as it must be. */
function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString("hex");
}
