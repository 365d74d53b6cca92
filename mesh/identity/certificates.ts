/** What a process proves its identity with, and whom it believes. All PEM. */
export interface Certificates {
  /** The workload that the certificate names: `orders`. */
  readonly service: string;
  /** The leaf. Its one name is the URI `spiffe://shopmesh/<service>`. */
  readonly certificate: string;
  /** Its private key, PKCS #8. It never leaves the process. */
  readonly privateKey: string;
  /** The authorities whose certificates are believed; two while the authority is being rotated. */
  readonly trusted: readonly string[];
  /** When the leaf stops being good. */
  readonly expireTime: Date;
  /** The generation of the authority that signed it; see TrustBundle in `mesh.v1`. */
  readonly generation: bigint;
}

/** Where a process has its certificates from, renewed as they grow old. */
export interface CertificateSource {
  /** The ones to use now; undefined until the process has joined. */
  current(): Certificates | undefined;
  /**
   * Tells `listener` the certificates: once before `watch` returns, when there are any by then, and at every change.
   * Returns what ends the telling.
   */
  watch(listener: (now: Certificates) => void): () => void;
}

/** A source whose owner puts certificates in as they come. */
export interface CertificateHolder extends CertificateSource {
  /** Puts these in the place of those before, and tells all who watch. */
  put(certificates: Certificates): void;
}

/** Holds certificates: none at first, unless given. */
export function createCertificateHolder(first?: Certificates): CertificateHolder {
  let held = first;
  const listeners = new Set<(now: Certificates) => void>();
  return {
    current: () => held,
    watch(listener) {
      listeners.add(listener);
      if (held !== undefined) listener(held);
      return () => listeners.delete(listener);
    },
    put(certificates) {
      held = certificates;
      for (const listener of [...listeners]) listener(certificates);
    },
  };
}

/** How long a process waits for its first certificates before it gives up. */
export const JOIN_TIMEOUT_MS = 60_000;

/** The first certificates of a source. Rejects with a JoinError when there are none in time. */
export function firstCertificates(source: CertificateSource, timeoutMs = JOIN_TIMEOUT_MS): Promise<Certificates> {
  const current = source.current();
  if (current !== undefined) return Promise.resolve(current);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop();
      reject(new JoinError(`this process has no certificate after ${timeoutMs / 1_000} s`));
    }, timeoutMs);
    const stop = source.watch((certificates) => {
      clearTimeout(timer);
      stop();
      resolve(certificates);
    });
  });
}

/** Why a process could not join the mesh. It carries no stack: the message is all that an operator needs. */
export class JoinError extends Error {
  override readonly name = "JoinError";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.stack = `JoinError: ${message}`;
  }
}
