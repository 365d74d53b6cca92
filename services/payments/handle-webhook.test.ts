import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { ordersOf, type PaymentsShop, startPayments, WEBHOOK_SECRET } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorized, get } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

describe("a webhook", () => {
  const send = (body: object | string, options: { at?: Date; secret?: string; provider?: string } = {}) => {
    const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const seconds = Math.floor((options.at ?? shop.clock.now()).getTime() / 1_000);
    const digest = createHmac("sha256", options.secret ?? WEBHOOK_SECRET)
      .update(`${seconds}.`)
      .update(bytes)
      .digest("hex");
    return shop.mesh
      .mesh("gateway")
      .client(PaymentService)
      .try.handleWebhook(
        { provider: options.provider ?? "simulator", signature: `t=${seconds},v1=${digest}`, body: bytes },
        shop.mesh.call(),
      );
  };

  test("is taken in once, and brings the payment to the gateway's own record", async () => {
    const paymentId = await authorized();
    const reference = (await get(paymentId))?.providerReference ?? "";
    // Somebody lets it go at the gateway itself.
    await shop.deps.gateway.void({
      key: newId("voi"),
      firstAskedTime: shop.clock.now(),
      authorizationReference: reference,
    });
    const event = { id: newId("evt"), authorization_id: reference };
    expect(await send(event)).toMatchObject({ ok: true, value: { eventId: event.id, first: true } });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: false } });
    expect((await get(paymentId))?.state).toBe(Payment_State.VOIDED);
  });

  test("with a wrong or an old signature is refused, and so is one of another gateway", async () => {
    const event = { id: newId("evt") };
    const refused = { ok: false, error: { code: "UNAUTHENTICATED", reason: "SIGNATURE_INVALID" } };
    expect(await send(event, { secret: "another" })).toMatchObject(refused);
    expect(await send(event, { at: new Date(shop.clock.now().getTime() - 301_000) })).toMatchObject(refused);
    expect(await send(event, { provider: "nobody" })).toMatchObject({
      ok: false,
      error: { reason: "PROVIDER_UNKNOWN" },
    });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: true } });
  });
});
