import { isDeepStrictEqual } from "node:util";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { GatewayAnswer } from "./payment-gateway.ts";
import { Violation, type World } from "./world.ts";

/** The decline code of an authorization that was given up. */
export const ABANDONED = "abandoned";

export type PaymentState = "PENDING" | "AUTHORIZED" | "DECLINED" | "CAPTURED" | "VOIDED" | "EXPIRED";
export type Kind = "AUTHORIZE" | "CAPTURE" | "VOID" | "REFUND";

export interface PaymentRow {
  readonly id: string;
  readonly orderId: string;
  readonly customerId: string;
  readonly amount: bigint;
  state: PaymentState;
  captured: bigint;
  refunded: bigint;
  declineCode: string;
  reference: string | undefined;
  expireMs: number;
  pending: Operation | undefined;
}

export interface Operation {
  readonly id: string;
  readonly kind: Kind;
  readonly payment: PaymentRow;
  readonly request: unknown;
  readonly amount: bigint;
  state: "PENDING" | "DONE" | "FAILED";
  failureCode: string;
  /** Which of its keys the gateway is asked under: another one after each refusal. */
  keyNumber: number;
  askedMs: number | undefined;
}

export function gatewayKey({ id, keyNumber }: Operation): string {
  return keyNumber === 1 ? id : `${id}:${keyNumber}`;
}

/** The tables of payments. Everything in here happens at once, as in a transaction. */
export class Books {
  readonly payments = new Map<string, PaymentRow>();
  readonly operations = new Map<string, Operation>();
  readonly ledger: { readonly operation: string; readonly debit: bigint; readonly credit: bigint }[] = [];
  readonly #byRequest = new Map<string, Operation>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  findLive(orderId: string): PaymentRow | undefined {
    return [...this.payments.values()].find(
      (row) => row.orderId === orderId && ["PENDING", "AUTHORIZED", "CAPTURED"].includes(row.state),
    );
  }

  earlier(kind: Kind, requestId: string, request: unknown): Operation | undefined {
    const found = this.#byRequest.get(`${kind} ${requestId}`);
    if (found === undefined || isDeepStrictEqual(found.request, request)) return found;
    throw meshFailure("REQUEST_ID_REUSED", `${kind} ${requestId}`);
  }

  forget(kind: Kind, requestId: string): void {
    this.#byRequest.delete(`${kind} ${requestId}`);
  }

  addPayment(given: Pick<PaymentRow, "orderId" | "customerId" | "amount">): PaymentRow {
    const id = `pay_${this.payments.size + 1}`;
    const fresh = { captured: 0n, refunded: 0n, declineCode: "", reference: undefined, expireMs: 0 };
    const payment: PaymentRow = { ...given, ...fresh, id, state: "PENDING", pending: undefined };
    this.payments.set(id, payment);
    return payment;
  }

  note(given: Omit<Operation, "id" | "failureCode" | "keyNumber">, requestId: string): Operation {
    const operation: Operation = { ...given, id: `op_${this.operations.size + 1}`, failureCode: "", keyNumber: 1 };
    this.operations.set(operation.id, operation);
    this.#byRequest.set(`${given.kind} ${requestId}`, operation);
    if (operation.state === "PENDING") given.payment.pending = operation;
    this.#world.changed = true;
    return operation;
  }

  /** Who asks again for what was refused is heard anew, under a key of which the gateway knows nothing yet. */
  reopen(operation: Operation, state: "PENDING" | "DONE"): Operation {
    operation.state = state;
    operation.failureCode = "";
    operation.keyNumber += 1;
    if (state === "PENDING") operation.payment.pending = operation;
    return operation;
  }

  /** Nothing when the outcome is that of another key, or there is one already. */
  complete(operation: Operation, keyNumber: number, answer: GatewayAnswer): void {
    const { payment, kind, amount } = operation;
    if (operation.state !== "PENDING" || operation.keyNumber !== keyNumber) return;
    this.#world.changed = true;
    payment.pending = undefined;
    if (answer.kind === "ok") {
      operation.state = "DONE";
      apply(payment, kind, amount, answer);
      const booked = kind === "CAPTURE" || kind === "REFUND";
      if (booked) this.ledger.push({ operation: operation.id, debit: amount, credit: amount });
      return;
    }
    operation.state = "FAILED";
    operation.failureCode = answer.code;
    if (kind === "AUTHORIZE") {
      move(payment, "PENDING", "DECLINED");
      payment.declineCode = answer.code;
    } else if (answer.kind === "refused" && payment.state === "AUTHORIZED") {
      if (answer.state === "VOIDED" || answer.state === "EXPIRED") payment.state = answer.state;
    }
  }
}

function apply(payment: PaymentRow, kind: Kind, amount: bigint, answer: GatewayAnswer & { kind: "ok" }): void {
  switch (kind) {
    case "AUTHORIZE":
      move(payment, "PENDING", "AUTHORIZED");
      payment.reference = answer.id;
      payment.expireMs = answer.expireMs;
      return;
    case "CAPTURE":
      move(payment, "AUTHORIZED", "CAPTURED");
      payment.captured = amount;
      return;
    case "VOID":
      move(payment, "AUTHORIZED", "VOIDED");
      return;
    case "REFUND":
      move(payment, "CAPTURED", "CAPTURED");
      payment.refunded += amount;
      if (payment.refunded > payment.captured) throw new Violation(`${payment.id} gave back too much`);
  }
}

function move(payment: PaymentRow, from: PaymentState, to: PaymentState): void {
  if (payment.state !== from) throw new Violation(`${payment.id} is ${payment.state} and cannot become ${to}`);
  payment.state = to;
}
