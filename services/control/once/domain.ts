/** How long an answer is remembered. */
const REMEMBER_MS = 7 * 24 * 60 * 60_000;
/** How many answers are remembered; the oldest go first. */
const MAX_REMEMBERED = 1_000;

/** Whose request it is, and which: ids of different callers and methods never meet. */
export interface RequestKey {
  readonly method: string;
  readonly caller: string;
  readonly requestId: string;
}

/** The answer to a request that had its effect. */
export interface Remembered extends RequestKey {
  /** The SHA-256 of the request, in hex. */
  readonly requestHash: string;
  /** The bytes of the answer, in base64. */
  readonly answer: string;
  readonly time: Date;
}

export type Memory = readonly Remembered[];

/** What is remembered of a request. */
export function recall(memory: Memory, { method, caller, requestId }: RequestKey): Remembered | undefined {
  return memory.find((one) => one.requestId === requestId && one.caller === caller && one.method === method);
}

/** Adds an answer, and forgets what is too old or too much. */
export function remember(memory: Memory, answer: Remembered): Memory {
  const oldest = answer.time.getTime() - REMEMBER_MS;
  const kept = memory.filter(({ time }) => time.getTime() > oldest);
  return [...kept, answer].slice(-MAX_REMEMBERED);
}
