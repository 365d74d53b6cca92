import type { Kind } from "./domain.ts";
import { arrivalText, countryText, countText, dayText, type Money, moneyText, oneLine } from "./domain-words.ts";

/** What a mail has to tell. */
export type Letter =
  | Confirmation
  | { readonly kind: "SHIPPED" | "DELIVERED"; readonly shipmentId: string }
  | { readonly kind: "REFUND"; readonly amount: Money };

/** That an order was accepted. */
export interface Confirmation {
  readonly kind: "ORDER_CONFIRMATION";
  readonly lines: readonly Line[];
  readonly subtotal: Money;
  readonly shippingPrice: Money;
  readonly total: Money;
  readonly address: Address;
  /** How the goods go; empty when that is not told. */
  readonly shippingTitle: string;
  readonly minDays: number;
  readonly maxDays: number;
}

/** What was bought, and what all of it costs, if that matters. */
export interface Line {
  readonly sku: string;
  readonly title: string;
  readonly quantity: bigint;
  readonly total: Money | undefined;
}

export interface Address {
  readonly recipient: string;
  readonly lines: readonly string[];
  readonly city: string;
  readonly postalCode: string;
  readonly region: string;
  readonly countryCode: string;
}

/** Of which order, from which shop, and when the mail was asked for. */
export interface Occasion {
  readonly orderId: string;
  readonly shop: string;
  readonly time: Date;
}

/** A mail before it is text or HTML, so that both say the same. Every text in it is one line and may hold anything. */
export interface Page {
  readonly subject: string;
  readonly shop: string;
  readonly heading: string;
  readonly blocks: readonly Block[];
  /** Why somebody gets this mail. */
  readonly footer: string;
}

export type Block =
  | { readonly kind: "paragraph"; readonly text: string }
  | { readonly kind: "facts"; readonly facts: readonly Fact[] }
  | { readonly kind: "items"; readonly items: readonly Item[]; readonly sums: readonly Sum[] }
  | { readonly kind: "address"; readonly label: string; readonly lines: readonly string[] };

export interface Fact {
  readonly label: string;
  readonly value: string;
}

export interface Item {
  readonly title: string;
  readonly detail: string;
  /** Empty when it is not told. */
  readonly amount: string;
}

export interface Sum {
  readonly label: string;
  readonly amount: string;
  readonly isTotal: boolean;
}

const HEADINGS: Readonly<Record<Kind, string>> = {
  ORDER_CONFIRMATION: "Thank you for your order",
  SHIPPED: "Your order is on its way",
  DELIVERED: "Your order has arrived",
  REFUND: "We have sent you a refund",
};

/** The subject of a mail: which order it is about is all that there is in it of somebody else's. */
export function subjectOf(kind: Kind, orderId: string): string {
  return `${HEADINGS[kind]} (${oneLine(orderId)})`;
}

/** What a mail says, and in which order. */
export function pageOf(letter: Letter, { orderId, shop, time }: Occasion): Page {
  const order: Fact = { label: "Order", value: oneLine(orderId) };
  return {
    subject: subjectOf(letter.kind, orderId),
    shop: oneLine(shop),
    heading: HEADINGS[letter.kind],
    blocks: blocksOf(letter, order, time),
    footer: `You get this mail because this address was given for an order at ${oneLine(shop)}.`,
  };
}

function blocksOf(letter: Letter, order: Fact, time: Date): readonly Block[] {
  switch (letter.kind) {
    case "ORDER_CONFIRMATION":
      return confirmation(letter, order, time);
    case "SHIPPED":
      return [
        paragraph("Hello,"),
        paragraph("Your goods have left our warehouse. We write again when they have arrived."),
        facts(order, { label: "Shipment", value: oneLine(letter.shipmentId) }, { label: "Sent", value: dayText(time) }),
      ];
    case "DELIVERED":
      return [
        paragraph("Hello,"),
        paragraph("Your goods were delivered. If something is missing or broken, please answer this mail."),
        facts(
          order,
          { label: "Shipment", value: oneLine(letter.shipmentId) },
          { label: "Delivered", value: dayText(time) },
        ),
      ];
    case "REFUND":
      return [
        paragraph("Hello,"),
        paragraph("We have sent money back the way you paid. Your bank may take a few days to show it."),
        facts(order, { label: "Amount", value: moneyText(letter.amount) }, { label: "Refunded", value: dayText(time) }),
      ];
  }
}

function confirmation(letter: Confirmation, order: Fact, time: Date): readonly Block[] {
  const title = oneLine(letter.shippingTitle);
  const sum = (label: string, amount: Money, isTotal = false): Sum => ({ label, amount: moneyText(amount), isTotal });
  return [
    paragraph(`Hello ${oneLine(letter.address.recipient)},`),
    paragraph("Your order is accepted and paid, and is being packed. We write again when it is on its way."),
    facts(
      order,
      { label: "Ordered", value: dayText(time) },
      ...(title === "" ? [] : [{ label: "Shipping", value: title }]),
      { label: "Arrives", value: arrivalText(time, letter) },
    ),
    {
      kind: "items",
      items: letter.lines.map(({ sku, title: name, quantity, total }) => ({
        title: oneLine(name) === "" ? oneLine(sku) : oneLine(name),
        detail: `${countText(quantity)} × ${oneLine(sku)}`,
        amount: total === undefined ? "" : moneyText(total),
      })),
      sums: [
        sum("Subtotal", letter.subtotal),
        sum("Shipping", letter.shippingPrice),
        sum("Total paid", letter.total, true),
      ],
    },
    { kind: "address", label: "Goes to", lines: addressLines(letter.address) },
  ];
}

function addressLines({ recipient, lines, city, postalCode, region, countryCode }: Address): readonly string[] {
  const town = [postalCode, city].map(oneLine).filter((part) => part !== "");
  const all = [recipient, ...lines, town.join(" "), region, countryText(countryCode)];
  return all.map(oneLine).filter((line) => line !== "");
}

function paragraph(text: string): Block {
  return { kind: "paragraph", text };
}

function facts(...all: readonly Fact[]): Block {
  return { kind: "facts", facts: all };
}
