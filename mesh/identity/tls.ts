import type { Socket } from "node:net";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { Certificates } from "#mesh/identity/certificates.ts";
import { workloadOf } from "#mesh/identity/spiffe.ts";

/** The oldest version that is spoken. */
export const TLS_VERSION = "TLSv1.3";
/** How long a peer may take to prove itself once the connection stands. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;

/** What a socket is secured with: PEM in the shape that `node:tls` takes. */
export interface ContextOptions {
  readonly cert: string;
  readonly key: string;
  readonly ca: string[];
  readonly minVersion: typeof TLS_VERSION;
}

export function contextOptions({ certificate, privateKey, trusted }: Certificates): ContextOptions {
  return { cert: certificate, key: privateKey, ca: [...trusted], minVersion: TLS_VERSION };
}

/** Reading keys and certificates takes about a millisecond, so it is done once for each set of them. */
const contexts = new WeakMap<Certificates, SecureContext>();

export function contextOf(certificates: Certificates): SecureContext {
  const known = contexts.get(certificates);
  if (known !== undefined) return known;
  const context = createSecureContext(contextOptions(certificates));
  contexts.set(certificates, context);
  return context;
}

/** Connects as the holder of `context` to the workload `owner`, and to no other. For `tls.connect`. */
export function connectionOptions(context: SecureContext, owner: string): ConnectionOptions {
  return {
    secureContext: context,
    // Said, since its default is what NODE_TLS_REJECT_UNAUTHORIZED says, which somebody may have set for another program.
    rejectUnauthorized: true,
    // Not what is checked: a name by which packet captures and proxies tell connections apart.
    servername: owner,
    ALPNProtocols: ["h2"],
    checkServerIdentity: (_, certificate) => checkPeer(certificate, owner),
  };
}

/** Undefined when a peer's certificate, which a trusted authority signed, is that of `owner`; else what is wrong. */
function checkPeer(certificate: PeerCertificate, owner: string): Error | undefined {
  const workload = workloadOf(certificate);
  return workload === owner ? undefined : new PeerError(`it is ${workload ?? "no workload of ours"}, not ${owner}`);
}

/** The peer of a connection is not who it should be, or does not prove it. */
class PeerError extends Error {
  override readonly name = "PeerError";
}

/**
 * Secures a connection that stands, to the workload `owner`. Rejects, with the socket destroyed, when the peer is
 * another, is not believed, or does not prove itself in time.
 */
export function secure(
  socket: Socket,
  context: SecureContext,
  owner: string,
  timeoutMs: number = HANDSHAKE_TIMEOUT_MS,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connect({ ...connectionOptions(context, owner), socket });
    const settle = (): void => {
      clearTimeout(timer);
      secured.off("secureConnect", onSecure).off("error", onError).off("close", onClose);
    };
    const fail = (error: Error): void => {
      settle();
      secured.on("error", () => {}); // what comes after is of the same
      secured.destroy();
      reject(error);
    };
    const onSecure = (): void => {
      settle();
      resolve(secured);
    };
    const onError = (error: Error): void => fail(error);
    const onClose = (): void => fail(new PeerError(`${owner} closed the connection instead of proving itself`));
    const timer = setTimeout(
      () => fail(new PeerError(`${owner} did not prove itself within ${timeoutMs} ms`)),
      timeoutMs,
    );
    secured.once("secureConnect", onSecure).once("error", onError).once("close", onClose);
  });
}
