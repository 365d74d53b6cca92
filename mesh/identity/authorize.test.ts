import { expect, test } from "vitest";
import type { Callers } from "#mesh/contract/contract.ts";
import type { User } from "#mesh/rpc/call.ts";
import { authorize, describeCallers } from "./authorize.ts";

const nobody: Callers = { anonymous: false, guest: false, customer: false, roles: [], services: [] };

const none = undefined;
const guest: User = { id: "usr_1", kind: "guest", roles: [], sessionId: "ses_1" };
const customer: User = { id: "usr_2", kind: "customer", roles: [], sessionId: "ses_2" };
const admin: User = { ...customer, roles: ["support", "admin"] };
const guestWithRole: User = { ...guest, roles: ["admin"] };

const anonymous = { ...nobody, anonymous: true };
const guests = { ...nobody, guest: true };
const customers = { ...nobody, customer: true };
const everybodyWithToken = { ...nobody, guest: true, customer: true };
const admins = { ...nobody, roles: ["admin"] };
const orders = { ...nobody, services: ["orders"] };
const ordersAndAdmins = { ...admins, services: ["orders"] };

test.each<[string, Callers, string, User | undefined, string]>([
  // who, policy, workload, user, the rule or the refusal
  ["nobody is let in who is not named", nobody, "gateway", admin, "NOT_ALLOWED"],
  ["nor a service", nobody, "orders", none, "NOT_ALLOWED"],
  ["anybody at all", anonymous, "gateway", none, "anonymous"],
  ["anybody at all, with a token", anonymous, "gateway", guest, "anonymous"],
  ["anybody at all, from a service", anonymous, "cart", none, "anonymous"],
  ["a guest", guests, "gateway", guest, "guest"],
  ["no customer where guests are wanted", guests, "gateway", customer, "NOT_ALLOWED"],
  ["a customer", customers, "gateway", customer, "customer"],
  ["no guest where customers are wanted", customers, "gateway", guest, "NOT_ALLOWED"],
  ["a guest where both are", everybodyWithToken, "gateway", guest, "guest"],
  ["a customer where both are", everybodyWithToken, "gateway", customer, "customer"],
  ["a role", admins, "gateway", admin, "role:admin"],
  ["no customer without the role", admins, "gateway", customer, "NOT_ALLOWED"],
  ["no guest, whatever the token says", admins, "gateway", guestWithRole, "NOT_ALLOWED"],
  ["no visitor where a token would help", admins, "gateway", none, "TOKEN_MISSING"],
  ["no visitor where customers are wanted", customers, "gateway", none, "TOKEN_MISSING"],
  ["no visitor where no token would help", orders, "gateway", none, "NOT_ALLOWED"],
  ["a named service", orders, "orders", none, "service:orders"],
  ["a named service that acts for somebody", orders, "orders", guest, "service:orders"],
  ["no other service", orders, "cart", none, "NOT_ALLOWED"],
  ["no other service that acts for an admin", ordersAndAdmins, "cart", admin, "NOT_ALLOWED"],
  ["an admin, where a service is named too", ordersAndAdmins, "gateway", admin, "role:admin"],
])("admits %s", (_, callers, workload, user, expected) => {
  const decision = authorize(callers, workload, user);
  expect(decision.allowed ? decision.rule : decision.reason).toBe(expected);
});

test("describes a policy by its entries", () => {
  expect(describeCallers({ ...ordersAndAdmins, guest: true })).toBe("guest, role:admin, service:orders");
  expect(describeCallers(nobody)).toBe("nobody");
});
