import type { DescEnum, DescFile } from "@bufbuild/protobuf";
import { type MeshOptions, readCode } from "./mesh-options.ts";
import type { Problems } from "./problems.ts";

const ENUM_NAME = "ErrorReason";
const PREFIX = "ERROR_REASON_";

/** Reasons without their prefix, each with the name of its status code. */
export type PackageReasons = ReadonlyMap<string, string>;

/**
 * The `ErrorReason` enums of some files, by package. A package has one; a value without a code, with code OK or without
 * the prefix is a problem. The zero value is left out: it is never sent.
 */
export function collectReasons(
  files: readonly DescFile[],
  options: MeshOptions,
  problems: Problems,
): ReadonlyMap<string, PackageReasons> {
  const packages = new Map<string, PackageReasons>();
  for (const file of files) {
    const desc = file.enums.find((candidate) => candidate.name === ENUM_NAME);
    if (desc !== undefined) packages.set(file.proto.package, readReasons(desc, options, problems));
  }
  return packages;
}

function readReasons(desc: DescEnum, options: MeshOptions, problems: Problems): PackageReasons {
  const reasons = new Map<string, string>();
  for (const value of desc.values) {
    if (value.number === 0) continue;
    const code = readCode(value, options);
    if (!value.name.startsWith(PREFIX)) problems.addValue(desc, value.name, `does not begin with ${PREFIX}`);
    else if (code === undefined) problems.addValue(desc, value.name, "has no option (mesh.v1.code)");
    else if (code === "OK") problems.addValue(desc, value.name, "has code OK, which is no failure");
    // It stays known without a code, so that the methods that name it are not reported too. Nothing is printed then.
    reasons.set(value.name.replace(PREFIX, ""), code ?? "UNKNOWN");
  }
  return reasons;
}
