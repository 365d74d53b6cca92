/** What becomes of one message: when it arrives, again if it has copies, and what becomes of the answer. */
export interface FateOfMessage {
  /** None: it never arrives, and the sender learns that the connection broke. */
  readonly deliveriesMs: readonly number[];
  /** `lost`: the sender learns that the connection broke. `never`: it learns nothing. */
  readonly answerMs: number | "lost" | "never";
}

export type Fate =
  | "prompt"
  | "not sent"
  | "answer lost"
  | "no answer"
  | "slow there"
  | "slow back"
  | "twice"
  | "again much later"
  | "late"
  | "much later";

/** The first is the simplest, to which schedules shrink. `late` is after every deadline, the last after most leases too. */
export const fates: Readonly<Record<Fate, FateOfMessage>> = {
  prompt: { deliveriesMs: [1], answerMs: 1 },
  "not sent": { deliveriesMs: [], answerMs: "lost" },
  "answer lost": { deliveriesMs: [1], answerMs: "lost" },
  "no answer": { deliveriesMs: [1], answerMs: "never" },
  "slow there": { deliveriesMs: [1_500], answerMs: 1 },
  "slow back": { deliveriesMs: [1], answerMs: 3_500 },
  twice: { deliveriesMs: [1, 4], answerMs: 1 },
  "again much later": { deliveriesMs: [1, 55_000], answerMs: 1 },
  late: { deliveriesMs: [12_000], answerMs: 1 },
  "much later": { deliveriesMs: [50_000], answerMs: 1 },
};
