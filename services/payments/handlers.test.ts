import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { eur, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, captured, get, letGo, list, refund, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

describe("a payment", () => {
  test("is authorized, captured, and given back in parts", async () => {
    const orderId = newId("ord");
    const before = await shop.books();
    const paymentId = await captured({ orderId });
    expect(await refund(paymentId, 2_000n)).toMatchObject({ ok: true, value: { refund: { amount: eur(2_000n) } } });
    expect(await refund(paymentId, 3_000n)).toMatchObject({ ok: true });
    expect(await refund(paymentId, 1n)).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "AMOUNT_TOO_LARGE", metadata: { limit_minor_units: "0" } },
    });
    expect(await get(paymentId)).toMatchObject({
      state: Payment_State.CAPTURED,
      captured: eur(5_000n),
      refunded: eur(5_000n),
    });
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund", "refund"]);
    const after = await shop.books();
    expect(after.debit).toBe(after.credit);
    expect(after.owed).toBe(before.owed);
    expect(after.debit - before.debit).toBe(10_000n);
  });

  test("is let go, and then cannot be captured", async () => {
    const paymentId = await authorized();
    expect(await letGo(paymentId)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.VOIDED } } });
    expect(await letGo(paymentId)).toMatchObject({ ok: true });
    expect(await capture(paymentId)).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "VOIDED" } },
    });
  });

  test("that was captured cannot be let go", async () => {
    const paymentId = await captured();
    expect(await letGo(paymentId)).toMatchObject({ ok: false, error: { reason: "STATE_CONFLICT" } });
  });

  test.each([
    ["tok_declined", "card_declined"],
    ["tok_insufficient_funds", "insufficient_funds"],
    ["tok_of_nobody", "invalid_token"],
  ])("with %s is declined for good, and leaves the order free for another", async (token, declineCode) => {
    const [orderId, requestId] = [newId("ord"), newId("req")];
    for (let copy = 0; copy < 2; copy += 1) {
      expect(await authorize({ orderId, token, requestId })).toMatchObject({
        ok: false,
        error: { code: "FAILED_PRECONDITION", reason: "PAYMENT_DECLINED", metadata: { decline_code: declineCode } },
      });
    }
    await authorized({ orderId });
  });

  test("is one for an order, until it is let go", async () => {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    expect(await authorize({ orderId })).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "ORDER_HAS_PAYMENT", metadata: { payment_id: paymentId } },
    });
    await letGo(paymentId);
    await authorized({ orderId });
  });

  test("in another currency is refused, naming the shop's", async () => {
    expect(await authorize({ amount: { currencyCode: "USD", minorUnits: 1n } })).toMatchObject({
      ok: false,
      error: { code: "INVALID_ARGUMENT", reason: "CURRENCY_MISMATCH", metadata: { currency_code: "EUR" } },
    });
  });

  test.each([0n, -1n])("of %s is refused, naming the field", async (minorUnits) => {
    const result = await authorize({ amount: eur(minorUnits) });
    if (result.ok) throw new Error("it was admitted");
    expect(result.error.code).toBe("INVALID_ARGUMENT");
    expect(result.error.violations.some(({ field }) => field.startsWith("amount"))).toBe(true);
  });

  test("of the largest amount there is passes exactly", async () => {
    const amount = eur(2_000_000_000_000_000n);
    const paymentId = await authorized({ amount });
    expect((await get(paymentId))?.amount).toEqual(amount);
  });

  test("is seen by its payer and by support, and by nobody else", async () => {
    const paymentId = await authorized();
    const client = shop.mesh.mesh("gateway").client(PaymentService);
    const see = (user: { id: string; roles?: string[] }) =>
      client.try.getPayment({ paymentId }, shop.mesh.call({ user }));
    expect((await see({ id: "usr_payer" })).ok).toBe(true);
    expect((await see({ id: "usr_other", roles: ["support"] })).ok).toBe(true);
    expect(await see({ id: "usr_other" })).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND", reason: "PAYMENT_NOT_FOUND" },
    });
  });

  test("cannot be asked for from outside", async () => {
    const request = { requestId: newId("req"), paymentId: "pay_1", amount: undefined };
    const client = shop.mesh.mesh("gateway").client(PaymentService);
    expect(await client.try.capturePayment(request, shop.mesh.call({ user: { roles: ["admin"] } }))).toMatchObject({
      ok: false,
      error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" },
    });
  });

  test("is listed with the others of its order, page by page", async () => {
    const orderId = newId("ord");
    for (let at = 0; at < 3; at += 1) await letGo(await authorized({ orderId }));
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await list(orderId, 2, pageToken);
      ids.push(...page.payments.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids).toHaveLength(3);
    expect(ids).toEqual(ids.toSorted().reverse());
  });
});

describe("the ledger", () => {
  test("cannot be changed, nor made not to balance", async () => {
    const paymentId = await captured();
    const { db } = shop.database;
    await expect(db.query("update ledger_lines set debit = debit + 1 where debit > 0")).rejects.toThrow(
      "only ever added",
    );
    await expect(db.query("delete from ledger_lines")).rejects.toThrow("only ever added");
    await expect(
      db.query(
        `insert into ledger_lines (operation_id, account, currency, debit, credit, create_time)
         select id, 'elsewhere', 'EUR', 1, 0, now() from operations where payment_id = $1 and kind = 'CAPTURE'`,
        [paymentId],
      ),
    ).rejects.toThrow("does not balance");
  });

  test("tells what the gateway owes, to the unit", async () => {
    const { owed, debit, credit } = await shop.books();
    expect(debit).toBe(credit);
    const [sums] = await shop.database.db.query<{ kept: bigint }>(
      "select sum(captured - refunded)::bigint as kept from payments",
    );
    expect(owed).toBe(sums?.kept);
  });
});

test("the payment token is in no table and no log line", async () => {
  const token = "tok_secret_of_the_card";
  await authorize({ token });
  for (const table of ["payments", "operations", "ledger_lines", "webhook_events", "once_requests"]) {
    const session = await shop.database.db.session();
    const rows = await session.query<{ row: string }>(`select t::text as row from "${table}" t`);
    await session.close();
    expect(rows.map(({ row }) => row).join("\n")).not.toContain(token);
  }
  expect(JSON.stringify(shop.mesh.logs)).not.toContain(token);
});
