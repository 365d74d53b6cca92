import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { noteAuthorization, wishOf } from "./authorization.ts";
import { abandonAfterMs } from "./operations.ts";
import type { PaymentGateway } from "./payment-gateway.ts";
import { voidAbandoned } from "./settler.ts";
import {
  dieAfterwards,
  elsewhere,
  eur,
  gate,
  ordersOf,
  type PaymentsShop,
  passOn,
  startPayments,
} from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, list, settle, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
  shop.asked = 0;
});

const newRequest = () => ({ orderId: newId("ord"), requestId: newId("req") });
const gone = { state: Payment_State.DECLINED, declineCode: "abandoned" };
const abandoned = {
  ok: false,
  error: { reason: "PAYMENT_DECLINED", metadata: { decline_code: "abandoned" } },
};

describe("settling an authorization", () => {
  test("that nobody asked for ends it: who asks later is declined, and the gateway never hears of it", async () => {
    const request = newRequest();
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: gone } });
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: gone } });
    expect(await authorize(request)).toMatchObject(abandoned);
    expect(await list(request.orderId)).toMatchObject({ payments: [gone] });
    expect(shop.asked).toBe(0);
    // The order is free for another payment.
    await authorized({ orderId: request.orderId });
  });

  test("that came about answers with the payment, whatever became of it since", async () => {
    const request = newRequest();
    const paymentId = await authorized(request);
    expect(await settle(request)).toMatchObject({
      ok: true,
      value: { payment: { id: paymentId, state: Payment_State.AUTHORIZED } },
    });
    await capture(paymentId);
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.CAPTURED } } });
  });

  test("that was declined answers with the payment", async () => {
    const request = newRequest();
    await authorize({ ...request, token: "tok_declined" });
    expect(await settle(request)).toMatchObject({
      ok: true,
      value: { payment: { state: Payment_State.DECLINED, declineCode: "card_declined" } },
    });
  });

  test("whose answer was lost finds it at the gateway", async () => {
    const request = newRequest();
    shop.lose = dieAfterwards;
    await authorize(request);
    shop.lose = passOn;
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.AUTHORIZED } } });
    expect(await types(request.orderId)).toEqual(["authorization"]);
  });

  test("is refused for another request, another payment's order, and another currency", async () => {
    const request = newRequest();
    await authorized(request);
    expect(await settle({ ...request, amount: eur(1n) })).toMatchObject({
      ok: false,
      error: { reason: "REQUEST_ID_REUSED" },
    });
    expect(await settle({ ...request, requestId: newId("req") })).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "ORDER_HAS_PAYMENT" },
    });
    const amount = { currencyCode: "USD", minorUnits: 1n };
    expect(await settle({ ...newRequest(), amount })).toMatchObject({
      ok: false,
      error: { reason: "CURRENCY_MISMATCH" },
    });
  });
});

/** The wish that `authorize` and `settle` have for the same request. */
const wish = (request: { orderId: string; requestId: string }) =>
  wishOf(
    shop.deps,
    { caller: "orders", user: undefined },
    { ...request, customerId: "usr_payer", amount: eur(5_000n) },
  );

