import {
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type {
  ErrorResponse,
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "#gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionService } from "#gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionService as ServerReflectionServiceAlpha } from "#gen/grpc/reflection/v1alpha/reflection.ts";
import { type DescriptorFile, type DescriptorIndex, indexDescriptors } from "./descriptor-index.ts";

/** What `grpc.Server.addService` takes. */
export interface ServicePair {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

/** Bounds of one reflection stream. */
export interface ReflectionLimits {
  /** How long a stream may stay open without a question. */
  readonly idleMs: number;
  /** How many questions one stream may ask. */
  readonly questions: number;
}

/** Names under which reflection itself answers; a server that serves it lists them too. */
export const reflectionServiceNames: readonly string[] = [
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

/** No tool pauses longer than this between two questions; a forgotten stream would keep its connection for ever. */
const IDLE_MS = 60_000;

/** A tool asks a few questions per symbol it prints; a whole shop has some hundreds of symbols. */
const MAX_QUESTIONS = 2_000;

/**
 * Files that nothing imports and that every caller needs all the same: what travels in `grpc-status-details-bin`, and
 * the mesh's own reasons. Those that the descriptors don't hold are left out.
 */
const ERROR_FILES = ["google/rpc/status.proto", "google/rpc/error_details.proto", "mesh/v1/error_reason.proto"];

type ReflectionStream = ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;

/**
 * Server reflection, `grpc.reflection.v1` and `v1alpha` (equal on the wire), over a serialized
 * google.protobuf.FileDescriptorSet that holds all imports.
 *
 * Lists `services`, and hands out the files of their packages, what those import, and the standard error details:
 * another service's file stays hidden unless one of these imports it. Files go out byte for byte. Nothing is read or
 * indexed before the first question; a broken set fails that question with INTERNAL.
 */
export function reflectionServices(options: {
  readonly descriptors: Uint8Array | (() => Uint8Array);
  readonly services: readonly string[];
  readonly limits?: Partial<ReflectionLimits>;
}): readonly ServicePair[] {
  const limits = { idleMs: IDLE_MS, questions: MAX_QUESTIONS, ...options.limits };
  let schema: Schema | undefined;
  const load = (): Schema => {
    if (schema === undefined) {
      const { descriptors } = options;
      const index = indexDescriptors(typeof descriptors === "function" ? descriptors() : descriptors);
      schema = { index, services: [...options.services].sort(), served: servedFiles(index, options.services) };
    }
    return schema;
  };
  const implementation = { serverReflectionInfo: (call: ReflectionStream) => answerStream(call, load, limits) };
  return [
    { definition: ServerReflectionService, implementation },
    { definition: ServerReflectionServiceAlpha, implementation },
  ];
}

/** An index, and what of it may be handed out. */
interface Schema {
  readonly index: DescriptorIndex;
  readonly services: readonly string[];
  readonly served: ReadonlySet<DescriptorFile>;
}

function servedFiles(index: DescriptorIndex, services: readonly string[]): ReadonlySet<DescriptorFile> {
  const listed = new Set(services);
  const packages = new Set(services.map((name) => name.slice(0, name.lastIndexOf("."))));
  const served = new Set<DescriptorFile>();
  for (const file of index.files.values()) {
    const onlyHiddenServices = file.services.length > 0 && !file.services.some((name) => listed.has(name));
    const wanted = ERROR_FILES.includes(file.name) || packages.has(file.packageName);
    if (wanted && !onlyHiddenServices) for (const one of withImports(index, file)) served.add(one);
  }
  return served;
}

/** A file, then everything it imports, directly or not. */
function withImports(index: DescriptorIndex, file: DescriptorFile): ReadonlySet<DescriptorFile> {
  const files = new Set([file]);
  // A set that grows while it is walked is walked to its end.
  for (const { imports } of files) {
    for (const name of imports) {
      const imported = index.files.get(name);
      if (imported !== undefined) files.add(imported);
    }
  }
  return files;
}

/** Answers each question in order, reading the next only when the answer before it went out. */
function answerStream(call: ReflectionStream, load: () => Schema, limits: ReflectionLimits): void {
  /** Files this stream has: like the common servers, an import isn't sent to it twice. */
  const sent = new Set<DescriptorFile>();
  let questions = 0;
  const end = (error: { readonly code: status; readonly details: string } | undefined): void => {
    clearTimeout(idle);
    call.removeAllListeners("data");
    call.resume();
    if (error === undefined) call.end();
    else call.emit("error", error);
  };
  const idle = setTimeout(() => {
    end({ code: status.DEADLINE_EXCEEDED, details: `no question for ${limits.idleMs} ms` });
  }, limits.idleMs);
  idle.unref();
  call.on("data", (question: ServerReflectionRequest) => {
    idle.refresh();
    questions += 1;
    if (questions > limits.questions) {
      end({ code: status.RESOURCE_EXHAUSTED, details: `more than ${limits.questions} questions on one stream` });
      return;
    }
    const messageResponse = answer(question, load, sent);
    const roomLeft = call.write({ validHost: question.host, originalRequest: question, messageResponse });
    if (!roomLeft) {
      call.pause();
      call.once("drain", () => call.resume());
    }
  });
  call.once("end", () => end(undefined));
  call.once("cancelled", () => clearTimeout(idle));
}

function answer(question: ServerReflectionRequest, load: () => Schema, sent: Set<DescriptorFile>): Answer {
  const asked = question.messageRequest;
  if (asked === undefined) return failure(status.INVALID_ARGUMENT, "no question, or one this server does not know");
  let schema: Schema;
  try {
    schema = load();
  } catch {
    return failure(status.INTERNAL, "the descriptors of this server cannot be read");
  }
  const { index, services } = schema;
  switch (asked.$case) {
    case "listServices":
      return {
        $case: "listServicesResponse",
        value: { service: services.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return fileAnswer(schema, index.files.get(asked.value), `file ${asked.value}`, sent);
    case "fileContainingSymbol":
      return fileAnswer(schema, index.symbols.get(withoutDot(asked.value)), `symbol ${asked.value}`, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = asked.value;
      const file = index.extensions.get(withoutDot(containingType))?.get(extensionNumber);
      return fileAnswer(schema, file, `extension ${extensionNumber} of ${containingType}`, sent);
    }
    case "allExtensionNumbersOfType":
      return extensionNumbers(schema, asked.value);
  }
}

function fileAnswer(
  { index, served }: Schema,
  file: DescriptorFile | undefined,
  what: string,
  sent: Set<DescriptorFile>,
): Answer {
  if (file === undefined || !served.has(file)) return failure(status.NOT_FOUND, `${what} is not known here`);
  // The file asked for always comes, and first: clients take the first one for the answer.
  const files = [...withImports(index, file)].filter((one) => one === file || !sent.has(one));
  for (const one of files) sent.add(one);
  return {
    $case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files.map(({ bytes }) => bytes) },
  };
}

function extensionNumbers({ index, served }: Schema, type: string): Answer {
  const name = withoutDot(type);
  const declared = index.symbols.get(name);
  if (!index.messages.has(name) || declared === undefined || !served.has(declared)) {
    return failure(status.NOT_FOUND, `message ${type} is not known here`);
  }
  const extensionNumber = [...(index.extensions.get(name) ?? [])]
    .filter(([, file]) => served.has(file))
    .map(([number]) => number)
    .sort((a, b) => a - b);
  return { $case: "allExtensionNumbersResponse", value: { baseTypeName: type, extensionNumber } };
}

function failure(errorCode: ErrorResponse["errorCode"], errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}

function withoutDot(name: string): string {
  return name.startsWith(".") ? name.slice(1) : name;
}
