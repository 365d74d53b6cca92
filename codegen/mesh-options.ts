import {
  type DescEnum,
  type DescEnumValue,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMethod,
  getOption,
  hasOption,
  isMessage,
  type Message,
} from "@bufbuild/protobuf";
import { isReflectList, isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { DurationSchema } from "@bufbuild/protobuf/wkt";

const METHOD_OPTION = "mesh.v1.method";
const CODE_OPTION = "mesh.v1.code";

/** How to read our options: their descriptors, found in the request itself, so that nothing generated is needed. */
export interface MeshOptions {
  readonly method: DescExtension;
  readonly code: DescExtension & { readonly enum: DescEnum };
}

/** The policy as written; undefined for what is not set. */
export interface WrittenPolicy {
  readonly callers: WrittenCallers | undefined;
  /** Milliseconds, not yet checked. */
  readonly deadlineMs: number | undefined;
  /** The same. */
  readonly hedgeAfterMs: number | undefined;
  readonly reasons: readonly string[];
}

export interface WrittenCallers {
  readonly anonymous: boolean;
  readonly guest: boolean;
  readonly customer: boolean;
  readonly roles: readonly string[];
  readonly services: readonly string[];
  readonly workloads: boolean;
  readonly joining: boolean;
}

/** Finds (mesh.v1.method) and (mesh.v1.code) among the files of a request; undefined when it does not import them. */
export function findMeshOptions(files: readonly DescFile[]): MeshOptions | undefined {
  const extensions = new Map(files.flatMap((file) => file.extensions).map((desc) => [desc.typeName, desc]));
  const method = extensions.get(METHOD_OPTION);
  const code = extensions.get(CODE_OPTION);
  if (method === undefined || code === undefined) return undefined;
  if (method.fieldKind !== "message") throw new Error(`option (${METHOD_OPTION}) is not a message`);
  if (code.fieldKind !== "enum") throw new Error(`option (${CODE_OPTION}) is not an enum`);
  return { method, code };
}

/** The policy that stands at a method; undefined when there is none. */
export function readPolicy(method: DescMethod, options: MeshOptions): WrittenPolicy | undefined {
  if (!hasOption(method, options.method)) return undefined;
  const value: unknown = getOption(method, options.method);
  if (options.method.fieldKind !== "message" || !isAnyMessage(value)) throw new Error("the policy is not a message");
  const policy = reflect(options.method.message, value);
  const callers = readMessage(policy, "callers");
  return {
    callers: callers === undefined ? undefined : readCallers(callers),
    deadlineMs: readDurationMs(policy, "deadline"),
    hedgeAfterMs: readDurationMs(policy, "hedge_after"),
    reasons: readStrings(policy, "reasons"),
  };
}

/** The name of the status code at an error reason, such as NOT_FOUND; undefined when there is none. */
export function readCode(value: DescEnumValue, options: MeshOptions): string | undefined {
  if (!hasOption(value, options.code)) return undefined;
  const number: unknown = getOption(value, options.code);
  return options.code.enum.values.find((code) => code.number === number)?.name;
}

function readCallers(callers: ReflectMessage): WrittenCallers {
  return {
    anonymous: callers.get(fieldOf(callers, "anonymous")) === true,
    guest: callers.get(fieldOf(callers, "guest")) === true,
    customer: callers.get(fieldOf(callers, "customer")) === true,
    roles: readStrings(callers, "roles"),
    services: readStrings(callers, "services"),
    workloads: callers.get(fieldOf(callers, "workloads")) === true,
    joining: callers.get(fieldOf(callers, "joining")) === true,
  };
}

function readDurationMs(parent: ReflectMessage, name: string): number | undefined {
  const duration = readMessage(parent, name)?.message;
  if (duration === undefined || !isMessage(duration, DurationSchema)) return undefined;
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function readMessage(parent: ReflectMessage, name: string): ReflectMessage | undefined {
  const field = fieldOf(parent, name);
  if (!parent.isSet(field)) return undefined;
  const value: unknown = parent.get(field);
  return isReflectMessage(value) ? value : undefined;
}

function readStrings(parent: ReflectMessage, name: string): readonly string[] {
  const value: unknown = parent.get(fieldOf(parent, name));
  return isReflectList(value) ? [...value].map(String) : [];
}

function fieldOf(parent: ReflectMessage, name: string): DescField {
  const field = parent.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`${parent.desc.typeName} has no field ${name}`);
  return field;
}

function isAnyMessage(value: unknown): value is Message {
  return isMessage(value);
}
