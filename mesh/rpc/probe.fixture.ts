import {
  create,
  createFileRegistry,
  createRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Handlers } from "#mesh/contract/contract.ts";

// A service for tests of the runtime, of all four kinds of method, so that no test leans on a contract of the shop.

export interface ProbeRequest {
  readonly name: string;
  readonly count: number;
  readonly parts: readonly { readonly label: string }[];
  readonly padding: Uint8Array;
}

export interface ProbeResponse {
  readonly text: string;
  readonly index: number;
  readonly padding: Uint8Array;
}

const optional = { label: "LABEL_OPTIONAL" };

const file = fromJson(
  FileDescriptorProtoSchema,
  {
    name: "mesh/test/v1/probe.proto",
    package: "mesh.test.v1",
    syntax: "proto3",
    messageType: [
      {
        name: "Part",
        field: [
          { ...optional, name: "label", number: 1, type: "TYPE_STRING", options: rules({ string: { maxLen: 5 } }) },
        ],
      },
      {
        name: "ProbeRequest",
        field: [
          {
            ...optional,
            name: "name",
            number: 1,
            type: "TYPE_STRING",
            options: rules({ string: { minLen: 1, maxLen: 64 } }),
          },
          {
            ...optional,
            name: "count",
            number: 2,
            type: "TYPE_INT32",
            options: rules({ int32: { gte: 0, lte: 1000 } }),
          },
          {
            name: "parts",
            number: 3,
            label: "LABEL_REPEATED",
            type: "TYPE_MESSAGE",
            typeName: ".mesh.test.v1.Part",
            options: rules({ repeated: { maxItems: 100 } }),
          },
          { ...optional, name: "padding", number: 4, type: "TYPE_BYTES" },
        ],
      },
      {
        name: "ProbeResponse",
        field: [
          { ...optional, name: "text", number: 1, type: "TYPE_STRING" },
          { ...optional, name: "index", number: 2, type: "TYPE_INT32" },
          { ...optional, name: "padding", number: 3, type: "TYPE_BYTES" },
        ],
      },
    ],
  },
  { registry: createRegistry(fieldRules) },
);

function rules(value: JsonValue): JsonValue {
  return { "[buf.validate.field]": value };
}

const fileSet = create(FileDescriptorSetSchema, { file: [file] });
const registry = createFileRegistry(fileSet);

/** For `createMeshNode` and `startTestMesh`, in place of the shop's. */
export const probeDescriptors = (): Uint8Array => toBinary(FileDescriptorSetSchema, fileSet);

function codec<T>(name: string): { encode(message: T): Buffer; decode(bytes: Buffer): T } {
  const type = registry.getMessage(`mesh.test.v1.${name}`);
  if (type === undefined) throw new Error(`no message ${name}`);
  const schema: DescMessage = type;
  return {
    // Both hold because the interfaces above name the fields of the messages above.
    encode: (message) => Buffer.from(toBinary(schema, create(schema, message as Record<string, unknown>))),
    decode: (bytes) => fromBinary(schema, bytes) as unknown as T,
  };
}

const requests = codec<ProbeRequest>("ProbeRequest");
const responses = codec<ProbeResponse>("ProbeResponse");

function method<Path extends string, In extends boolean, Out extends boolean>(
  path: Path,
  requestStream: In,
  responseStream: Out,
) {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: requests.encode,
    requestDeserialize: requests.decode,
    responseSerialize: responses.encode,
    responseDeserialize: responses.decode,
  } as const;
}

const anybody = { anonymous: true, guest: false, customer: false, roles: [], services: [] } as const;
const request = "mesh.test.v1.ProbeRequest";

/** What a generated contract looks like; each method differs in the one thing that some test is about. */
export const ProbeService = {
  name: "mesh.test.v1.ProbeService",
  owner: "probe",
  public: true,
  definition: {
    read: method("/mesh.test.v1.ProbeService/Read", false, false),
    change: method("/mesh.test.v1.ProbeService/Change", false, false),
    watch: method("/mesh.test.v1.ProbeService/Watch", false, true),
    collect: method("/mesh.test.v1.ProbeService/Collect", true, false),
    chat: method("/mesh.test.v1.ProbeService/Chat", true, true),
    forCustomers: method("/mesh.test.v1.ProbeService/ForCustomers", false, false),
    forOrders: method("/mesh.test.v1.ProbeService/ForOrders", false, false),
  },
  methods: {
    read: {
      request,
      idempotency: "NO_SIDE_EFFECTS",
      deadlineMs: 2_000,
      callers: anybody,
      errors: { NO_SUCH_PROBE: "NOT_FOUND" },
    },
    change: { request, idempotency: "UNKNOWN", deadlineMs: 300, callers: anybody, errors: { TOO_LATE: "ABORTED" } },
    watch: { request, idempotency: "NO_SIDE_EFFECTS", deadlineMs: 60_000, callers: anybody, errors: {} },
    collect: { request, idempotency: "UNKNOWN", deadlineMs: 2_000, callers: anybody, errors: {} },
    chat: { request, idempotency: "UNKNOWN", deadlineMs: 2_000, callers: anybody, errors: {} },
    forCustomers: {
      request,
      idempotency: "NO_SIDE_EFFECTS",
      deadlineMs: 2_000,
      callers: { anonymous: false, guest: false, customer: true, roles: [], services: ["orders"] },
      errors: {},
    },
    forOrders: {
      request,
      idempotency: "NO_SIDE_EFFECTS",
      deadlineMs: 2_000,
      callers: { anonymous: false, guest: false, customer: false, roles: [], services: ["orders"] },
      errors: {},
    },
  },
} as const;

/** A request that breaks no rule. */
export function probeRequest(fields: Partial<ProbeRequest> = {}): ProbeRequest {
  return { name: "probe", count: 0, parts: [], padding: new Uint8Array(), ...fields };
}

export function probeResponse(fields: Partial<ProbeResponse> = {}): ProbeResponse {
  return { text: "", index: 0, padding: new Uint8Array(), ...fields };
}

const echo = async ({ name }: ProbeRequest): Promise<ProbeResponse> => probeResponse({ text: name });

/** Handlers that do the simplest thing; a test replaces the one it is about. */
export function probeHandlers(replaced: Partial<Handlers<typeof ProbeService>> = {}): Handlers<typeof ProbeService> {
  return {
    read: echo,
    change: echo,
    async *watch({ name, count }) {
      for (let index = 0; index < count; index++) yield probeResponse({ text: name, index });
    },
    async collect(incoming) {
      const names: string[] = [];
      for await (const { name } of incoming) names.push(name);
      return probeResponse({ text: names.join(","), index: names.length });
    },
    async *chat(incoming) {
      for await (const { name } of incoming) yield probeResponse({ text: name });
    },
    forCustomers: echo,
    forOrders: echo,
    ...replaced,
  };
}
