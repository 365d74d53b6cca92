import { readFileSync } from "node:fs";
import type { ClientHttp2Session } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import type { Contract, Implementation } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { testCertificates } from "#testing/certificates.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { frame, openSession, rawCall } from "./raw-call.fixture.ts";

// Every RPC of every service, and everybody who could call it: who is let in is read from proto/rpcs.golden.txt, as a
// person would read it, and not from the tables that the pipeline goes by.

const golden = readFileSync(new URL("../../proto/rpcs.golden.txt", import.meta.url), "utf8");

/** The words of the list for who may call, by the path of the method. */
function readPolicies(): ReadonlyMap<string, readonly string[]> {
  const policies = new Map<string, readonly string[]>();
  let [service, method] = ["", ""];
  for (const line of golden.split("\n").slice(1)) {
    if (/^\S/.test(line)) service = line;
    else if (/^ {2}\S/.test(line)) method = line.trim().replace(/:.*/, "");
    else if (line.startsWith("    by ")) policies.set(`/${service}/${method}`, line.slice(7).split(", "));
  }
  return policies;
}

const roles = ["admin", "support", "warehouse", "courier"];
const workloads = ["operator", "supervisor", "orders", "customers", "cart"];

interface Caller {
  readonly name: string;
  readonly workload: string;
  readonly user?: { readonly kind: "guest" | "customer"; readonly roles: readonly string[] };
  /** Each of these words lets it in. */
  readonly words: readonly string[];
}

const everybody = ["anybody", "every service"];
const callers: readonly Caller[] = [
  { name: "nobody", workload: "gateway", words: everybody },
  { name: "a guest", workload: "gateway", user: { kind: "guest", roles: [] }, words: [...everybody, "guests"] },
  {
    name: "a customer",
    workload: "gateway",
    user: { kind: "customer", roles: [] },
    words: [...everybody, "customers"],
  },
  ...roles.map((role) => ({
    ...{ name: role, workload: "gateway", user: { kind: "customer" as const, roles: [role] } },
    words: [...everybody, "customers", `role ${role}`],
  })),
  ...workloads.map((workload) => ({ name: workload, workload, words: [...everybody, `service ${workload}`] })),
];

/** Handlers that do nothing: to come as far as them is to be let in. */
function nothing(contract: Contract): Implementation {
  const refuse = (): never => {
    throw meshFailure("CANCELLED", "nothing is done here");
  };
  const handlers = Object.keys(contract.methods).map((name) => [name, refuse] as const);
  return { contract, handlers: Object.fromEntries(handlers) };
}

let mesh: TestMesh;
const sessions = new Map<string, ClientHttp2Session>();
beforeAll(async () => {
  mesh = await startTestMesh({ shop: () => contracts.map(nothing) });
  for (const name of ["gateway", ...workloads]) {
    sessions.set(name, openSession(mesh.address("shop"), await testCertificates(name)));
  }
});
afterAll(async () => {
  for (const session of sessions.values()) session.destroy();
  await mesh?.close();
});

async function isLetIn({ workload, user }: Caller, path: string): Promise<boolean> {
  const session = sessions.get(workload);
  if (session === undefined) throw new Error(`${workload} has no connection`);
  const call = rawCall(session, path, user === undefined ? {} : { authorization: `Bearer ${mesh.token(user)}` });
  call.write(frame(new Uint8Array()));
  call.end();
  const { failure } = await call.answer;
  if (failure.reason === "METHOD_UNKNOWN") throw new Error(`${path} is not served`);
  return failure.reason !== "NOT_ALLOWED" && failure.reason !== "TOKEN_MISSING";
}

test("every method lets in whom the list names, and nobody else", async () => {
  const policies = readPolicies();
  const methods = contracts.flatMap(({ methods: ofContract }) => Object.keys(ofContract)).length;
  expect(policies.size).toBe(methods);
  const differences: string[] = [];
  for (const [path, words] of policies) {
    const letIn = await Promise.all(callers.map((caller) => isLetIn(caller, path)));
    for (const [at, caller] of callers.entries()) {
      const named = words.some((word) => caller.words.includes(word));
      if (letIn[at] !== named) differences.push(`${path}: ${caller.name} is ${named ? "refused" : "let in"}`);
    }
  }
  expect(differences).toEqual([]);
});

test.each([
  [
    "products and prices",
    "admin",
    ["catalog.v1.CatalogService/CreateProduct", "catalog.v1.CatalogService/UpdateProduct"],
  ],
  ["stock", "warehouse", ["inventory.v1.InventoryService/AdjustStock", "inventory.v1.InventoryService/ListMovements"]],
  ["returns that arrive", "warehouse", ["orders.v1.OrderService/ReceiveReturn", "orders.v1.OrderService/ListReturns"]],
  ["refunds", "support", ["orders.v1.OrderService/RefundOrder", "payments.v1.PaymentService/GetPayment"]],
  ["stuck orders", "support", ["orders.v1.OrderService/ListStuckOrders", "orders.v1.OrderService/RetryOrder"]],
  ["mails", "support", ["notifications.v1.NotificationService/RetryNotification"]],
  ["deliveries", "courier", ["shipping.v1.ShippingService/RecordScan", "shipping.v1.ShippingService/ListParcels"]],
  ["deliveries at the depot", "warehouse", ["shipping.v1.ShippingService/RecordScan"]],
  ["what happened to an account", "support", ["identity.v1.IdentityService/ListSecurityEvents"]],
  ["roles", "admin", ["identity.v1.IdentityService/GrantRole", "identity.v1.IdentityService/RevokeRole"]],
])("%s can be worked on as %s, and as admin", (_, role, methods) => {
  const policies = readPolicies();
  for (const method of methods) {
    const words = policies.get(`/shop.${method}`) ?? [];
    expect(words).toContain(`role ${role}`);
    expect(words).toContain("role admin");
  }
});
