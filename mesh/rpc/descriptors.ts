import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

let descriptors: Uint8Array | undefined;

/** Every contract as one serialized `google.protobuf.FileDescriptorSet`, imports included. Read at the first use. */
export function readDescriptors(): Uint8Array {
  // Resolved through package.json, so that it is found from the sources and from the bundles in dist/ alike.
  descriptors ??= readFileSync(createRequire(import.meta.url).resolve("#gen/descriptors.binpb"));
  return descriptors;
}
