import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import {
  CodeGeneratorRequestSchema,
  type CodeGeneratorResponse,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contractPlugin } from "./contract-plugin.ts";
import { buf } from "./generation.ts";

// A whole `buf generate` takes two seconds, and several times that on a busy machine.
const BUF_RUN = { timeout: 60_000 };
const root = join(import.meta.dirname, "..");
const template = JSON.stringify({
  version: "v2",
  plugins: [
    { local: ["node", "--import", "tsx", "codegen/plugin.ts"], out: "gen", strategy: "all", opt: ["target=ts"] },
  ],
});

const reasons = `syntax = "proto3";
package shop.tea.v1;
import "mesh/v1/method.proto";
enum ErrorReason {
  ERROR_REASON_UNSPECIFIED = 0;
  ERROR_REASON_POT_EMPTY = 1 [(mesh.v1.code) = FAILED_PRECONDITION];
  ERROR_REASON_UNKNOWN_LEAF = 2 [(mesh.v1.code) = NOT_FOUND];
}
`;
const getCup = `
  // Gets a cup.
  rpc GetCup(GetCupRequest) returns (GetCupResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (mesh.v1.method) = {
      callers: {guest: true, customer: true}
      deadline: {seconds: 2, nanos: 500000000}
      reasons: ["UNKNOWN_LEAF", "POT_EMPTY"]
    };
  }`;
const brew = `
  rpc Brew(GetCupRequest) returns (stream GetCupResponse) {
    option idempotency_level = IDEMPOTENCY_UNKNOWN;
    option (mesh.v1.method) = {
      callers: {roles: ["warehouse", "admin"], services: ["orders"]}
      deadline: {seconds: 3600}
    };
  }`;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "shopmesh-plugin-"));
  await writeFile(join(folder, "buf.yaml"), "version: v2\n");
  for (const path of ["mesh/v1/method.proto", "mesh/v1/error_reason.proto"]) await copy("proto", path);
  await copy("proto-external", "google/rpc/code.proto");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

test("buf runs it: one contract a service, the list of all, and the mesh's reasons", BUF_RUN, async () => {
  await write({ "shop/tea/v1/error_reason.proto": reasons, "shop/tea/v1/tea_service.proto": service(getCup + brew) });
  await buf(root, ["generate", folder, "--template", template, "--output", join(folder, "out")]);

  const generated = join(folder, "out/gen/shop/tea/v1/tea_service.contract.ts");
  await writeFile(
    join(dirname(generated), "tea_service.ts"),
    "export const TeaServiceService = { getCup: {}, brew: {} };",
  );
  const { TeaService } = await import(generated);
  expect(TeaService).toEqual({
    name: "shop.tea.v1.TeaService",
    owner: "tea",
    public: true,
    definition: { getCup: {}, brew: {} },
    methods: {
      getCup: {
        request: "shop.tea.v1.GetCupRequest",
        idempotency: "NO_SIDE_EFFECTS",
        deadlineMs: 2500,
        callers: { anonymous: false, guest: true, customer: true, roles: [], services: [] },
        errors: { UNKNOWN_LEAF: "NOT_FOUND", POT_EMPTY: "FAILED_PRECONDITION" },
      },
      brew: {
        request: "shop.tea.v1.GetCupRequest",
        idempotency: "UNKNOWN",
        deadlineMs: 3_600_000,
        callers: {
          anonymous: false,
          guest: false,
          customer: false,
          roles: ["warehouse", "admin"],
          services: ["orders"],
        },
        errors: {},
      },
    },
  });
  expect((await import(join(folder, "out/gen/contracts.ts"))).contracts).toEqual([TeaService]);
  const { meshReasons } = await import(join(folder, "out/gen/mesh/v1/reasons.ts"));
  expect(meshReasons).toMatchObject({ INVALID_REQUEST: "INVALID_ARGUMENT", INTERNAL: "INTERNAL" });
  expect(meshReasons).not.toHaveProperty("UNSPECIFIED");
  expect(await readFile(generated, "utf8")).toContain("* Gets a cup.");
});

