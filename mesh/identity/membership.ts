import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import type { Logger } from "pino";
import type { IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import type { TrustBundle } from "#gen/mesh/v1/discovery_service.ts";
import type { Clock } from "#mesh/clock.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import {
  type CertificateSource,
  type Certificates,
  createCertificateHolder,
  JoinError,
} from "#mesh/identity/certificates.ts";
import { workloadOf } from "#mesh/identity/spiffe.ts";

/** A process's place in the mesh: the certificates that it has by now, for as long as it lives. */
export interface Membership extends CertificateSource {
  /** Resolves when there are certificates. Rejects with a JoinError when there never will be. */
  joined(): Promise<void>;
  /** Takes over whom the control plane says to believe, at once; under another generation the own certificate is renewed. */
  trust(bundle: Pick<TrustBundle, "certificates" | "generation">): void;
  /** Ends the renewals. What there is stays. */
  close(): void;
}

/** Asks for a certificate of a public key (SubjectPublicKeyInfo in DER). */
export type Ask = (publicKey: Buffer, signal: AbortSignal) => Promise<IssuedCertificate>;

export interface MembershipOptions {
  readonly service: string;
  /** For the first certificate. */
  readonly join: Ask;
  /** Whether `join` can be asked again: with a key that makes tokens it can, with one token it cannot. */
  readonly canRejoin: boolean;
  /** How long it is tried to join before it is given up. */
  readonly timeoutMs: number;
  /** For all others, under the present one. */
  readonly renew: Ask;
  readonly clock: Clock;
  /** A number from 0 up to 1 each time. */
  readonly random: () => number;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  /** Told once, when there is no certificate and none can be had: the process is of no more use. */
  readonly onLost: (error: JoinError) => void;
}

/** Whoever is started together with control may come so much earlier: that is no cause for worry yet. */
const STARTING_MS = 5_000;
/** Between tries to join, and to renew: doubled from the first to the second, of which a random part is waited. */
const JOIN_BACKOFF_MS = { first: 200, longest: 5_000 };
const RENEWAL_BACKOFF_MS = { first: 1_000, longest: 30_000 };
/** Renewals that a change of authority asks for are spread over so long. */
const ROTATION_SPREAD_MS = 500;
/** The clock is looked at this often: timers stand still while a machine sleeps, and certificates go on to age. */
const CLOCK_CHECK_MS = 15_000;

/** Joins in the background, and renews in the background. A key never leaves the process, and is never used twice. */
export function createMembership(options: MembershipOptions): Membership {
  const member = new Member(options);
  void member.live();
  return {
    current: () => member.holder.current(),
    watch: (listener) => member.holder.watch(listener),
    joined: () => member.joined,
    trust: (bundle) => member.trust(bundle),
    close: () => member.close(),
  };
}

