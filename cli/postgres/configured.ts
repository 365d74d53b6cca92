/**
 * The PostgreSQL server of the user's own that SHOPMESH_POSTGRES_URL names, or undefined for the embedded one. Throws
 * one line when it is no URL of a PostgreSQL server. The message leaves out the value, which holds a password.
 */
export function configuredPostgresUrl(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const value = env.SHOPMESH_POSTGRES_URL;
  if (value === undefined || value === "") return undefined;
  const protocol = URL.canParse(value) ? new URL(value).protocol : "";
  if (protocol !== "postgres:" && protocol !== "postgresql:") {
    throw new Error("SHOPMESH_POSTGRES_URL must look like postgres://user:password@host:5432/postgres");
  }
  return value;
}
