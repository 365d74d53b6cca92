import { ConfigError } from "#mesh/config.ts";

/** The public port. 0 takes any free one. Throws a `ConfigError` for what is none. */
export function parsePort(value: string): number {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port > 65_535) {
    throw new ConfigError(`SHOPMESH_PORT must be a number from 0 to 65535, not ${JSON.stringify(value)}`);
  }
  return port;
}

/** Whether the parent of this process holds the public socket and hands it over. Throws a `ConfigError` for another word. */
export function isHanded(value: string): boolean {
  if (value !== "own" && value !== "handed") {
    throw new ConfigError(`SHOPMESH_PUBLIC_SOCKET must be own or handed, not ${JSON.stringify(value)}`);
  }
  return value === "handed";
}

/** Why the gateway did not start, in one line, with what to do about it where that is known. */
export function explainStartFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const where = `${String(Reflect.get(error, "address"))}:${String(Reflect.get(error, "port"))}`;
  switch (Reflect.get(error, "code")) {
    case "EADDRINUSE":
      return `the address ${where} is in use; stop what listens there, or set SHOPMESH_PORT to another port`;
    case "EACCES":
      return `listening on ${where} is not permitted; set SHOPMESH_PORT to a port above 1023`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `this machine has no address for ${where}; set SHOPMESH_PUBLIC_HOST to one it has`;
    default:
      return error.message;
  }
}
