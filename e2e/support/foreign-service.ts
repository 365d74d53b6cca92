import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { PeerCertificate } from "node:tls";
import { Client, credentials } from "@grpc/grpc-js";
import { SignJWT } from "jose";
import { CertificateServiceService, type IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { DiscoveryServiceService, type StreamResourcesResponse } from "#gen/mesh/v1/discovery_service.ts";
import { type Instance, InstanceState } from "#gen/mesh/v1/instance.ts";
import { type RegisterResponse, RegistryServiceService } from "#gen/mesh/v1/registry_service.ts";
import type { MethodDefinition } from "#mesh/contract/contract.ts";

// A service that knows the contracts and docs/joining.md alone, as one in another language would: it runs none of
// `mesh/`, and its names below are the steps there.

/** Where a mesh is joined. */
export interface Doors {
  readonly joinAddress: string;
  readonly controlAddress: string;
  readonly trustFile: string;
}

/** A certificate with its key. */
export interface Identity {
  readonly issued: IssuedCertificate;
  readonly privateKey: string;
}

const timeoutMs = 10_000;

/** Joins with the join key of a service (32 bytes in hex). */
export async function join(service: string, joinKey: string, doors: Doors): Promise<Identity> {
  const seconds = Math.floor(Date.now() / 1_000);
  const token = await new SignJWT({
    sub: service,
    aud: "shopmesh-join",
    jti: randomUUID(),
    iat: seconds,
    exp: seconds + 60,
  })
    .setProtectedHeader({ alg: "HS256" })
    .sign(Buffer.from(joinKey, "hex"));
  const { publicKey, privateKey } = newKey();
  const door = connect("control", doors.joinAddress, readFileSync(doors.trustFile, "utf8"));
  const { certificate } = await call(door, CertificateServiceService.joinMesh, { token, publicKey });
  return { issued: present(certificate), privateKey };
}

/** A further certificate, under the one there is. */
export async function renew(identity: Identity, { controlAddress }: Doors): Promise<Identity> {
  const { publicKey, privateKey } = newKey();
  const control = connectAs(identity, "control", controlAddress);
  const { certificate } = await call(control, CertificateServiceService.renewCertificate, { publicKey });
  return { issued: present(certificate), privateKey };
}

/** Registers an instance; what comes back leaves, and settles when it is drained. */
export async function register(
  identity: Identity,
  instance: Instance,
  { controlAddress }: Doors,
): Promise<() => Promise<void>> {
  const { path, requestSerialize, responseDeserialize } = RegistryServiceService.register;
  const client = connectAs(identity, "control", controlAddress);
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const heard = (isIt: (response: RegisterResponse) => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.on("error", reject);
      stream.on("data", (response: RegisterResponse) => isIt(response) && resolve());
    });
  const registered = heard(() => true);
  stream.write({ content: { $case: "instance", value: instance } });
  await registered;
  return async () => {
    const drained = heard((response) => response.drained);
    stream.write({ content: { $case: "report", value: { state: InstanceState.DRAINING, stats: undefined } } });
    await drained;
    stream.removeAllListeners("error").on("error", () => {});
    stream.end();
    client.close();
  };
}

/** The addresses of a service, as control says them first; acknowledged. */
export async function discover(identity: Identity, service: string, { controlAddress }: Doors): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = DiscoveryServiceService.streamResources;
  const client = connectAs(identity, "control", controlAddress);
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const first = new Promise<StreamResourcesResponse>((resolve, reject) =>
    stream.once("data", resolve).on("error", reject),
  );
  stream.write({ services: [service], acknowledgedVersion: 0n, instance: "" });
  const { version, clusters } = await first;
  stream.write({ services: [service], acknowledgedVersion: version, instance: "" });
  const { host, port } = present(clusters[0]?.endpoints[0]);
  stream.removeAllListeners("error").on("error", () => {});
  stream.end();
  client.close();
  return `${host}:${port}`;
}

/** Connects to a service as the holder of a certificate, and to nobody else who may be there. */
export function connectAs({ issued, privateKey }: Identity, service: string, address: string): Client {
  return connect(service, address, issued.trustedCertificates.join(""), {
    key: Buffer.from(privateKey),
    certificate: Buffer.from(issued.certificate),
  });
}

function connect(
  service: string,
  address: string,
  trusted: string,
  own?: { readonly key: Buffer; readonly certificate: Buffer },
): Client {
  const checkServerIdentity = (_: string, { subjectaltname }: PeerCertificate): Error | undefined =>
    subjectaltname === `URI:spiffe://shopmesh/${service}`
      ? undefined
      : new Error(`${subjectaltname} is not ${service}`);
  const secure = credentials.createSsl(Buffer.from(trusted), own?.key ?? null, own?.certificate ?? null, {
    checkServerIdentity,
  });
  return new Client(address, secure, { "grpc.ssl_target_name_override": service });
}

/** One call, and the end of the connection. */
export function call<D extends MethodDefinition>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: D,
  request: ReturnType<D["requestDeserialize"]>,
): Promise<ReturnType<D["responseDeserialize"]>> {
  return new Promise((resolve, reject) => {
    // The definition's own codecs belong together.
    const serialize = requestSerialize as (value: unknown) => Buffer;
    const deserialize = responseDeserialize as (bytes: Buffer) => ReturnType<D["responseDeserialize"]>;
    const options = { deadline: Date.now() + timeoutMs };
    client.makeUnaryRequest(path, serialize, deserialize, request, options, (error, answer) => {
      client.close();
      if (error !== null) reject(error);
      else resolve(present(answer));
    });
  });
}

function newKey(): { readonly publicKey: Buffer; readonly privateKey: string } {
  return generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("something is missing in an answer");
  return value;
}
