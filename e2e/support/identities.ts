import { setTimeout as delay } from "node:timers/promises";
import { type CertificateSource, createCertificateHolder } from "#mesh/identity/certificates.ts";
import type { DataFolder } from "../../cli/data/folder.ts";
import { readRunState } from "../../cli/data/run-file.ts";
import { meshOf } from "../../cli/operator-client.ts";

/** Certificates of the workloads of a shop, for what stands between its processes and passes for them. */
export interface Identities {
  /** Those of a workload, as soon as the shop's control gives them out. */
  of(workload: string): CertificateSource;
  close(): void;
}

const pollMs = 50;
const joinTimeoutMs = 60_000;

/** Joins with the join secret in the data folder of a shop that is about to be started. */
export function createIdentities(folder: DataFolder): Identities {
  const sources = new Map<string, CertificateSource>();
  const closing = new AbortController();

  const join = async (workload: string, put: Parameters<CertificateSource["watch"]>[0]): Promise<void> => {
    let run = await readRunState(folder);
    while (run === undefined && !closing.signal.aborted) {
      await delay(pollMs, undefined, { signal: closing.signal }).catch(() => undefined);
      run = await readRunState(folder);
    }
    if (run === undefined) return;
    const mesh = meshOf(workload, run, folder, joinTimeoutMs);
    mesh.certificates.watch(put);
    closing.signal.addEventListener("abort", () => mesh.close());
  };

  return {
    of(workload) {
      const known = sources.get(workload);
      if (known !== undefined) return known;
      const holder = createCertificateHolder();
      sources.set(workload, holder);
      void join(workload, holder.put);
      return holder;
    },
    close: () => closing.abort(),
  };
}
