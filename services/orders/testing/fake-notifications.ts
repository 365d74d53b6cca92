import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import {
  type SendOrderConfirmationRequest,
  type SendRefundNoticeRequest,
  type SendShippingUpdateRequest,
  SendShippingUpdateRequest_Event,
} from "#gen/shop/notifications/v1/notification_service.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { type Interference, partialService } from "./partial-service.ts";

/** Mails in memory. */
export interface FakeNotifications {
  /** What was asked for of an order, in order, each once: `confirmation`, `shipped`, `delivered`, `refund of 490`. */
  mailsOf(orderId: string): readonly string[];
  /** The confirmations as they were asked for. */
  readonly confirmations: SendOrderConfirmationRequest[];
  readonly service: Implementation;
}

export function fakeNotifications(interference: Interference): FakeNotifications {
  const mails = new Map<string, { readonly orderId: string; readonly what: string }>();
  const confirmations: SendOrderConfirmationRequest[] = [];
  const write = (requestId: string, orderId: string | undefined, what: string) => {
    if (!mails.has(requestId)) mails.set(requestId, { orderId: orderId ?? "", what });
    return { notification: undefined };
  };
  const handlers = {
    sendOrderConfirmation: async (request: SendOrderConfirmationRequest) => {
      confirmations.push(request);
      return write(request.requestId, request.recipient?.orderId, "confirmation");
    },
    sendShippingUpdate: async ({ requestId, recipient, event }: SendShippingUpdateRequest) =>
      write(requestId, recipient?.orderId, event === SendShippingUpdateRequest_Event.SHIPPED ? "shipped" : "delivered"),
    sendRefundNotice: async ({ requestId, recipient, amount }: SendRefundNoticeRequest) =>
      write(requestId, recipient?.orderId, `refund of ${amount?.minorUnits}`),
  };
  return {
    mailsOf: (orderId) => [...mails.values()].flatMap((mail) => (mail.orderId === orderId ? [mail.what] : [])),
    confirmations,
    service: partialService(NotificationService, handlers, interference),
  };
}
