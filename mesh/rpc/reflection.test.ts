import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  credentials,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { FileDescriptorProto } from "#gen/google/protobuf/descriptor.ts";
import {
  ServerReflectionClient,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "#gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionClient as ServerReflectionClientAlpha } from "#gen/grpc/reflection/v1alpha/reflection.ts";
import { type ReflectionLimits, reflectionServices } from "./reflection.ts";

type Question = NonNullable<ServerReflectionRequest["messageRequest"]>;

const run = promisify(execFile);
const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");

const protos = {
  "buf.yaml": "version: v2\n",
  "toy/v1/policy.proto": `
    syntax = "proto3";
    package toy.options.v1;
    import "google/protobuf/descriptor.proto";
    message Policy { repeated string roles = 1; }
    extend google.protobuf.MethodOptions { Policy policy = 50601; }
    message Holder { extend google.protobuf.MethodOptions { string owner = 50700; } }`,
  "toy/v1/toy.proto": `
    syntax = "proto3";
    package toy.v1;
    // A colour of a toy.
    enum Colour { COLOUR_UNSPECIFIED = 0; COLOUR_RED = 1; }
    message Toy { string name = 1; oneof price { int64 cents = 2; } message Part { string label = 1; } enum Kind { KIND_UNSPECIFIED = 0; } reserved 9; }`,
  "toy/v1/toy_service.proto": `
    syntax = "proto3";
    package toy.v1;
    import "toy/v1/policy.proto";
    import "toy/v1/toy.proto";
    // Sells toys.
    service ToyService {
      // Finds one.
      rpc GetToy(GetToyRequest) returns (Toy) { option (toy.options.v1.policy) = { roles: ["admin"] }; }
    }
    message GetToyRequest { string name = 1; }`,
  "toy/v1/reasons.proto": `syntax = "proto3"; package toy.v1; enum ErrorReason { ERROR_REASON_UNSPECIFIED = 0; }`,
  "hidden/v1/hidden_service.proto": `
    syntax = "proto3";
    package hidden.v1;
    import "toy/v1/toy.proto";
    service HiddenService { rpc Call(toy.v1.Toy) returns (Secret); }
    message Secret {}`,
};

let folder: string;
let descriptors: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "reflection-"));
  for (const [path, text] of Object.entries(protos)) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await run(buf, ["build", "--as-file-descriptor-set", "-o", join(folder, "set.binpb")], { cwd: folder });
  descriptors = await readFile(join(folder, "set.binpb"));
});

