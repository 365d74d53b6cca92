import { connect as connectTcp, type Socket } from "node:net";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { type HandleWebhookRequest, HandleWebhookResponse } from "#gen/shop/payments/v1/payment_service.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import type { GatewayLimits } from "../limits.ts";
import { type Cleanup, startTestGateway, type TestGateway } from "./setup.ts";

/** What payments does with an event; it takes it in unless told otherwise. */
export type HandleEvent = (request: HandleWebhookRequest, call: Call) => Promise<HandleWebhookResponse>;

export interface WebhookShop {
  readonly gateway: TestGateway;
  readonly mesh: TestMesh;
  /** What reached payments, in order. */
  readonly events: HandleWebhookRequest[];
  readonly calls: Call[];
}

/** The gateway before a service that stands for payments. */
export async function startWebhookShop(
  cleanup: Cleanup,
  { limits, handle }: { readonly limits?: Partial<GatewayLimits>; readonly handle?: HandleEvent } = {},
): Promise<WebhookShop> {
  const events: HandleWebhookRequest[] = [];
  const calls: Call[] = [];
  const takeIn: HandleEvent = async () => HandleWebhookResponse.fromPartial({ eventId: "evt_1", first: true });
  const handleWebhook: HandleEvent = (request, call) => {
    events.push(request);
    calls.push(call);
    return (handle ?? takeIn)(request, call);
  };
  const refuse = async (): Promise<never> => {
    throw new Error("only webhooks in this test");
  };
  const names = Object.keys(PaymentService.methods);
  const payments: Implementation = {
    contract: PaymentService,
    handlers: { ...Object.fromEntries(names.map((name) => [name, refuse])), handleWebhook },
  };
  const mesh = await startTestMesh({ payments: () => [payments] });
  cleanup.add(() => mesh.close());
  const node = mesh.mesh("gateway");
  const gateway = await startTestGateway(cleanup, {
    limits,
    payments: {
      handleWebhook: node.client(PaymentService).try.handleWebhook,
      call: (options) => node.background({ name: "webhook", ...options }),
    },
  });
  return { gateway, mesh, events, calls };
}

export interface PostOptions {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Posts an event as a payment gateway would. */
export function post(
  { address }: Pick<TestGateway, "address">,
  { path = "/webhooks/simulator", headers = { "simulator-signature": "t=1,v1=2" }, body = "{}" }: PostOptions = {},
): Promise<Response> {
  return fetch(`http://${address}${path}`, { method: "POST", headers, body });
}

/** A connection on which a test writes what it wants. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that came so far. */
  text(): string;
  /** All that came, when the gateway has ended the connection. */
  readonly ended: Promise<string>;
}

export function rawConnection(
  cleanup: Cleanup,
  { port }: Pick<TestGateway, "port">,
  from = "127.0.0.1",
): RawConnection {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress: from, noDelay: true });
  cleanup.add(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.setEncoding("latin1");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  const ended = new Promise<string>((resolve) => socket.once("close", () => resolve(text)));
  return { socket, text: () => text, ended };
}

/** The head of a request that says so much; the rest is the test's. */
export function head(...lines: readonly string[]): string {
  return ["POST /webhooks/simulator HTTP/1.1", "host: shop", "simulator-signature: s", ...lines, "", ""].join("\r\n");
}