class Member {
  readonly holder = createCertificateHolder();
  readonly joined: Promise<void>;
  #settleJoined: { readonly resolve: () => void; readonly reject: (error: JoinError) => void } | undefined;
  readonly #options: MembershipOptions;
  readonly #closing = new AbortController();
  /** As they were issued, before what was said of trust since. */
  #issued: Certificates | undefined;
  #bundle: Pick<TrustBundle, "certificates" | "generation"> | undefined;
  /** The generation of the bundle for which it was renewed: once, whatever came of it. */
  #renewedFor = 0n;
  #renewTime = new Date(0);
  #interruptPause: () => void = () => {};

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.joined = new Promise((resolve, reject) => {
      this.#settleJoined = { resolve, reject };
    });
    this.joined.catch(() => undefined); // who waits for it is told; who does not is told by `onLost`
  }

  close(): void {
    this.#closing.abort();
  }

  /** All that happens, in its order. Never rejects. */
  async live(): Promise<void> {
    const { service, log, onLost } = this.#options;
    try {
      await this.#join();
      log.info({ service, expireTime: this.#issued?.expireTime }, "joined the mesh");
      this.#settleJoined?.resolve();
      while (await this.#untilDue()) await this.#renew();
    } catch (error) {
      const lost = error instanceof JoinError ? error : new JoinError(messageOf(error), { cause: error });
      if (!this.#closing.signal.aborted) onLost(lost);
      this.#settleJoined?.reject(lost);
    }
  }

  async #join(): Promise<void> {
    const { service, join, timeoutMs, clock, log } = this.#options;
    const beganMs = clock.now().getTime();
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#obtain(join);
      } catch (error) {
        this.#closing.signal.throwIfAborted();
        if (isFinal(error))
          throw new JoinError(`${service} may not join the mesh: ${messageOf(error)}`, { cause: error });
        const triedMs = clock.now().getTime() - beganMs;
        if (triedMs >= timeoutMs) {
          const seconds = timeoutMs / 1_000;
          throw new JoinError(`${service} could not join the mesh within ${seconds} s: ${messageOf(error)}`, {
            cause: error,
          });
        }
        log[triedMs < STARTING_MS ? "info" : "warn"](
          { service, tries, reason: messageOf(error) },
          "could not join the mesh; trying again",
        );
      }
      await this.#pause(this.#backoffMs(tries, JOIN_BACKOFF_MS), "alive");
      this.#closing.signal.throwIfAborted();
    }
  }

  /** Waits until the certificate is to be renewed. Answers false when that is of no more interest. */
  async #untilDue(): Promise<boolean> {
    const { clock, random } = this.#options;
    while (!this.#closing.signal.aborted) {
      if (this.#isOutdated()) {
        await this.#pause(random() * ROTATION_SPREAD_MS);
        return !this.#closing.signal.aborted;
      }
      const leftMs = this.#renewTime.getTime() - clock.now().getTime();
      if (leftMs <= 0) return true;
      await this.#pause(Math.min(leftMs, CLOCK_CHECK_MS));
    }
    return false;
  }

  async #renew(): Promise<void> {
    this.#renewedFor = this.#bundle?.generation ?? 0n;
    const { service, renew, log } = this.#options;
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#obtain(renew);
        const { expireTime, generation } = this.#issued ?? {};
        return log.info({ service, expireTime, generation: String(generation) }, "renewed the certificate");
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (this.#hasExpired()) return this.#rejoin(error);
        const { expireTime } = this.#issued ?? {};
        log.warn(
          { service, tries, expireTime, reason: messageOf(error) },
          "could not renew the certificate; trying again",
        );
      }
      await this.#pause(this.#backoffMs(tries, RENEWAL_BACKOFF_MS));
    }
  }

  /** Nobody believes an expired certificate, so it cannot be renewed any more. */
  async #rejoin(cause: unknown): Promise<void> {
    const { service, canRejoin, log } = this.#options;
    const message = `the certificate of ${service} has expired, and could not be renewed: ${messageOf(cause)}`;
    if (!canRejoin) throw new JoinError(message, { cause });
    log.error({ service, reason: messageOf(cause) }, "the certificate has expired; joining anew");
    await this.#join();
  }

  async #obtain(ask: Ask): Promise<void> {
    const { publicKey, privateKey } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      publicKeyEncoding: { type: "spki", format: "der" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    const issued = await ask(publicKey, this.#closing.signal);
    const certificates = accept(issued, this.#options.service, privateKey);
    const now = this.#options.clock.now().getTime();
    const lifeMs = certificates.expireTime.getTime() - now;
    this.#renewTime = new Date(now + lifeMs * (0.45 + 0.1 * this.#options.random()));
    this.#issued = certificates;
    this.holder.put({ ...certificates, trusted: trustedBy(certificates, this.#bundle) });
  }

  trust(bundle: Pick<TrustBundle, "certificates" | "generation">): void {
    const { service, log } = this.#options;
    if (bundle.certificates.length === 0 || !bundle.certificates.every(isCertificate)) {
      log.error({ service }, "was told to trust what is no certificate; goes on as before");
      return;
    }
    this.#bundle = bundle;
    const held = this.holder.current();
    if (held === undefined || this.#issued === undefined) return;
    const trusted = trustedBy(this.#issued, bundle);
    if (trusted.join() !== held.trusted.join()) {
      log.info(
        { service, authorities: trusted.length, generation: String(bundle.generation) },
        "trusts other authorities",
      );
      this.holder.put({ ...held, trusted });
    }
    if (this.#isOutdated()) this.#interruptPause();
  }

  /** Whether another authority signs by now than the one that signed ours. */
  #isOutdated(): boolean {
    const signing = this.#bundle?.generation ?? 0n;
    return this.#issued !== undefined && signing > this.#issued.generation && signing > this.#renewedFor;
  }

  #hasExpired(): boolean {
    return this.#issued !== undefined && this.#issued.expireTime <= this.#options.clock.now();
  }

  #backoffMs(tries: number, { first, longest }: { readonly first: number; readonly longest: number }): number {
    return this.#options.random() * Math.min(longest, first * 2 ** (tries - 1));
  }

  /**
   * Waits, and lets the process end meanwhile if nothing else keeps it `alive`. Ends early when the mesh closes, or
   * something is to be done.
   */
  #pause(ms: number, process?: "alive"): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#closing;
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      if (process === undefined) timer.unref();
      this.#interruptPause = end;
      signal.addEventListener("abort", end);
    });
  }
}

/** Takes a certificate over, if it is one of this service and of this key. Throws a JoinError when it is not. */
function accept(issued: IssuedCertificate, service: string, privateKey: string): Certificates {
  const { certificate, trustedCertificates: trusted, generation } = issued;
  const leaf = readCertificate(certificate);
  if (leaf === undefined || trusted.length === 0) throw new JoinError("what was issued is no certificate");
  const workload = workloadOf({ subjectaltname: leaf.subjectAltName });
  if (workload !== service) throw new JoinError(`the certificate is of ${workload}, not of ${service}`);
  if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw new JoinError("the certificate is of another key");
  return { service, certificate, privateKey, trusted, expireTime: new Date(leaf.validTo), generation };
}

/** What was said last decides; of a certificate that is newer than that, its own word counts too. */
function trustedBy(
  { trusted, generation }: Certificates,
  bundle: Pick<TrustBundle, "certificates" | "generation"> | undefined,
): readonly string[] {
  if (bundle === undefined) return trusted;
  if (bundle.generation >= generation) return bundle.certificates;
  return [...new Set([...bundle.certificates, ...trusted])];
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function isCertificate(pem: string): boolean {
  return readCertificate(pem) !== undefined;
}

const finalCodes: ReadonlySet<string> = new Set([
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "INVALID_ARGUMENT",
  "UNIMPLEMENTED",
]);

/** Whether it would end the same way again. */
function isFinal(error: unknown): boolean {
  return error instanceof JoinError || (error instanceof RpcError && finalCodes.has(error.code));
}

function messageOf(error: unknown): string {
  if (error instanceof RpcError) return `${error.message} (${error.reason})`;
  return error instanceof Error ? error.message : String(error);
}