test("buf fails with its words when it refuses", BUF_RUN, async () => {
  await write({ "shop/tea/v1/tea_service.proto": service("\n  rpc Brew(GetCupRequest) returns (GetCupResponse);") });
  const failure = await buf(root, ["generate", folder, "--template", template, "--output", join(folder, "out")]).then(
    () => "no failure",
    (error: Error) => error.message,
  );
  expect(failure).toContain("2 problems in the contracts");
  expect(failure).toContain(
    "shop/tea/v1/tea_service.proto: shop.tea.v1.TeaService.Brew does not set idempotency_level",
  );
  expect(failure).toContain("shop.tea.v1.TeaService.Brew has no option (mesh.v1.method)");
});

test("a service that only other services may call is not public", async () => {
  const inner = brew.replace(`roles: ["warehouse", "admin"], `, "");
  await write({ "shop/tea/v1/tea_service.proto": service(inner) });
  const text = textOf(await plugin(), "shop/tea/v1/tea_service.contract.ts");
  expect(text).toContain("public: false,");
  expect(text).toContain(`services: ["orders"],`);
});

test("the mesh's own services belong to the control plane", async () => {
  await write({ "mesh/v1/tea_service.proto": service(brew).replace("package shop.tea.v1", "package mesh.v1") });
  expect(textOf(await plugin(), "mesh/v1/tea_service.contract.ts")).toContain(`owner: "control"`);
});

test("a service of somebody else's package needs no policy and gets no contract", async () => {
  await write({
    "grpc/tea/v1/tea_service.proto": service("\n  rpc Brew(GetCupRequest) returns (GetCupResponse);").replace(
      "package shop.tea.v1",
      "package grpc.tea.v1",
    ),
  });
  const names = (await plugin()).file.map((file) => file.name);
  expect(names.toSorted()).toEqual(["contracts.ts", "mesh/v1/reasons.ts"]);
});

