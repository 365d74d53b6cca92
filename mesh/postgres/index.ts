// PostgreSQL as services use it. Import from here; the other files are its parts.
export { type Database, type Opened, openDatabase, type Queryable } from "./database.ts";
export { erasePersonalData, type PersonalPlace, storedAnswers } from "./erasure.ts";
export { isCheckViolation, isUniqueViolation } from "./errors.ts";
export { migrate } from "./migrate.ts";
export { type OnceTransaction, once, principalOf, requestIdReused } from "./once.ts";
export { startOnceSweep } from "./once-sweep.ts";
export { expectSameRequest, type RequestKey, requestKeyOf, runChange } from "./request-keys.ts";
export { sealingKey } from "./sealing-key.ts";
export type { OwnTransaction, Transaction, TransactionOptions } from "./transaction.ts";
