import { afterEach, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ReconcilePaymentsResponse } from "#gen/shop/payments/v1/payment_service.ts";
import {
  type Discrepancy,
  Discrepancy_Kind,
  Discrepancy_State,
  type ReconciledTotal,
} from "#gen/shop/payments/v1/reconciliation.ts";
import { implement } from "#mesh/contract/contract.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { captureOutput } from "../testing/programs.ts";
import { reconcile } from "./reconcile.ts";

let mesh: TestMesh | undefined;

afterEach(() => mesh?.close());

const total: ReconciledTotal = {
  ...{ currencyCode: "EUR", paymentsMinorUnits: 4_000n, ledgerMinorUnits: 4_000n, gatewayMinorUnits: 4_000n },
  ...{ underWayMinorUnits: 0n, unexplainedMinorUnits: 0n },
};
const well: ReconcilePaymentsResponse = {
  ...{ provider: "simulator", transactionCount: 1, paymentCount: 1, differingCount: 0, repairedCount: 0 },
  ...{ openCount: 0, underWayCount: 0, complete: true, totals: [total], reconcileTime: new Date(0) },
};
const foreign: Discrepancy = {
  ...{ id: "dis_1", provider: "simulator", kind: Discrepancy_Kind.MISSING_IN_BOOKS, state: Discrepancy_State.OPEN },
  ...{ paymentId: "", providerReference: "auth_1", currencyCode: "EUR", ourState: Payment_State.UNSPECIFIED },
  ...{ gatewayState: Payment_State.CAPTURED, ourMinorUnits: 0n, gatewayMinorUnits: 500n },
  ...{ createTime: new Date(0), updateTime: new Date(0) },
};

/** Runs the command against payments that gives these answers, one after another. */
async function run(answers: ReconcilePaymentsResponse[], discrepancies: Discrepancy[] = [], json = false) {
  const notAsked = async (): Promise<never> => {
    throw new Error("nobody asks for this");
  };
  mesh = await startTestMesh({
    payments: () => [
      implement(PaymentService, {
        ...{ authorizePayment: notAsked, settleAuthorization: notAsked, capturePayment: notAsked },
        ...{ voidPayment: notAsked, createRefund: notAsked, getPayment: notAsked, listPayments: notAsked },
        ...{ handleWebhook: notAsked, getLedgerBalances: notAsked, eraseCustomerData: notAsked },
        exportCustomerData: async function* () {},
        reconcilePayments: async () => answers.shift() ?? notAsked(),
        listDiscrepancies: async () => ({ discrepancies, nextPageToken: "" }),
      }),
    ],
  });
  const output = captureOutput();
  const exitCode = await reconcile({ mesh: mesh.mesh("operator"), output, json });
  return { exitCode, text: output.text() };
}

test("shows the totals of books that agree, and exits with 0", async () => {
  expect(await run([well])).toEqual({
    exitCode: 0,
    text: [
      "books compared with simulator's",
      "0 repaired, 0 open, 0 under way",
      "",
      "captured and not given back, in minor units:",
      "CURRENCY  PAYMENTS  LEDGER  GATEWAY  UNDER WAY  UNEXPLAINED",
      "EUR       4000      4000    4000     0          0",
      "",
    ].join("\n"),
  });
});

test("goes on until all is compared", async () => {
  const more = { ...well, complete: false };
  const answers = [more, more, well];
  expect(await run(answers)).toMatchObject({ exitCode: 0 });
  expect(answers).toEqual([]);
});

test("shows what differs, and exits with 1", async () => {
  const { exitCode, text } = await run([{ ...well, openCount: 1 }], [foreign]);
  expect(exitCode).toBe(1);
  expect(text).toContain("dis_1        MISSING_IN_BOOKS  -        auth_1          EUR       -     CAPTURED 500\n");
});

test.each([
  ["a total that nothing explains", { unexplainedMinorUnits: 1n }],
  ["payments that the ledger does not have", { ledgerMinorUnits: 3_999n }],
])("exits with 1 upon %s", async (_what, wrong) => {
  expect(await run([{ ...well, totals: [{ ...total, ...wrong }] }])).toMatchObject({ exitCode: 1 });
});

test("gives programs all of it", async () => {
  const { exitCode, text } = await run([{ ...well, openCount: 1 }], [foreign], true);
  expect(exitCode).toBe(1);
  expect(JSON.parse(text)).toMatchObject({
    agrees: false,
    totals: [{ currencyCode: "EUR", paymentsMinorUnits: "4000" }],
    discrepancies: [{ id: "dis_1", kind: "MISSING_IN_BOOKS", gatewayMinorUnits: "500" }],
  });
});
