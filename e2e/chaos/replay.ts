import type { Buyer } from "../support/buyer.ts";
import { CallFailure } from "../support/wire.ts";
import type { Progress } from "./progress.ts";
import type { BuyersRecord } from "./record.ts";
import { tryHard } from "./try-hard.ts";

const concurrency = 8;

/** Every buyer asks once more for everything they were ever told of, and the answers are recorded. */
export async function replayAll(parts: {
  readonly buyers: readonly Buyer[];
  readonly record: BuyersRecord;
  readonly progress: Progress;
}): Promise<void> {
  const { buyers, record, progress } = parts;
  const count = progress.event;
  for (const buyer of buyers) await tryHard({ count }, () => buyer.refresh());
  const requests = record.answeredRequests();
  const queue = requests.values();
  let done = 0;
  progress.begin(() => `asked again: ${done} of ${requests.length}`);
  const worker = async (): Promise<void> => {
    for (const { buyer, request } of queue) {
      try {
        record.answered(request, await buyer.place(request));
      } catch (error) {
        if (!(error instanceof CallFailure)) throw error;
        if (!record.failed(request, error)) count(`a replay failed: ${error.code} ${error.reason}`);
      }
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
