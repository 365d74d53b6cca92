/** protoc-gen-shopmesh: reads a CodeGeneratorRequest on stdin, writes a CodeGeneratorResponse. buf.gen.yaml runs it. */
import { runNodeJs } from "@bufbuild/protoplugin";
import { contractPlugin } from "./contract-plugin.ts";

runNodeJs(contractPlugin);
