import { OperatorError } from "../operator-error.ts";

const least = [20, 19] as const;

/** Checks that this Node.js can run the shop. Throws OperatorError. */
export function checkNodeVersion(version: string = process.versions.node): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > least[0] || (major === least[0] && minor >= least[1])) return;
  throw new OperatorError(`Shopmesh needs Node.js ${least.join(".")} or later, and this is ${version}`);
}
