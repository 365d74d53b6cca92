/** A process of its own that shops, so that neither its work nor its memory is taken for the shop's. */
import { setTimeout as delay } from "node:timers/promises";
import type { LoadMessage, LoadPlan } from "./load-plan.ts";
import { createRecorder } from "./recorder.ts";
import { createShopper } from "./shopper.ts";

process.once("disconnect", () => process.exit(1));
process.once("message", (plan: LoadPlan) => {
  void load(plan).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function load(plan: LoadPlan): Promise<void> {
  const recorder = createRecorder(plan);
  const shoppers = await Promise.all(
    Array.from({ length: plan.shoppers }, (_, index) => createShopper(plan, index, recorder)),
  );
  const runs = Promise.all(shoppers.map((shopper) => shopper.run()));
  await Promise.race([tellWindow(recorder), runs]);
  await runs;
  const { beginTimeMs, endTimeMs, latenciesMs, failures } = recorder;
  await tell({
    kind: "finished",
    result: {
      beginTimeMs,
      endTimeMs,
      latenciesMs,
      failures,
      accepted: shoppers.flatMap(({ accepted }) => accepted),
      customerIds: shoppers.map(({ customerId }) => customerId),
    },
  });
  for (const shopper of shoppers) shopper.close();
}

async function tellWindow(recorder: ReturnType<typeof createRecorder>): Promise<void> {
  await delay(recorder.beginTimeMs - recorder.now());
  await tell({ kind: "window-begins" });
  await delay(recorder.endTimeMs - recorder.now());
  await tell({ kind: "window-ends" });
}

function tell(message: LoadMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}
