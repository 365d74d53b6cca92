import { randomUUID } from "node:crypto";
import type { HeaderMatch, VersionWeight } from "#gen/mesh/v1/discovery_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { askQuickly } from "../ask.ts";
import type { Command, Invocation } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { badUsage } from "../usage-error.ts";
import { readHeader, readName, readPercent, readSpan, readVersion, toDuration } from "../values.ts";
import { expectRegistered } from "./registered.ts";
import { describeRest, describeSplit } from "./rule-text.ts";
import { listRules } from "./rules.ts";
import { withMesh } from "./running-shop.ts";

/** Splits the calls to a service between its versions, or ends that. */
export const split: Command = {
  operands: "<service> <version>=<per cent> … | <service> --clear",
  options: ["header", "for", "clear"],
  run(invocation) {
    const [operand, ...shares] = invocation.operands;
    const { clear, header, for: lasts } = invocation.values;
    if (operand === undefined) throw invocation.misused();
    const service = readName(operand);
    if (clear !== true) return setSplit(service, shares.map(readWeight), invocation);
    if (shares.length > 0 || header !== undefined || lasts !== undefined) throw invocation.misused();
    return clearSplit(service, invocation);
  },
};

async function setSplit(service: string, weights: readonly VersionWeight[], invocation: Invocation): Promise<number> {
  const { header = [], for: lasts } = invocation.values;
  const sum = weights.reduce((total, { percent }) => total + percent, 0);
  if (sum !== 100) throw badUsage(`the shares of ${service}'s versions must sum to 100, not to ${sum}`);
  const request = {
    requestId: `split-${randomUUID()}`,
    service,
    split: { weights, headerMatches: header.map(readHeaderMatch) },
    timeToLive: lasts === undefined ? undefined : toDuration(readSpan("--for", lasts)),
  };
  return withMesh(invocation, async (mesh) => {
    await expectRegistered(mesh, service);
    const { rule } = await askQuickly(mesh, `calls to ${service} can't be split`, (call) =>
      mesh.client(TrafficService).setTrafficSplit(request, call),
    );
    const rest = rule === undefined ? "" : `, ${describeRest(rule, systemClock.now().getTime())}`;
    invocation.context.output.write(`calls to ${service}: ${describeSplit(request.split)}${rest}\n`);
    return exitCodes.ok;
  });
}

async function clearSplit(service: string, invocation: Invocation): Promise<number> {
  return withMesh(invocation, async (mesh) => {
    const isSplit = (await listRules(mesh)).some((rule) => rule.service === service && rule.effect?.$case === "split");
    // One that has a split may have no instance just now.
    if (!isSplit) await expectRegistered(mesh, service);
    const request = { requestId: `split-${randomUUID()}`, service };
    await askQuickly(mesh, `the split of ${service} can't be ended`, (call) =>
      mesh.client(TrafficService).clearTrafficSplit(request, call),
    );
    invocation.context.output.write(`calls to ${service} are not split any more\n`);
    return exitCodes.ok;
  });
}

function readWeight(text: string): VersionWeight {
  const [version = "", percent, ...more] = text.split("=");
  if (percent === undefined || more.length > 0) throw badUsage(`"${text}" must look like v2=10`);
  return { version: readVersion(version), percent: readPercent(percent, 0) };
}

function readHeaderMatch(text: string): HeaderMatch {
  const colon = text.lastIndexOf(":");
  if (colon < 0) throw badUsage(`--header must look like x-canary=1:v2, not "${text}"`);
  return { ...readHeader(text.slice(0, colon)), version: readVersion(text.slice(colon + 1)) };
}
