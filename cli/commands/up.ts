import { OperatorError } from "../operator-error.ts";
import type { Output } from "../output.ts";
import { throwIfInterrupted } from "../run-signal.ts";
import type { Settings } from "../settings.ts";
import { type Shop, startShop } from "../shop.ts";
import { type StopSignals, watchStopSignals } from "../stop-signals.ts";
import { readyBlock } from "./ready-block.ts";

export interface UpOptions {
  readonly settings: Settings;
  readonly output: Output;
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
}

/** Starts the shop and stays until it is told to stop. Throws OperatorError. */
export async function up(options: UpOptions): Promise<void> {
  const signals = watchStopSignals();
  try {
    const shop = await start(options, signals);
    const { address, startedInMs, terminal } = shop;
    terminal.block(readyBlock({ address, startedInMs, dataDir: options.settings.dataDir, paint: terminal.paint }));
    await stay(shop, signals);
  } finally {
    signals.close();
  }
}

// A defect of ours stops the start as a Ctrl-C does, and is what must be told then.
async function start({ settings, output, programsDir }: UpOptions, signals: StopSignals): Promise<Shop> {
  try {
    return await startShop({ ...settings, output, programsDir, signal: signals.stop, hasten: signals.hasten });
  } catch (error) {
    const defect = signals.defect();
    if (defect !== undefined) throw defect;
    // What fails because everything is being stopped is no failure of its own.
    throwIfInterrupted(signals.stop);
    throw error;
  }
}

async function stay(shop: Shop, signals: StopSignals): Promise<void> {
  const reason = await Promise.race([signals.stopped, shop.failed]);
  const failure = reason instanceof OperatorError ? reason : signals.defect();
  if (failure === undefined) shop.terminal.say(`${reason}: stopping; once more to make haste`);
  else shop.terminal.warn(`${failure.message}: stopping everything`);
  await shop.stop();
  shop.terminal.say("stopped");
  if (failure !== undefined) throw failure;
}