describe("refuses", () => {
  const place = "shop/tea/v1/tea_service.proto: shop.tea.v1.TeaService";
  test.each([
    ["no policy", getCup.replace(/option \(mesh[^;]*;/, ""), `${place}.GetCup has no option (mesh.v1.method)`],
    ["no idempotency level", getCup.replace(/option idem[^;]*;/, ""), `${place}.GetCup does not set idempotency_level`],
    ["no callers", getCup.replace(/callers: .*/, ""), `${place}.GetCup names nobody in the callers`],
    ["empty callers", getCup.replace(/callers: .*/, "callers: {}"), `${place}.GetCup names nobody in the callers`],
    ["no deadline", getCup.replace(/deadline: .*/, ""), `${place}.GetCup has no deadline`],
    ["a deadline of nothing", getCup.replace(/deadline: .*/, "deadline: {}"), `${place}.GetCup has a deadline that is`],
    ["half a millisecond", getCup.replace("500000000", "500000"), `${place}.GetCup has a deadline that is not`],
    [
      "a hedge after the deadline",
      getCup.replace("reasons:", "hedge_after: {seconds: 3}\n      reasons:"),
      `${place}.GetCup has a hedge_after that is not`,
    ],
    [
      "a hedge of a stream",
      getCup
        .replace("returns (", "returns (stream ")
        .replace("reasons:", "hedge_after: {nanos: 50000000}\n      reasons:"),
      `${place}.GetCup has a hedge_after, and is a stream`,
    ],
    ["a deadline past any timer", getCup.replace("seconds: 2,", "seconds: 9000000,"), `${place}.GetCup has a deadline`],
    [
      "an unknown reason",
      getCup.replace("POT_EMPTY", "POT_LOST"),
      `${place}.GetCup names the reason POT_LOST, which is`,
    ],
    ["the zero reason", getCup.replace("POT_EMPTY", "UNSPECIFIED"), `${place}.GetCup names the reason UNSPECIFIED`],
    [
      "a reason named twice",
      getCup.replace("POT_EMPTY", "UNKNOWN_LEAF"),
      `${place}.GetCup names the reason UNKNOWN_LEAF`,
    ],
    ["a name with capitals side by side", getCup.replace("GetCup(", "GetHTTPCup("), `${place}.GetHTTPCup is not named`],
    ["a service without methods", "", `${place} has no methods`],
  ])("%s", async (_, methods, problem) => {
    await write({ "shop/tea/v1/error_reason.proto": reasons, "shop/tea/v1/tea_service.proto": service(methods) });
    await expect(plugin()).rejects.toThrow(problem);
  });

  test.each([
    ["a reason without a code", reasons.replace("[(mesh.v1.code) = NOT_FOUND]", ""), "has no option (mesh.v1.code)"],
    ["a reason with code OK", reasons.replace("= NOT_FOUND", "= OK"), "has code OK"],
    ["a reason without the prefix", reasons.replace("ERROR_REASON_UNKNOWN_LEAF", "LEAF"), "does not begin with"],
  ])("%s", async (_, text, problem) => {
    await write({ "shop/tea/v1/error_reason.proto": text, "shop/tea/v1/tea_service.proto": service(brew) });
    await expect(plugin()).rejects.toThrow(`shop/tea/v1/error_reason.proto: shop.tea.v1.ErrorReason.`);
    await expect(plugin()).rejects.toThrow(problem);
  });

  test("a package that names no service folder", async () => {
    await write({ "tea.proto": service(brew).replace("shop.tea.v1", "shop.tea") });
    await expect(plugin()).rejects.toThrow("tea.proto: shop.tea.TeaService is in a package that is not");
  });

  test("a policy where nobody enforces it", async () => {
    await write({ "tea.proto": service(brew).replace("shop.tea.v1", "acme.tea.v1") });
    await expect(plugin()).rejects.toThrow("tea.proto: acme.tea.v1.TeaService.Brew has a policy outside");
  });

  test("two services of one name", async () => {
    await write({ "a.proto": service(brew), "b.proto": service(brew).replace("shop.tea.v1", "shop.chai.v1") });
    await expect(plugin()).rejects.toThrow(
      "b.proto: shop.chai.v1.TeaService has the same name as shop.tea.v1.TeaService",
    );
  });

  test("services of ours that do not even import the option", async () => {
    await rm(join(folder, "mesh"), { recursive: true });
    const bare = service("\n  rpc Brew(GetCupRequest) returns (GetCupResponse);").replace(/import .*\n/, "");
    await write({ "tea.proto": bare });
    await expect(plugin()).rejects.toThrow("tea.proto: shop.tea.v1.TeaService.Brew has no option (mesh.v1.method)");
  });

  test("everything at once, in one message", async () => {
    const broken = getCup.replace(/deadline: .*/, "") + brew.replace(/callers: .*/, "");
    await write({ "shop/tea/v1/error_reason.proto": reasons, "shop/tea/v1/tea_service.proto": service(broken) });
    await expect(plugin()).rejects.toThrow(/2 problems.*GetCup has no deadline.*Brew names nobody/s);
  });
});

/** Runs the plugin here, over what buf compiles; starting a process for each refusal would take a minute. */
async function plugin(): Promise<CodeGeneratorResponse> {
  const image = join(folder, "image.binpb");
  await buf(folder, ["build", "--as-file-descriptor-set", "--output", image]);
  const { file } = fromBinary(FileDescriptorSetSchema, await readFile(image));
  const own = file.map(({ name }) => name).filter((name) => !name.startsWith("google/"));
  return contractPlugin.run(
    create(CodeGeneratorRequestSchema, { parameter: "target=ts", protoFile: file, fileToGenerate: own }),
  );
}

function service(methods: string): string {
  return `syntax = "proto3";
package shop.tea.v1;
import "mesh/v1/method.proto";
service TeaService {${methods}
}
message GetCupRequest {}
message GetCupResponse {}
`;
}

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

async function copy(module: string, path: string): Promise<void> {
  await cp(join(root, module, path), join(folder, path));
}

function textOf(response: CodeGeneratorResponse, name: string): string {
  return response.file.find((file) => file.name === name)?.content ?? "";
}
