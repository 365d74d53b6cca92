import { randomUUID } from "node:crypto";
import { Client, credentials } from "@grpc/grpc-js";
import { IdentityServiceService } from "#gen/shop/identity/v1/identity_service.ts";
import { adminGrant } from "../../cli/commands/admin-grant.ts";
import type { FaultShop } from "./fault-shop.ts";
import { callUnary, type UnaryMethod } from "./wire.ts";

/** Somebody who works for the shop: an administrator. Calls reject with a CallFailure. */
export interface Staff {
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response>;
  /** Gets a new access token: each is good for a quarter of an hour. */
  signIn(): Promise<void>;
  readonly password: string;
  close(): void;
}

const callTimeoutMs = 12_000;

/** Signs somebody up and makes an administrator of them. */
export async function createStaff({ address, operator }: FaultShop): Promise<Staff> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  let token: string | undefined;
  const call: Staff["call"] = (method, request) =>
    callUnary(client, method, request, { token, timeoutMs: callTimeoutMs });
  const password = randomUUID();
  const email = `staff-${randomUUID()}@example.com`;
  await call(IdentityServiceService.signUp, { requestId: randomUUID(), email, password });
  const output = { colour: false, write: () => {} };
  await adminGrant({ mesh: operator, who: email, roleName: "admin", output });
  const signIn = async (): Promise<void> => {
    const request = { requestId: randomUUID(), email, password, deviceToken: "" };
    const { tokens } = await call(IdentityServiceService.signIn, request);
    token = tokens?.accessToken;
  };
  await signIn();
  return { call, signIn, password, close: () => client.close() };
}
