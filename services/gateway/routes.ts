import type { Contract, Idempotency } from "#mesh/contract/contract.ts";

/** What of a contract routing reads. */
export type RoutedContract = Pick<Contract, "name" | "owner" | "public"> & {
  readonly definition: Readonly<Record<string, { readonly path: string }>>;
  readonly methods: Readonly<Record<string, { readonly deadlineMs: number; readonly idempotency: Idempotency }>>;
};

/** Where a call goes. */
export interface Route {
  /** The full name of the service. */
  readonly service: string;
  /** Who serves it: a folder of `services/`, or `LOCAL_OWNER`. */
  readonly owner: string;
  /** How long the call may take at most, as the contract says; undefined where it says nothing. */
  readonly deadlineMs: number | undefined;
  /** Whether the contract says that the call may happen twice. */
  readonly repeatable: boolean;
}

export interface Routes {
  /** The route of a `:path`, or undefined when nothing public has that name. */
  find(path: string): Route | undefined;
  /** Full names of all public services. */
  readonly services: readonly string[];
  /** The owners of public services, each once. */
  readonly owners: readonly string[];
  /** The owner of a public service. */
  ownerOf(service: string): string | undefined;
}

/** What the gateway process answers itself. No folder can have this name. */
export const LOCAL_OWNER = "(gateway)";

/** Routes the public ones of `contracts`, and the `local` services (full names) to `LOCAL_OWNER`. */
export function createRoutes(contracts: readonly RoutedContract[], local: readonly string[]): Routes {
  const open = contracts.filter((contract) => contract.public);
  const byPath = new Map<string, Route>();
  const byService = new Map<string, Route>();
  for (const { name, owner, definition, methods } of open) {
    const unknown = { service: name, owner, deadlineMs: undefined, repeatable: false };
    byService.set(name, unknown);
    for (const [key, { path }] of Object.entries(definition)) {
      const method = methods[key];
      if (method === undefined) continue;
      const { deadlineMs, idempotency } = method;
      byPath.set(path, { ...unknown, deadlineMs, repeatable: idempotency !== "UNKNOWN" });
    }
  }
  for (const name of local) {
    byService.set(name, { service: name, owner: LOCAL_OWNER, deadlineMs: undefined, repeatable: false });
  }
  return {
    // A method that the contract doesn't have goes to its service all the same: a newer one may know it.
    find: (path) => byPath.get(path) ?? byService.get(serviceOf(path)),
    services: open.map(({ name }) => name),
    owners: [...new Set(open.map(({ owner }) => owner))],
    ownerOf: (service) => byService.get(service)?.owner,
  };
}

/** The service in a `:path` of the form `/service/method`, or "" when it has another form. */
export function serviceOf(path: string): string {
  const slash = path.indexOf("/", 1);
  const wellFormed = path.startsWith("/") && slash > 1 && slash < path.length - 1 && path.indexOf("/", slash + 1) < 0;
  return wellFormed ? path.slice(1, slash) : "";
}
