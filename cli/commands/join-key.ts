import { contracts } from "#gen/contracts.ts";
import { deriveJoinKey } from "#mesh/identity/join-token.ts";
import { dataFolder } from "../data/folder.ts";
import { readSecrets } from "../data/secrets.ts";
import { type Command, oneOperand } from "../invocation.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import { closest } from "../suggest.ts";
import { readName } from "../values.ts";

/** Prints the key with which processes of one service join the mesh where no supervisor starts them. A secret. */
export const joinKey: Command = {
  operands: "<service>",
  async run(invocation) {
    const service = readName(oneOperand(invocation));
    const { settings, context } = invocation;
    const secret = readSecrets(dataFolder(settings.dataDir).secretsFile).joinSecret;
    if (secret === undefined) {
      throw new OperatorError(`${settings.dataDir} has no join secret yet; start the shop once, with npm start`);
    }
    const guess = closest(service, known);
    if (!known.includes(service)) {
      const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
      context.errors.write(`shopmesh: no contract knows of a service "${service}"${hint}\n`);
    }
    context.output.write(`${deriveJoinKey(secret, service)}\n`);
    return exitCodes.ok;
  },
};

// Whoever serves a contract, and whoever a contract lets call; one that is new may be none of them.
const known: readonly string[] = [
  ...new Set([
    ...contracts.map(({ owner }) => owner),
    ...contracts.flatMap(({ methods }) => Object.values(methods).flatMap(({ callers }) => callers.services)),
    "gateway",
  ]),
];
