import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Contract } from "#mesh/contract/contract.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";

let registry: FileRegistry | undefined;

/** The names of the fields of a method's request, as the contract writes them. */
export function requestFields(contract: Contract, method: string): readonly string[] {
  registry ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, readDescriptors()));
  const message = registry.getMessage(contract.methods[method]?.request ?? "");
  if (message === undefined) throw new Error(`${contract.name}/${method} has no request in the descriptors`);
  return message.fields.map(({ name }) => name);
}
