import {
  type CallOptions,
  type Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { CartServiceClient } from "#gen/shop/cart/v1/cart_service.ts";
import { CatalogServiceClient } from "#gen/shop/catalog/v1/catalog_service.ts";
import { CustomerServiceClient } from "#gen/shop/customers/v1/customer_service.ts";
import { IdentityServiceClient } from "#gen/shop/identity/v1/identity_service.ts";
import { InventoryServiceClient } from "#gen/shop/inventory/v1/inventory_service.ts";
import { CheckoutServiceClient } from "#gen/shop/orders/v1/checkout_service.ts";
import { OrderServiceClient } from "#gen/shop/orders/v1/order_service.ts";
import { PaymentServiceClient } from "#gen/shop/payments/v1/payment_service.ts";

/** The shop's services as any program sees them that was generated from the contracts. */
export interface ShopClients {
  readonly catalog: CatalogServiceClient;
  readonly inventory: InventoryServiceClient;
  readonly identity: IdentityServiceClient;
  readonly cart: CartServiceClient;
  readonly customers: CustomerServiceClient;
  readonly checkout: CheckoutServiceClient;
  readonly orders: OrderServiceClient;
  readonly payments: PaymentServiceClient;
  close(): void;
}

export function shopClients(address: string): ShopClients {
  const open = <C extends Client>(
    Type: new (address: string, creds: ReturnType<typeof credentials.createInsecure>) => C,
  ): C => new Type(address, credentials.createInsecure());
  const clients = {
    catalog: open(CatalogServiceClient),
    inventory: open(InventoryServiceClient),
    identity: open(IdentityServiceClient),
    cart: open(CartServiceClient),
    customers: open(CustomerServiceClient),
    checkout: open(CheckoutServiceClient),
    orders: open(OrderServiceClient),
    payments: open(PaymentServiceClient),
  };
  return {
    ...clients,
    close() {
      for (const client of Object.values(clients)) client.close();
    },
  };
}

/** Makes a unary call, by its name, as the end user whose access token it is. Rejects with a ServiceError. */
export function ask<C extends Client, M extends keyof C>(
  client: C,
  method: M,
  request: RequestOf<C[M]>,
  accessToken?: string | Metadata,
): Promise<ResponseOf<C[M]>> {
  // The types of request and response were taken from this very method.
  const send = client[method] as Unary<RequestOf<C[M]>, ResponseOf<C[M]>>;
  const metadata = accessToken instanceof Metadata ? accessToken : signedBy(accessToken);
  return new Promise((resolve, reject) => {
    send.call(client, request, metadata, {}, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

// The last of the forms in which ts-proto declares a method.
type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;
type RequestOf<Method> = Method extends Unary<infer Request, infer _Response> ? Request : never;
type ResponseOf<Method> = Method extends Unary<infer _Request, infer Response> ? Response : never;

/** The metadata of a call that an end user makes. */
export function signedBy(accessToken: string | undefined): Metadata {
  const metadata = new Metadata();
  if (accessToken !== undefined) metadata.set("authorization", `Bearer ${accessToken}`);
  return metadata;
}
