import {
  SendOrderConfirmationRequest,
  SendRefundNoticeRequest,
  SendShippingUpdateRequest,
} from "#gen/shop/notifications/v1/notification_service.ts";
import type { Address as AddressMessage } from "#gen/shop/type/v1/address.ts";
import type { Money as MoneyMessage } from "#gen/shop/type/v1/money.ts";
import type { Kind } from "./domain.ts";
import { htmlOf } from "./domain-html.ts";
import { type Letter, type Occasion, pageOf } from "./domain-page.ts";
import { textOf } from "./domain-text.ts";

// What a mail has to tell is kept as its request, in the contract's own encoding: a row that an older release wrote is
// read by the contract's rules. Whom it goes to stands beside it.

/** A request to confirm an order as it is kept. */
export function confirmationLetter(request: SendOrderConfirmationRequest): Uint8Array {
  return SendOrderConfirmationRequest.encode({ ...request, requestId: "", recipient: undefined }).finish();
}

/** A request to tell where goods are, as it is kept. */
export function shippingLetter(request: SendShippingUpdateRequest): Uint8Array {
  return SendShippingUpdateRequest.encode({ ...request, requestId: "", recipient: undefined }).finish();
}

/** A request to tell of a refund, as it is kept. */
export function refundLetter(request: SendRefundNoticeRequest): Uint8Array {
  return SendRefundNoticeRequest.encode({ ...request, requestId: "", recipient: undefined }).finish();
}

/** The words of a mail, the same whenever they are made. */
export interface Words {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** Reads what is kept, and writes it out. */
export function writeMail(kind: Kind, letter: Uint8Array, occasion: Occasion): Words {
  const page = pageOf(readLetter(kind, letter), occasion);
  return { subject: page.subject, text: textOf(page), html: htmlOf(page) };
}

function readLetter(kind: Kind, bytes: Uint8Array): Letter {
  switch (kind) {
    case "ORDER_CONFIRMATION":
      return confirmation(SendOrderConfirmationRequest.decode(bytes));
    case "SHIPPED":
    case "DELIVERED":
      return { kind, shipmentId: SendShippingUpdateRequest.decode(bytes).shipmentId };
    case "REFUND":
      return { kind, amount: required(SendRefundNoticeRequest.decode(bytes).amount) };
  }
}

function confirmation(request: SendOrderConfirmationRequest): Letter {
  return {
    kind: "ORDER_CONFIRMATION",
    lines: request.lines.map(({ sku, title, quantity, lineTotal }) => ({ sku, title, quantity, total: lineTotal })),
    subtotal: required(request.subtotal),
    shippingPrice: required(request.shippingPrice),
    total: required(request.total),
    address: required(request.address),
    shippingTitle: request.shippingTitle,
    minDays: request.minDays,
    maxDays: request.maxDays,
  };
}

/** A part that the contract wants in every such request. */
function required<T extends MoneyMessage | AddressMessage>(part: T | undefined): T {
  if (part === undefined) throw new Error("a letter lacks a part that its contract requires");
  return part;
}
