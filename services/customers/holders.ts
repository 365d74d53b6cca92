import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { PersonalDataErasure, PersonalRecord } from "#gen/shop/type/v1/personal_data.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { Call } from "#mesh/rpc/call.ts";

/** Another service that holds something personal. */
export interface Holder {
  readonly service: string;
  readonly client: HolderClient;
}

/** What all of them have in common. */
export interface HolderClient {
  exportCustomerData(
    request: { readonly customerId: string },
    call: Call,
  ): AsyncIterable<{ readonly record: PersonalRecord | undefined }>;
  eraseCustomerData(
    request: { readonly requestId: string; readonly customerId: string },
    call: Call,
  ): Promise<{ readonly erasures: readonly PersonalDataErasure[] }>;
}

/**
 * All of them, in the order in which they are shown. The other services hold nothing on people: catalog and control not even
 * their ids, inventory and the gateway none but those of orders.
 */
export function holdersBy({ client }: Pick<Mesh, "client">): readonly Holder[] {
  return [
    { service: "identity", client: client(IdentityService) },
    { service: "cart", client: client(CartService) },
    { service: "orders", client: client(OrderService) },
    { service: "payments", client: client(PaymentService) },
    { service: "shipping", client: client(ShippingService) },
    { service: "notifications", client: client(NotificationService) },
  ];
}
