import type { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import { SendShippingUpdateRequest_Event } from "#gen/shop/notifications/v1/notification_service.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Order } from "./domain-order.ts";
import type { DoErrand } from "./errands.ts";
import { describeError } from "./step-outcome.ts";
import { getOrder } from "./store.ts";

/** What notifications takes of a title, at the most. */
const MAX_TITLE = 500;
const MAX_SHIPPING_TITLE = 100;

/** Has notifications write a mail to the buyer; nothing is written to one whose address was erased. */
export const sendMail =
  ({
    db,
    notifications,
  }: {
    readonly db: Database;
    readonly notifications: Client<typeof NotificationService>;
  }): DoErrand =>
  async ({ orderId, kind, subject, amount }, call) => {
    const order = await getOrder(db, orderId);
    if (order === undefined || order.email === "") return undefined;
    const { customerId, email, currencyCode } = order;
    const to = { recipient: { orderId, customerId, email } };
    const sent = await (() => {
      switch (kind) {
        case "mail_confirmation":
          return notifications.try.sendOrderConfirmation(
            { ...to, ...confirmationOf(order), requestId: `${orderId}:confirmation` },
            call,
          );
        case "mail_shipped":
        case "mail_delivered": {
          const [event, name] =
            kind === "mail_shipped"
              ? ([SendShippingUpdateRequest_Event.SHIPPED, "shipped"] as const)
              : ([SendShippingUpdateRequest_Event.DELIVERED, "delivered"] as const);
          const request = { ...to, requestId: `${orderId}:${name}`, shipmentId: subject, event };
          return notifications.try.sendShippingUpdate(request, call);
        }
        default: {
          const refund = { refundKey: subject, amount: { currencyCode, minorUnits: amount } };
          return notifications.try.sendRefundNotice({ ...to, ...refund, requestId: `${orderId}:${subject}` }, call);
        }
      }
    })();
    return sent.ok ? undefined : describeError(sent.error);
  };

/** What a confirmation tells: the order as it was placed. */
function confirmationOf({ lines, currencyCode, subtotal, total, address, shippingOption }: Order) {
  const money = (minorUnits: bigint) => ({ currencyCode, minorUnits });
  return {
    lines: lines.map(({ sku, title, quantity, lineTotal }) => ({
      sku,
      title: title.slice(0, MAX_TITLE),
      quantity,
      lineTotal: money(lineTotal),
    })),
    subtotal: money(subtotal),
    shippingPrice: shippingOption.price,
    total: money(total),
    address: { ...address, lines: [...address.lines] },
    shippingTitle: shippingOption.title.slice(0, MAX_SHIPPING_TITLE),
    minDays: shippingOption.minDays,
    maxDays: shippingOption.maxDays,
  };
}
