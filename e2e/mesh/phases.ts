import { setTimeout as delay } from "node:timers/promises";
import type { BrokenPrograms } from "./broken-programs.ts";
import type { ControlDesk } from "./control-desk.ts";

/** Something that is done to a shop while people shop. */
export interface Phase {
  readonly what: string;
  readonly kind: PhaseKind;
  /** Carries it out. What the shoppers meet counts from `enter` on. Resolves with what else is to be told. */
  run(desk: ControlDesk, enter: () => void): Promise<string | undefined>;
}

/**
 * `planned`: nobody may notice. `crash`: whoever sends again what may be sent again may not notice. `defect`: what the
 * shoppers meet is told, and held against nobody.
 */
export type PhaseKind = "planned" | "crash" | "defect";

/** A service scaled from one instance to so many and back. */
export function scaled(service: string, count: number, holdMs: number): Phase {
  return {
    what: `${service} scaled 1→${count}→1`,
    kind: "planned",
    async run(desk, enter) {
      enter();
      await desk.scale(service, count);
      await delay(holdMs);
      await desk.scale(service, 1);
      await delay(holdMs);
      return undefined;
    },
  };
}

/** The same program rolled out under another name. */
export function rolledOut(service: string, holdMs: number): Phase {
  return {
    what: `${service} rolled out`,
    kind: "planned",
    async run(desk, enter) {
      enter();
      const { finished, steps } = await desk.rollout(service, { version: `${service}-next`, programsDir: "" });
      if (!finished) throw new Error(`it did not finish:\n${steps.join("\n")}`);
      await delay(holdMs);
      return undefined;
    },
  };
}

/** One of two instances killed, without any order. */
export function killed(service: string, holdMs: number): Phase {
  return {
    what: `${service} kill -9, one of 2`,
    kind: "crash",
    async run(desk, enter) {
      await desk.scale(service, 2);
      const victim = (await desk.processes()).find((process) => process.service === service)?.name;
      if (victim === undefined) throw new Error(`there is no process of ${service}`);
      // Until it is known everywhere and has its share.
      await delay(holdMs);
      enter();
      await desk.killAndAwait(victim);
      await delay(holdMs);
      await desk.scale(service, 1);
      return undefined;
    },
  };
}

const roomyServices = ["catalog", "inventory", "cart", "payments", "orders", "gateway"] as const;
/** With so many instances, all of them at once would be felt. */
const manyInstances = 12;
const leastSpreadMs = 200;

/** Control killed while there are many instances, which come back to it each in its own time. */
export function controlKilled(holdMs: number, services: readonly string[] = roomyServices): Phase {
  return {
    what: "control kill -9, restarted",
    kind: "planned",
    async run(desk, enter) {
      for (const service of services) await desk.scale(service, 2);
      enter();
      await desk.killAndAwait("control");
      const times = await desk.registered();
      await delay(holdMs);
      for (const service of services) await desk.scale(service, 1);
      const spreadMs = Math.max(...times) - Math.min(...times);
      const told = `${times.length} instances came back within ${spreadMs.toFixed(0)} ms of each other`;
      if (times.length >= manyInstances && spreadMs < leastSpreadMs) throw new Error(`as a herd: ${told}`);
      return told;
    },
  };
}

/** Control stopped for so long, and after that an instance killed, which has to join anew. */
export function controlAway({
  service,
  awayMs,
  holdMs,
}: {
  readonly service: string;
  readonly awayMs: number;
  readonly holdMs: number;
}): Phase {
  return {
    what: `control paused for ${awayMs / 1_000} s, then ${service} kill -9`,
    kind: "crash",
    async run(desk, enter) {
      await desk.scale(service, 2);
      await delay(holdMs);
      enter();
      await desk.signal("control", "SIGSTOP");
      await delay(awayMs).finally(() => desk.signal("control", "SIGCONT"));
      await desk.registered();
      const victim = (await desk.processes()).find((process) => process.service === service)?.name ?? "";
      await desk.killAndAwait(victim);
      await desk.registered();
      await delay(holdMs);
      await desk.scale(service, 1);
      return undefined;
    },
  };
}

/** Control stopped for so long. */
export function controlPaused(awayMs: number, holdMs: number): Phase {
  return {
    what: `control paused for ${awayMs / 1_000} s`,
    kind: "planned",
    async run(desk, enter) {
      enter();
      await desk.signal("control", "SIGSTOP");
      await delay(awayMs).finally(() => desk.signal("control", "SIGCONT"));
      await desk.registered();
      await delay(holdMs);
      return undefined;
    },
  };
}

/** A build that crashes at its start, and one that fails every call: both go back by themselves. */
export function wentBack({ crashing, failing }: BrokenPrograms, holdMs: number): readonly Phase[] {
  const phase = (what: string, kind: PhaseKind, version: string, programsDir: string): Phase => ({
    what: `catalog rolled out, ${what}`,
    kind,
    async run(desk, enter) {
      enter();
      const { finished, steps } = await desk.rollout("catalog", { version, programsDir });
      if (finished) throw new Error("the rollout finished");
      await delay(holdMs);
      const now = (await desk.processes()).filter(({ service }) => service === "catalog");
      if (now.length !== 1 || now.some((process) => process.version === version)) {
        throw new Error(`left: ${now.map((process) => `${process.name} ${process.version}`).join(", ")}`);
      }
      return steps.at(-1);
    },
  });
  return [
    phase("a build that crashes", "planned", "crashing", crashing),
    phase("a build that fails all", "defect", "failing", failing),
  ];
}
