import { type Payment, Payment_State, type Refund } from "#gen/shop/payments/v1/payment.ts";
import type { OperationRow } from "./operation-store.ts";
import type { PaymentRow } from "./store.ts";

/** A payment as the contract shows it. */
export function paymentMessage(row: PaymentRow): Payment {
  const { currencyCode } = row;
  return {
    id: row.id,
    orderId: row.orderId,
    customerId: row.customerId,
    state: Payment_State[row.state],
    amount: { currencyCode, minorUnits: row.amount },
    captured: { currencyCode, minorUnits: row.captured },
    refunded: { currencyCode, minorUnits: row.refunded },
    provider: row.provider,
    providerReference: row.authorizationReference ?? "",
    declineCode: row.declineCode ?? "",
    expireTime: row.state === "AUTHORIZED" ? row.expireTime : undefined,
    createTime: row.createTime,
    updateTime: row.updateTime,
  };
}

/** A refund that was done, as the contract shows it. */
export function refundMessage(operation: OperationRow, currencyCode: string): Refund {
  return {
    id: operation.id,
    paymentId: operation.paymentId,
    amount: { currencyCode, minorUnits: operation.amount },
    note: operation.note,
    providerReference: operation.providerReference ?? "",
    createTime: operation.createTime,
  };
}
