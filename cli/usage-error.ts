import { exitCodes, OperatorError } from "./operator-error.ts";
import { didYouMean } from "./suggest.ts";

/** The command was asked wrongly: exit code 2. */
export function badUsage(message: string): OperatorError {
  return new OperatorError(message, { exitCode: exitCodes.usage });
}

/** A name that is none of those there are: exit code 2, with the one that was probably meant. */
export function unknownName(what: string, name: string, known: readonly string[]): OperatorError {
  return badUsage(`there is no ${what} "${name}"${didYouMean(name, known)}`);
}
