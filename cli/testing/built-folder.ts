import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const servicesWithData: readonly string[] = [
  "cart",
  "catalog",
  "identity",
  "inventory",
  "notifications",
  "orders",
  "payments",
  "shipping",
];

/** A folder like `dist/`, with programs that say nothing. */
export interface BuiltFolder {
  readonly dir: string;
  readonly programsDir: URL;
  /** Writes the program of a service, in place of the one there was. */
  write(service: string, source: string): void;
  remove(): void;
}

/** All services of the shop, one that keeps no data (`greeter`), and a folder beside them that is no program. */
export function builtFolder(): BuiltFolder {
  const dir = mkdtempSync(join(tmpdir(), "shopmesh-built-"));
  const write = (path: string, source: string): void => {
    mkdirSync(join(dir, path), { recursive: true });
    writeFileSync(join(dir, path, "main.js"), source);
  };
  for (const name of servicesWithData) {
    mkdirSync(join(dir, "services", name, "migrations"), { recursive: true });
    writeFileSync(join(dir, "services", name, "migrations", "0001_init.sql"), "select 1;");
  }
  mkdirSync(join(dir, "services", "notes"), { recursive: true });
  for (const name of [...servicesWithData, "control", "gateway", "greeter"]) write(`services/${name}`, "");
  for (const name of ["payment-gateway", "mailbox"]) write(`simulators/${name}`, "");
  return {
    dir,
    programsDir: pathToFileURL(`${dir}/`),
    write: (service, source) => write(`services/${service}`, source),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
