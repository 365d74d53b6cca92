// PostgreSQL as services use it. Import from here; the other files are its parts.
export { type Database, type DatabaseOptions, openDatabase, type Queryable } from "./database.ts";
export { isCheckViolation, isSerializationFailure, isUniqueViolation } from "./errors.ts";
export { ONCE_RETENTION_MS } from "./limits.ts";
export { migrate } from "./migrate.ts";
export { type OnceCall, once, principalOf, sweepOnce } from "./once.ts";
export { startOnceSweep } from "./once-sweep.ts";
export type { Transaction, TransactionOptions } from "./transaction.ts";
