import type { NewOrder } from "../store.ts";

/** An order for tests: two lines of 10.00 and 4.90 for sending. */
export function newOrder(changes: Partial<NewOrder> & { readonly id: string }): NewOrder {
  return {
    customerId: "usr_1",
    requestId: `request-of-${changes.id}`,
    requestHash: Buffer.from("hash"),
    cartId: "cart_1",
    lines: [
      {
        sku: "SKU-1",
        title: "Motor",
        quantity: 1n,
        unitPrice: 500n,
        lineTotal: 500n,
        packed: { weightGrams: 250, lengthMm: 120, widthMm: 80, heightMm: 60 },
        announcedQuantity: 0n,
        returnedQuantity: 0n,
      },
      {
        sku: "SKU-2",
        title: "Gearbox, 1:5",
        quantity: 2n,
        unitPrice: 250n,
        lineTotal: 500n,
        packed: { weightGrams: 250, lengthMm: 120, widthMm: 80, heightMm: 60 },
        announcedQuantity: 0n,
        returnedQuantity: 0n,
      },
    ],
    currencyCode: "EUR",
    subtotal: 1_000n,
    total: 1_490n,
    email: "buyer@example.com",
    address: {
      recipient: "Ada Buyer",
      lines: ["Street 1"],
      city: "Berlin",
      postalCode: "10115",
      region: "",
      countryCode: "DE",
      phone: "",
    },
    shippingOption: {
      id: "standard",
      title: "Standard",
      price: { currencyCode: "EUR", minorUnits: 490n },
      minDays: 2,
      maxDays: 4,
    },
    rateId: "rate_1",
    ...changes,
  };
}
