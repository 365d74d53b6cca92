import type { DescService } from "@bufbuild/protobuf";
import type { GeneratedFile } from "@bufbuild/protoplugin";
import type { MethodContract, ServiceContract } from "./read-contract.ts";
import type { PackageReasons } from "./reasons.ts";

/** Prints `export const XService = {…} as const`. Comments go along, so that an editor shows them at a typed client. */
export function printContract(out: GeneratedFile, service: DescService, contract: ServiceContract): void {
  // ts-proto calls the table of a service by the service's name with "Service" behind it, whatever that name is.
  const definition = out.import(`${service.name}Service`, `./${service.file.name}.ts`);
  out.print(out.jsDoc(service));
  out.print(out.export("const", service.name), " = {");
  out.print("  name: ", out.string(contract.name), ",");
  out.print("  owner: ", out.string(contract.owner), ",");
  out.print("  public: ", contract.public, ",");
  out.print("  definition: ", definition, ",");
  out.print("  methods: {");
  for (const method of contract.methods) printMethod(out, method);
  out.print("  },");
  out.print("} as const;");
}

/** Prints `export const contracts = […] as const`, in the order given. */
export function printContractList(out: GeneratedFile, services: readonly DescService[]): void {
  out.print("/** Every service that has a policy, by file and then by place in it. */");
  out.print(out.export("const", "contracts"), " = [");
  for (const service of services) {
    out.print("  ", out.import(service.name, `./${service.file.name}.contract.ts`), ",");
  }
  out.print("] as const;");
}

/** Prints `export const meshReasons = {…} as const`. */
export function printReasons(out: GeneratedFile, reasons: PackageReasons): void {
  out.print(
    "/** Why the mesh itself fails a call, with the status code of each reason. Any method can return these. */",
  );
  out.print(out.export("const", "meshReasons"), " = {");
  for (const [reason, code] of reasons) out.print("  ", reason, ": ", out.string(code), ",");
  out.print("} as const;");
}

function printMethod(out: GeneratedFile, method: MethodContract): void {
  const { callers } = method;
  out.print(out.jsDoc(method.desc, "    "));
  out.print("    ", method.localName, ": {");
  out.print("      request: ", out.string(method.request), ",");
  out.print("      idempotency: ", out.string(method.idempotency), ",");
  out.print("      deadlineMs: ", method.deadlineMs, ",");
  if (method.hedgeAfterMs !== undefined) out.print("      hedgeAfterMs: ", method.hedgeAfterMs, ",");
  out.print("      callers: {");
  out.print("        anonymous: ", callers.anonymous, ",");
  out.print("        guest: ", callers.guest, ",");
  out.print("        customer: ", callers.customer, ",");
  out.print("        roles: [", strings(out, callers.roles), "],");
  out.print("        services: [", strings(out, callers.services), "],");
  if (callers.workloads) out.print("        workloads: true,");
  if (callers.joining) out.print("        joining: true,");
  out.print("      },");
  out.print("      errors: {", method.errors.size === 0 ? "}," : "");
  for (const [reason, code] of method.errors) out.print("        ", reason, ": ", out.string(code), ",");
  if (method.errors.size > 0) out.print("      },");
  out.print("    },");
}

function strings(out: GeneratedFile, values: readonly string[]): ReturnType<GeneratedFile["string"]>[] {
  return values.flatMap((value, index) => (index === 0 ? [out.string(value)] : [", ", out.string(value)]));
}