afterAll(() => rm(folder, { recursive: true }));

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function start(
  options: { limits?: Partial<ReflectionLimits>; descriptors?: () => Uint8Array } = {},
): Promise<string> {
  const server = new Server();
  const services = ["toy.v1.ToyService"];
  for (const { definition, implementation } of reflectionServices({ descriptors, services, ...options })) {
    server.addService(definition, implementation);
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  closers.push(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

interface AnyVersion {
  serverReflectionInfo(): ClientDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
  close(): void;
}

interface Asker {
  ask(question: Question | undefined): Promise<ServerReflectionResponse>;
  readonly stream: ClientDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
}

async function open(
  address?: string,
  Client: new (address: string, creds: ChannelCredentials) => AnyVersion = ServerReflectionClient,
): Promise<Asker> {
  const client = new Client(address ?? (await start()), credentials.createInsecure());
  const stream = client.serverReflectionInfo();
  closers.push(() => {
    stream.on("error", () => undefined);
    stream.cancel();
    client.close();
  });
  const ask = (messageRequest: Question | undefined) =>
    new Promise<ServerReflectionResponse>((resolve, reject) => {
      stream.once("data", resolve).once("error", reject);
      stream.write({ host: "h", messageRequest });
    });
  return { ask, stream };
}

function filesOf(response: ServerReflectionResponse): Map<string, Buffer> {
  if (response.messageResponse?.$case !== "fileDescriptorResponse") {
    throw new Error(`no files but ${JSON.stringify(response.messageResponse)}`);
  }
  const files = response.messageResponse.value.fileDescriptorProto;
  return new Map(files.map((bytes) => [FileDescriptorProto.decode(bytes).name ?? "", bytes]));
}

function errorCodeOf(response: ServerReflectionResponse): number {
  if (response.messageResponse?.$case !== "errorResponse") throw new Error("no error");
  return response.messageResponse.value.errorCode;
}

test("lists exactly the services it was given, in both versions", async () => {
  const address = await start();
  for (const Client of [ServerReflectionClient, ServerReflectionClientAlpha]) {
    const { ask } = await open(address, Client);
    const response = await ask({ $case: "listServices", value: "*" });
    expect(response.messageResponse).toEqual({
      $case: "listServicesResponse",
      value: { service: [{ name: "toy.v1.ToyService" }] },
    });
    expect(response.originalRequest?.messageRequest).toEqual({ $case: "listServices", value: "*" });
    expect(response.validHost).toBe("h");
  }
});

test("answers a symbol with its file first, all imports after it, and every byte as compiled", async () => {
  const { ask } = await open();
  const files = filesOf(await ask({ $case: "fileContainingSymbol", value: "toy.v1.ToyService" }));
  expect([...files.keys()]).toEqual([
    "toy/v1/toy_service.proto",
    "toy/v1/policy.proto",
    "toy/v1/toy.proto",
    "google/protobuf/descriptor.proto",
  ]);
  for (const [name, bytes] of files) expect(descriptors.includes(bytes), name).toBe(true);
  const service = FileDescriptorProto.decode(files.get("toy/v1/toy_service.proto") ?? new Uint8Array());
  expect(service.sourceCodeInfo?.location.map(({ leadingComments }) => leadingComments)).toContain(" Sells toys.\n");
  // The custom option: field 50601, holding the message { roles: ["admin"] }.
  expect(files.get("toy/v1/toy_service.proto")?.includes(Buffer.from("\x0a\x05admin"))).toBe(true);
});

test.each([
  ["toy.v1.ToyService.GetToy", "toy/v1/toy_service.proto"],
  ["toy.v1.GetToyRequest", "toy/v1/toy_service.proto"],
  [".toy.v1.Toy", "toy/v1/toy.proto"],
  ["toy.v1.Toy.name", "toy/v1/toy.proto"],
  ["toy.v1.Toy.price", "toy/v1/toy.proto"],
  ["toy.v1.Toy.Part", "toy/v1/toy.proto"],
  ["toy.v1.Toy.Part.label", "toy/v1/toy.proto"],
  ["toy.v1.Toy.Kind", "toy/v1/toy.proto"],
  ["toy.v1.Toy.KIND_UNSPECIFIED", "toy/v1/toy.proto"],
  ["toy.v1.Colour", "toy/v1/toy.proto"],
  ["toy.v1.COLOUR_RED", "toy/v1/toy.proto"],
  ["toy.v1.ErrorReason", "toy/v1/reasons.proto"],
  ["toy.options.v1.policy", "toy/v1/policy.proto"],
  ["toy.options.v1.Holder.owner", "toy/v1/policy.proto"],
  ["google.protobuf.MethodOptions", "google/protobuf/descriptor.proto"],
])("finds the file of %s", async (symbol, file) => {
  const { ask } = await open();
  expect([...filesOf(await ask({ $case: "fileContainingSymbol", value: symbol })).keys()][0]).toBe(file);
});

test("answers a file by its name", async () => {
  const { ask } = await open();
  const files = filesOf(await ask({ $case: "fileByFilename", value: "toy/v1/toy.proto" }));
  expect([...files.keys()]).toEqual(["toy/v1/toy.proto"]);
});

test("does not send an import twice on one stream, but always the file asked for", async () => {
  const { ask } = await open();
  await ask({ $case: "fileContainingSymbol", value: "toy.v1.ToyService" });
  const again = filesOf(await ask({ $case: "fileContainingSymbol", value: "toy.v1.ToyService" }));
  expect([...again.keys()]).toEqual(["toy/v1/toy_service.proto"]);
});

test("finds extensions by number and lists the numbers of a type", async () => {
  const { ask } = await open();
  const containingType = "google.protobuf.MethodOptions";
  const found = await ask({ $case: "fileContainingExtension", value: { containingType, extensionNumber: 50700 } });
  expect([...filesOf(found).keys()][0]).toBe("toy/v1/policy.proto");
  const numbers = await ask({ $case: "allExtensionNumbersOfType", value: containingType });
  expect(numbers.messageResponse).toEqual({
    $case: "allExtensionNumbersResponse",
    value: { baseTypeName: containingType, extensionNumber: [50601, 50700] },
  });
  const none = await ask({ $case: "allExtensionNumbersOfType", value: "toy.v1.Toy" });
  expect(none.messageResponse).toMatchObject({ value: { extensionNumber: [] } });
});

test.each<Question>([
  { $case: "fileByFilename", value: "nowhere.proto" },
  { $case: "fileByFilename", value: "hidden/v1/hidden_service.proto" },
  { $case: "fileContainingSymbol", value: "toy.v1.Nothing" },
  { $case: "fileContainingSymbol", value: "hidden.v1.HiddenService" },
  { $case: "fileContainingSymbol", value: "hidden.v1.Secret" },
  { $case: "fileContainingExtension", value: { containingType: "toy.v1.Toy", extensionNumber: 1 } },
  { $case: "allExtensionNumbersOfType", value: "toy.v1.Nothing" },
  { $case: "allExtensionNumbersOfType", value: "toy.v1.Colour" },
])("answers NOT_FOUND to $case $value and stays open", async (question) => {
  const { ask } = await open();
  expect(errorCodeOf(await ask(question))).toBe(status.NOT_FOUND);
  expect((await ask({ $case: "listServices", value: "" })).messageResponse?.$case).toBe("listServicesResponse");
});

test("refuses an empty question with INVALID_ARGUMENT", async () => {
  const { ask } = await open();
  expect(errorCodeOf(await ask(undefined))).toBe(status.INVALID_ARGUMENT);
});

test("reads the descriptors upon the first question, and once", async () => {
  let reads = 0;
  const load = (): Buffer => {
    reads += 1;
    return descriptors;
  };
  const address = await start({ descriptors: load });
  expect(reads).toBe(0);
  for (let i = 0; i < 2; i++) {
    const { ask } = await open(address);
    await ask({ $case: "fileByFilename", value: "toy/v1/toy.proto" });
  }
  expect(reads).toBe(1);
});

test("answers INTERNAL when the descriptors are broken", async () => {
  const { ask } = await open(await start({ descriptors: () => Buffer.from([0x0a, 0x7f, 0x00]) }));
  expect(errorCodeOf(await ask({ $case: "listServices", value: "" }))).toBe(status.INTERNAL);
});

test("ends a stream that asks nothing", async () => {
  const { stream } = await open(await start({ limits: { idleMs: 20 } }));
  const error = await new Promise<ServiceError>((resolve) => stream.once("error", resolve));
  expect(error.code).toBe(status.DEADLINE_EXCEEDED);
});

test("ends a stream that asks too much", async () => {
  const { ask, stream } = await open(await start({ limits: { questions: 2 } }));
  await ask({ $case: "listServices", value: "" });
  await ask({ $case: "listServices", value: "" });
  await expect(ask({ $case: "listServices", value: "" })).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  stream.cancel();
});

test("ends with OK when the client has asked all it wanted", async () => {
  const { ask, stream } = await open();
  await ask({ $case: "listServices", value: "" });
  const end = new Promise<{ code: number }>((resolve) => stream.once("status", resolve));
  stream.end();
  expect((await end).code).toBe(status.OK);
});

test("buf curl lists services and methods and encodes a call with no schema of its own", async () => {
  const address = `http://${await start()}`;
  const flags = ["curl", "--protocol", "grpc", "--http2-prior-knowledge"];
  const listed = await run(buf, [...flags, "--list-services", address]);
  expect(listed.stdout.trim().split("\n")).toEqual(["toy.v1.ToyService"]);
  const methods = await run(buf, [...flags, "--list-methods", address]);
  expect(methods.stdout.trim()).toBe("toy.v1.ToyService/GetToy");
  // No handler serves the method: that buf could encode the request shows that it resolved the schema.
  const call = run(buf, [...flags, "-d", '{"name":"top"}', `${address}/toy.v1.ToyService/GetToy`]);
  await expect(call).rejects.toMatchObject({ stderr: expect.stringContaining("unimplemented") });
});
