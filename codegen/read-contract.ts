import { type DescFile, type DescMethod, type DescService, isFieldSet } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { type MeshOptions, readPolicy, type WrittenCallers } from "./mesh-options.ts";
import type { Problems } from "./problems.ts";
import type { PackageReasons } from "./reasons.ts";

/** A service as the mesh sees it: what stands in gen/ as its contract. */
export interface ServiceContract {
  readonly name: string;
  readonly owner: string;
  readonly public: boolean;
  readonly methods: readonly MethodContract[];
}

export interface MethodContract {
  readonly desc: DescMethod;
  readonly localName: string;
  readonly request: string;
  readonly idempotency: "NO_SIDE_EFFECTS" | "IDEMPOTENT" | "UNKNOWN";
  readonly deadlineMs: number;
  readonly callers: WrittenCallers;
  readonly hedgeAfterMs: number | undefined;
  readonly errors: PackageReasons;
}

/** A timer holds no more than this; a longer deadline would end at once. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;
const SHOP_PACKAGE = /^shop\.([a-z][a-z0-9]*)\.v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$/;
/** The mesh's own services run in its control plane, but for those in a package of their own process. */
const MESH_PACKAGE = /^mesh(\.([a-z][a-z0-9]*))?\.v[1-9][0-9]*$/;
const MESH_OWNER = "control";
/** Names for which every generator agrees on the spelling in camel case: no two capitals in a row. */
const METHOD_NAME = /^([A-Z][a-z0-9]+)+$/;

/** Whether a file is one of those whose methods must have a policy. */
export function isOurPackage(file: DescFile): boolean {
  const first = file.proto.package.split(".")[0];
  return first === "shop" || first === "mesh";
}

/** Reads the contract of a service; undefined for a service that is not ours, or that has problems. */
export function readContract(
  service: DescService,
  options: MeshOptions,
  reasons: PackageReasons | undefined,
  problems: Problems,
): ServiceContract | undefined {
  if (!isOurPackage(service.file)) {
    refuseForeignPolicies(service, options, problems);
    return undefined;
  }
  const owner = ownerOf(service.file.proto.package);
  if (owner === undefined) problems.add(service, undefined, "is in a package that is not shop.<service>.v<number>");
  if (service.methods.length === 0) problems.add(service, undefined, "has no methods");
  const methods = service.methods.map((method) => readMethod(method, options, reasons, problems));
  const complete = methods.filter((method) => method !== undefined);
  if (owner === undefined || complete.length !== methods.length) return undefined;
  return {
    name: service.typeName,
    owner,
    public: complete.some(({ callers }) => isPublic(callers)),
    methods: complete,
  };
}

function readMethod(
  method: DescMethod,
  options: MeshOptions,
  reasons: PackageReasons | undefined,
  problems: Problems,
): MethodContract | undefined {
  const report = (what: string): void => problems.add(method.parent, method, what);
  if (!METHOD_NAME.test(method.name))
    report("is not named in Pascal case without adjacent capitals, as in GetApiValue");
  const idempotency = idempotencyOf(method);
  if (idempotency === undefined) report("does not set idempotency_level");
  const policy = readPolicy(method, options);
  if (policy === undefined) {
    report("has no option (mesh.v1.method)");
    return undefined;
  }
  const { callers, deadlineMs, hedgeAfterMs } = policy;
  if (callers === undefined || !anybody(callers)) report("names nobody in the callers of its (mesh.v1.method)");
  if (deadlineMs === undefined) report("has no deadline in its (mesh.v1.method)");
  else if (!isDeadline(deadlineMs)) report(`has a deadline that is not between 1 and ${MAX_DEADLINE_MS} whole ms`);
  if (hedgeAfterMs !== undefined && !isHedge(hedgeAfterMs, deadlineMs, idempotency)) {
    report("has a hedge_after that is not whole ms, not below its deadline, or not of a method without side effects");
  }
  if (hedgeAfterMs !== undefined && method.methodKind !== "unary") report("has a hedge_after, and is a stream");
  const errors = readErrors(method, policy.reasons, reasons, problems);
  if (idempotency === undefined || callers === undefined || deadlineMs === undefined) return undefined;
  return {
    desc: method,
    localName: method.name.charAt(0).toLowerCase() + method.name.slice(1),
    request: method.input.typeName,
    idempotency,
    deadlineMs,
    callers,
    hedgeAfterMs,
    errors,
  };
}

/** The codes of the reasons that a method names, in its order. */
function readErrors(
  method: DescMethod,
  names: readonly string[],
  reasons: PackageReasons | undefined,
  problems: Problems,
): PackageReasons {
  const errors = new Map<string, string>();
  for (const name of names) {
    const code = reasons?.get(name);
    if (errors.has(name)) problems.add(method.parent, method, `names the reason ${name} twice`);
    else if (code !== undefined) errors.set(name, code);
    else {
      const packageName = method.parent.file.proto.package;
      problems.add(method.parent, method, `names the reason ${name}, which is not in ${packageName}.ErrorReason`);
    }
  }
  return errors;
}

function refuseForeignPolicies(service: DescService, options: MeshOptions, problems: Problems): void {
  for (const method of service.methods) {
    if (readPolicy(method, options) === undefined) continue;
    problems.add(service, method, "has a policy outside the packages shop and mesh, where nobody enforces it");
  }
}

function ownerOf(packageName: string): string | undefined {
  const mesh = MESH_PACKAGE.exec(packageName);
  return mesh === null ? SHOP_PACKAGE.exec(packageName)?.[1] : (mesh[2] ?? MESH_OWNER);
}

function idempotencyOf(method: DescMethod): MethodContract["idempotency"] | undefined {
  const written = method.proto.options;
  // The zero value can be written too, and then says "not idempotent"; only silence is refused.
  if (written === undefined || !isFieldSet(written, MethodOptionsSchema.field.idempotencyLevel)) return undefined;
  switch (written.idempotencyLevel) {
    case MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS:
      return "NO_SIDE_EFFECTS";
    case MethodOptions_IdempotencyLevel.IDEMPOTENT:
      return "IDEMPOTENT";
    case MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN:
      return "UNKNOWN";
  }
}

function isDeadline(deadlineMs: number): boolean {
  return Number.isInteger(deadlineMs) && deadlineMs >= 1 && deadlineMs <= MAX_DEADLINE_MS;
}

function isHedge(afterMs: number, deadlineMs: number | undefined, idempotency: string | undefined): boolean {
  return isDeadline(afterMs) && afterMs < (deadlineMs ?? 0) && idempotency === "NO_SIDE_EFFECTS";
}

function isPublic(callers: WrittenCallers): boolean {
  return callers.anonymous || callers.guest || callers.customer || callers.roles.length > 0;
}

function anybody(callers: WrittenCallers): boolean {
  return isPublic(callers) || callers.services.length > 0 || callers.workloads || callers.joining;
}