describe("an authorization that the gateway has not heard of", () => {
  /** The process ends between noting the authorization and asking for it. */
  const noteOnly = (request: { orderId: string; requestId: string }): Promise<unknown> =>
    shop.deps.db.transaction((tx) => noteAuthorization(shop.deps, tx, wish(request), "asked"));

  test("is unknown while a request may be on its way, and then given up", async () => {
    const request = newRequest();
    await noteOnly(request);
    shop.clock.advance(abandonAfterMs(shop.deps.gateway) - 1);
    expect(await settle(request)).toMatchObject({ ok: false, error: { reason: "OUTCOME_UNKNOWN" } });
    shop.clock.advance(1);
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: gone } });
    expect(await authorize(request)).toMatchObject(abandoned);
    expect(shop.asked).toBe(0);
  });

  test("is not given up when it is asked for again at that moment", async () => {
    const request = newRequest();
    await noteOnly(request);
    shop.clock.advance(abandonAfterMs(shop.deps.gateway));
    const held = gate();
    shop.lose = async (answered) => {
      await held.opened;
      return answered;
    };
    let asking: Promise<unknown> | undefined;
    const gateway: PaymentGateway = {
      ...shop.deps.gateway,
      lookUp: async () => {
        asking ??= authorize(request);
        await expect.poll(() => shop.asked).toBe(1);
        return { kind: "absent" };
      },
    };
    await elsewhere(shop, { gateway }, async (orders) => {
      expect(await orders.settle(request)).toMatchObject({ ok: false, error: { reason: "OUTCOME_UNKNOWN" } });
    });
    held.open();
    expect(await asking).toMatchObject({ ok: true });
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.AUTHORIZED } } });
  });

  test("is noted anew before it is sent, when the process stood still in between", async () => {
    const request = newRequest();
    const { db, clock, gateway } = shop.deps;
    let stoodStill = false;
    const slow: Database = {
      ...db,
      transaction: async (work, options) => {
        const result = await db.transaction(work, options);
        if (!stoodStill) shop.clock.advance(5_000);
        stoodStill = true;
        return result;
      },
    };
    const ages: number[] = [];
    const watched: PaymentGateway = {
      ...gateway,
      authorize: async (ask) => {
        const [row] = await db.query<{ time: Date }>("select asked_time as time from operations where id = $1", [
          ask.key,
        ]);
        ages.push(clock.now().getTime() - (row?.time.getTime() ?? 0));
        return gateway.authorize(ask);
      },
    };
    await elsewhere(shop, { db: slow, gateway: watched }, async (orders) => {
      expect(await orders.authorize(request)).toMatchObject({ ok: true });
    });
    expect(ages).toEqual([0]);
  });

  test("that turns up after it was given up is voided; what never was asked for is not looked up", async () => {
    const [asked, fenced] = [newRequest(), newRequest()];
    await settle(fenced);
    await noteOnly(asked);
    shop.clock.advance(abandonAfterMs(shop.deps.gateway));
    await settle(asked);
    const [operation] = await shop.database.db.query<{ id: string }>(
      "select id from operations where request_id = $1",
      [asked.requestId],
    );
    const { gateway } = shop.deps;
    await gateway.authorize({
      ...{ key: operation?.id ?? "", firstAskedTime: shop.clock.now(), amount: 5_000n, currencyCode: "EUR" },
      ...{ paymentToken: "tok_visa", reference: asked.orderId },
    });
    const lookedUp: string[] = [];
    const watched: PaymentGateway = {
      ...gateway,
      lookUp: (operationAsked) => {
        lookedUp.push(operationAsked.key);
        return gateway.lookUp(operationAsked);
      },
    };
    await voidAbandoned({ ...shop.deps, gateway: watched }, new AbortController().signal);
    expect(await types(asked.orderId)).toEqual(["authorization", "void"]);
    expect(lookedUp).toContain(operation?.id);
    const fences = await shop.database.db.query<{ id: string }>("select id from operations where asked_time is null");
    expect(fences.length).toBeGreaterThan(0);
    expect(lookedUp).not.toEqual(expect.arrayContaining([fences[0]?.id]));
  });
});

describe("authorizing and settling at once", () => {
  /** Resolves when somebody waits for a lock in this database. */
  const untilWaiting = () =>
    expect
      .poll(
        () =>
          shop.database.db.query(
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
          ),
        { interval: 5, timeout: 10_000 },
      )
      .toHaveLength(1);

  test("ends as given up when settling writes first, though it has not committed yet", async () => {
    const request = newRequest();
    const held = gate();
    const fencing = shop.deps.db.transaction(async (tx) => {
      await noteAuthorization(shop.deps, tx, wish(request), "abandoned");
      await held.opened;
    });
    const asking = authorize(request);
    await untilWaiting();
    held.open();
    await fencing;
    expect(await asking).toMatchObject(abandoned);
    expect(shop.asked).toBe(0);
  });

  test("ends as authorized when authorizing writes first, though it has not committed yet", async () => {
    const request = newRequest();
    const held = gate();
    const noting = shop.deps.db.transaction(async (tx) => {
      await noteAuthorization(shop.deps, tx, wish(request), "asked");
      await held.opened;
    });
    const settling = settle(request);
    await untilWaiting();
    held.open();
    await noting;
    expect(await settling).toMatchObject({ ok: false, error: { reason: "OUTCOME_UNKNOWN" } });
    expect(await authorize(request)).toMatchObject({ ok: true });
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.AUTHORIZED } } });
  });

  test("ends in exactly one of the two ways, whoever is faster", async () => {
    for (let round = 0; round < 20; round += 1) {
      const request = newRequest();
      const [taken, settled] = await Promise.all([
        ...(round % 2 === 0 ? [authorize(request), settle(request)] : [settle(request), authorize(request)]),
      ]);
      const final = await settle(request);
      if (!final.ok) throw final.error;
      const state = final.value.payment?.state;
      expect(await types(request.orderId)).toEqual(state === Payment_State.AUTHORIZED ? ["authorization"] : []);
      expect([taken?.ok, settled?.ok]).toContain(true);
      expect(await list(request.orderId)).toMatchObject({ payments: [{ state }] });
    }
  });
});
