// How long a change of the mesh takes to be known: from a server's wish to be registered, through the control plane, to
// every process that watches, and to the first call that each of them has answered by the new instance; and from an
// instance's wish to leave to the moment when nobody calls it any more. Everything runs in this one process, so all sides
// share one core: more processors make it faster, not slower.
//
//   node --import tsx bench/push-latency.ts [rounds] [watchers]
import { performance } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Cluster } from "#mesh/discovery/endpoints.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { ProbeService, probeRequest, probeResponse } from "#mesh/rpc/probe.fixture.ts";
import { quantile, table } from "../e2e/support/figures.ts";
import { startMembers } from "../services/control/testing/members.ts";

const [rounds = 200, watchers = 8] = process.argv.slice(2).map(Number);

interface Watcher {
  /** Resolves when so many instances are known, with the moment at which they were. */
  known(count: number): Promise<number>;
  /** Resolves when a call was answered, with the moment. */
  called(): Promise<number>;
}

function watch(node: MeshNode): Watcher {
  const probe = node.client(ProbeService);
  let count = 0;
  let waiting: { readonly count: number; readonly tell: (atMs: number) => void } | undefined;
  node.endpoints.watch("probe", ({ endpoints }: Cluster) => {
    count = endpoints.length;
    if (waiting?.count === count) waiting.tell(performance.now());
  });
  return {
    known: (wanted) =>
      new Promise((tell) => {
        if (count === wanted) tell(performance.now());
        else waiting = { count: wanted, tell };
      }),
    async called() {
      await nextTurn(); // this was told before the channel was
      const call = node.background({ name: "bench", timeoutMs: 10_000 });
      await probe.read(probeRequest(), call);
      call.done();
      return performance.now();
    },
  };
}

const members = await startMembers();
const server = await members.serveUnknown({ read: async () => probeResponse() });
const all = Array.from({ length: watchers }, (_, i) => watch(members.node("gateway", `gateway-${i + 1}`)));
const known: number[] = [];
const called: number[] = [];
const left: number[] = [];
for (let round = 0; round < rounds; round++) {
  await Promise.all(all.map((watcher) => watcher.known(0)));
  const startedAtMs = performance.now();
  const registration = members.node("probe", `probe-${round}`).register(server.port);
  await Promise.all(
    all.map(async (watcher) => {
      known.push((await watcher.known(1)) - startedAtMs);
      called.push((await watcher.called()) - startedAtMs);
    }),
  );
  const leavingAtMs = performance.now();
  await registration.leave();
  left.push(performance.now() - leavingAtMs);
  registration.close();
}
await members.close();

const row = (name: string, values: readonly number[]): string[] => [
  name,
  String(values.length),
  ...[0.5, 0.99, 1].map((part) => quantile(values, part).toFixed(1)),
];
console.log(`${rounds} rounds, ${watchers} watchers, one process\n`);
console.log(
  table(
    ["in ms", "n", "p50", "p99", "max"],
    [
      row("register → known to a watcher", known),
      row("register → first call answered", called),
      row("leave → nobody calls any more", left),
    ],
  ),
);
