import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import {
  type CertificateHolder,
  type CertificateSource,
  createCertificateHolder,
} from "#mesh/identity/certificates.ts";
import { type KeptState, keepState } from "../files/kept-state.ts";
import { StateFileError, writeWhole } from "../files/state-file.ts";
import { AUTHORITY_FILE, authorityFile, WITHOUT_AUTHORITY } from "./authority-file.ts";
import {
  type Authorities,
  type Authority,
  advance,
  firstAuthority,
  hasBegun,
  introduce,
  isRotating,
  nextGeneration,
  type Rotation,
  signingAuthority,
  withLifetime,
} from "./domain.ts";
import { type Leaf, makeAuthority, signLeaf, type UsableKey, usableKey } from "./issuer.ts";

export interface AuthorityOptions {
  /** The folder of the state files. */
  readonly folder: string;
  readonly clock: Clock;
  /** How long a certificate is good for. */
  readonly lifetimeMs: number;
  /** Is told that others are to be trusted, or that another one signs. */
  readonly onChange: () => void;
  /** Whether all watchers have acknowledged the authorities as they are. */
  readonly isKnown: () => boolean;
  readonly log: Pick<Logger, "info" | "error">;
}

/** A certificate, and what it is trusted by. */
export interface Issued extends Leaf {
  /** PEM. */
  readonly trusted: readonly string[];
  readonly generation: number;
}

/** The authority of a mesh: signs certificates, and is itself replaced without a stop. */
export interface MeshAuthority {
  /** All that are trusted, the oldest first. */
  list(): readonly Authority[];
  /** The generation that signs. */
  readonly generation: number;
  /** Certifies a key for a service. */
  issue(service: string, publicKey: UsableKey): Promise<Issued>;
  /** Begins a rotation, unless this request has begun one. False when another one is under way. */
  rotate(by: Omit<Rotation, "generation">): Promise<boolean>;
  /** Takes what steps are due: of a rotation, and of renewing the control plane's own certificate. */
  tick(): Promise<void>;
  /** The control plane's own certificate. */
  readonly certificates: CertificateSource;
}

/** The control plane's own workload. */
const CONTROL = "control";
/** What is believed by those who join. */
const TRUST_FILE = "trust.pem";
const TRUST_FILE_MODE = 0o644;

/** Opens the authority that is kept in a folder; makes the first one when there is none. */
export async function openAuthority(options: AuthorityOptions): Promise<MeshAuthority> {
  const { folder, clock, lifetimeMs } = options;
  const file = authorityFile(folder);
  const known = await file.read();
  const trustFile = join(folder, TRUST_FILE);
  if (known === undefined && existsSync(trustFile)) {
    const advice = `put back a copy of it, or remove ${trustFile} as well: ${WITHOUT_AUTHORITY}`;
    throw new StateFileError(`${folder} has no ${AUTHORITY_FILE} any more; ${advice}`);
  }
  const first = withLifetime(known ?? firstAuthority(await makeAuthority(1, clock.now()), lifetimeMs), lifetimeMs);
  if (first !== known) await file.write(first);
  const overloaded = (): Error => meshFailure("OVERLOADED", "too many changes at once", { retryDelayMs: 1_000 });
  const authority = new KeptAuthority(options, keepState(file, first, overloaded));
  await authority.begin();
  return authority;
}

class KeptAuthority implements MeshAuthority {
  readonly #options: AuthorityOptions;
  readonly #kept: KeptState<Authorities>;
  readonly #holder: CertificateHolder = createCertificateHolder();
  readonly #startTime: Date;
  /** The authorities that stand where those who join look, and under which our own certificate is. */
  #inPlace: Authorities | undefined;

  constructor(options: AuthorityOptions, kept: KeptState<Authorities>) {
    this.#options = options;
    this.#kept = kept;
    this.#startTime = options.clock.now();
  }

  get certificates(): CertificateSource {
    return this.#holder;
  }

  get generation(): number {
    return signingAuthority(this.#kept.value).generation;
  }

  list(): readonly Authority[] {
    return this.#kept.value.trusted;
  }

  /** Control can do without a written `trust.pem`, which `tick` tries again, but not without its own certificate. */
  async begin(): Promise<void> {
    try {
      await this.#putInPlace();
    } catch (error) {
      if (this.#holder.current() === undefined) await this.#renewOwn();
      this.#options.log.error({ err: error }, "trust.pem could not be written; trying again");
    }
  }

  async issue(service: string, publicKey: UsableKey): Promise<Issued> {
    const { clock, lifetimeMs } = this.#options;
    const signing = signingAuthority(this.#kept.value);
    const trusted = this.list().map(({ certificate }) => certificate);
    const leaf = await signLeaf(signing, { service, publicKey, now: clock.now(), lifetimeMs });
    return { ...leaf, trusted, generation: signing.generation };
  }

  async rotate(by: Omit<Rotation, "generation">): Promise<boolean> {
    if (hasBegun(this.#kept.value, by)) return true;
    if (isRotating(this.#kept.value)) return false;
    const key = await makeAuthority(nextGeneration(this.#kept.value), this.#options.clock.now());
    const { begun, mine } = await this.#kept.change((authorities) => {
      const before = hasBegun(authorities, by);
      if (before || isRotating(authorities)) return { next: authorities, result: { begun: before, mine: false } };
      return { next: introduce(authorities, key, by), result: { begun: true, mine: true } };
    });
    if (mine) await this.#apply();
    return begun;
  }

  async tick(): Promise<void> {
    const { clock, lifetimeMs, isKnown } = this.#options;
    const progress = { now: clock.now(), toldSince: this.#startTime, isKnown: isKnown(), lifetimeMs };
    const isChanged = await this.#kept.change((authorities) => {
      const next = advance(authorities, progress);
      return { next, result: next !== authorities };
    });
    if (isChanged) await this.#apply();
    // The disk did not take it then.
    else if (this.#inPlace !== this.#kept.value) await this.#putInPlace();
    else if (this.#isOwnOld(clock.now())) await this.#renewOwn();
  }

  /** Brings a change of the authorities, which is on disk, to where it is looked for; first to those who listen. */
  async #apply(): Promise<void> {
    const states = this.list().map(({ generation, state }) => `${generation} ${state}`);
    this.#options.log.info({ authorities: states }, "other authorities are trusted, or another one signs");
    this.#options.onChange();
    await this.#putInPlace();
  }

  async #putInPlace(): Promise<void> {
    const authorities = this.#kept.value;
    await this.#writeTrust();
    await this.#renewOwn();
    this.#inPlace = authorities;
  }

  /** For those who join: they read it each time. */
  async #writeTrust(): Promise<void> {
    const text = this.list().map(({ certificate }) => certificate);
    await writeWhole(join(this.#options.folder, TRUST_FILE), text.join(""), TRUST_FILE_MODE);
  }

  /** At half its life. */
  #isOwnOld(now: Date): boolean {
    const expireTime = this.#holder.current()?.expireTime;
    return expireTime === undefined || expireTime.getTime() - now.getTime() < this.#options.lifetimeMs / 2;
  }

  async #renewOwn(): Promise<void> {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = usableKey(publicKey.export({ type: "spki", format: "der" }));
    if (key === undefined) throw new Error("a key that was made here on P-256 is none");
    const { certificate, expireTime, trusted, generation } = await this.issue(CONTROL, key);
    this.#holder.put({
      service: CONTROL,
      certificate,
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      trusted,
      expireTime,
      generation: BigInt(generation),
    });
  }
}
