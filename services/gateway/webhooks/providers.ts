/** Where each payment gateway puts the signature of its webhooks. The names are those that payments knows them by. */
const signatureHeaders: ReadonlyMap<string, string> = new Map([
  ["simulator", "simulator-signature"],
  // https://docs.stripe.com/webhooks#verify-manually
  ["stripe", "stripe-signature"],
]);

/** A payment gateway that sends webhooks. */
export interface Provider {
  readonly name: string;
  /** In lower case. */
  readonly signatureHeader: string;
}

/** Where a request goes: to a payment gateway's webhooks, to none that is known, or elsewhere. */
export type Destination =
  | { readonly kind: "webhook"; readonly provider: Provider }
  | { readonly kind: "unknown" }
  | { readonly kind: "elsewhere" };

const PREFIX = "/webhooks";

/** Reads the target of a request: `/webhooks/<provider>`. A query changes nothing. */
export function destinationOf(target: string): Destination {
  const [path = ""] = target.split("?", 1);
  if (path !== PREFIX && !path.startsWith(`${PREFIX}/`)) return { kind: "elsewhere" };
  const name = path.slice(PREFIX.length + 1);
  const signatureHeader = signatureHeaders.get(name);
  return signatureHeader === undefined ? { kind: "unknown" } : { kind: "webhook", provider: { name, signatureHeader } };
}
