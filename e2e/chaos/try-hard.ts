import { insist } from "../support/insist.ts";
import { CallFailure } from "../support/wire.ts";

const maxTries = 30;

/** Does the same again until it succeeds; undefined when the shop refuses it for good, or patience is at its end. */
export async function tryHard<Result>(
  { count }: { readonly count: (what: string) => void },
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  const onFailure = ({ method, code, reason }: CallFailure): void => count(`${method} ${code} ${reason}`.trim());
  try {
    return await insist(work, { tries: maxTries, onFailure });
  } catch (error) {
    if (error instanceof CallFailure) return undefined;
    throw error;
  }
}
