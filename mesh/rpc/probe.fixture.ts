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
import { type Client, type Handlers, implement } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { startTestMesh, type TestMesh, type TestMeshOptions } from "#testing/mesh.ts";

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
export const probeRequestBytes = requests.encode;
const responses = codec<ProbeResponse>("ProbeResponse");

function method<In extends boolean, Out extends boolean>(path: string, requestStream: In, responseStream: Out) {
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

const request = "mesh.test.v1.ProbeRequest";
const anybody = { anonymous: true, guest: false, customer: false, roles: [], services: [] } as const;
const nobody = { ...anybody, anonymous: false } as const;
const open = { request, idempotency: "UNKNOWN", deadlineMs: 10_000, callers: anybody, errors: {} } as const;
const read = { ...open, idempotency: "NO_SIDE_EFFECTS" } as const;

/** What a generated contract looks like; each method differs in the one thing that some test is about. */
function probeContract<Name extends string, Owner extends string>(name: Name, owner: Owner) {
  return {
    name: `mesh.test.v1.${name}`,
    owner,
    public: true,
    definition: {
      read: method(`/mesh.test.v1.${name}/Read`, false, false),
      look: method(`/mesh.test.v1.${name}/Look`, false, false),
      change: method(`/mesh.test.v1.${name}/Change`, false, false),
      hurry: method(`/mesh.test.v1.${name}/Hurry`, false, false),
      watch: method(`/mesh.test.v1.${name}/Watch`, false, true),
      collect: method(`/mesh.test.v1.${name}/Collect`, true, false),
      chat: method(`/mesh.test.v1.${name}/Chat`, true, true),
      forCustomers: method(`/mesh.test.v1.${name}/ForCustomers`, false, false),
      forOrders: method(`/mesh.test.v1.${name}/ForOrders`, false, false),
    },
    methods: {
      read: { ...read, errors: { NO_SUCH_PROBE: "NOT_FOUND" } },
      look: { ...read, hedgeAfterMs: 20 },
      change: { ...open, errors: { TOO_LATE: "ABORTED" } },
      hurry: { ...open, deadlineMs: 300 },
      watch: { ...read, deadlineMs: 60_000 },
      collect: open,
      chat: open,
      forCustomers: { ...read, callers: { ...nobody, customer: true, services: ["orders"] } },
      forOrders: { ...read, callers: { ...nobody, services: ["orders"] } },
    },
  } as const;
}

export const ProbeService = probeContract("ProbeService", "probe");

/** The same once more under another name, for what takes two hops. */
export const FrontService = probeContract("FrontService", "front");

type AnyProbe = ReturnType<typeof probeContract<string, string>>;

/** A request that breaks no rule. */
export function probeRequest(fields: Partial<ProbeRequest> = {}): ProbeRequest {
  return { name: "probe", count: 0, parts: [], padding: new Uint8Array(), ...fields };
}

export function probeResponse(fields: Partial<ProbeResponse> = {}): ProbeResponse {
  return { text: "", index: 0, padding: new Uint8Array(), ...fields };
}

const echo = async ({ name }: ProbeRequest): Promise<ProbeResponse> => probeResponse({ text: name });

/** Handlers that do the simplest thing; a test replaces the one it is about. */
export function probeHandlers(replaced: ProbeHandlers = {}): Handlers<AnyProbe> {
  return {
    read: echo,
    look: echo,
    change: echo,
    hurry: echo,
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

/** A test mesh that serves the probe, and in front of it a service that calls it. */
export interface ProbeMesh extends TestMesh {
  /** The services as the gateway holds them. */
  readonly probe: ProbeClient;
  readonly front: Client<typeof FrontService>;
}

export type ProbeClient = Client<typeof ProbeService>;
export type ProbeHandlers = Partial<Handlers<AnyProbe>>;

export async function startProbe(
  handlers: ProbeHandlers = {},
  options: TestMeshOptions & { readonly front?: (probe: ProbeClient) => ProbeHandlers } = {},
): Promise<ProbeMesh> {
  const { front, ...meshOptions } = options;
  const mesh = await startTestMesh(
    {
      probe: () => [implement<AnyProbe>(ProbeService, probeHandlers(handlers))],
      front: (node) => [
        implement<typeof FrontService>(FrontService, probeHandlers(front?.(node.client(ProbeService)))),
      ],
    },
    { descriptors: probeDescriptors, ...meshOptions },
  );
  const gateway = mesh.mesh("gateway");
  return { ...mesh, probe: gateway.client(ProbeService), front: gateway.client(FrontService) };
}

/** What a call failed with. Fails the test when it does not fail. */
export async function failureOf(answer: Promise<unknown>): Promise<RpcError> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof RpcError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}

/** A promise and what resolves it, for a test to wait on what a handler does. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
