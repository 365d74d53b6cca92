import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Address } from "#gen/shop/type/v1/address.ts";
import { failures, type RpcError } from "#mesh/contract/errors.ts";

/** The failures that the contract declares. */
export const fail = failures(ShippingService);

/** The failure of an address that the shop does not deliver to. */
export function notServed({ countryCode, postalCode }: Address): RpcError<"DESTINATION_NOT_SERVED"> {
  return fail("DESTINATION_NOT_SERVED", `The shop does not deliver to ${countryCode} ${postalCode}.`, {
    country_code: countryCode,
    postal_code: postalCode,
  });
}

/** The failure of goods that could not be packed. */
export function tooLarge(sku: string): RpcError<"GOODS_TOO_LARGE"> {
  return fail("GOODS_TOO_LARGE", `${sku} is more than any vehicle takes.`, { sku });
}

/** The failure for a resume token that no such watch gave. */
export function invalidToken(cause?: unknown): Error {
  return fail("RESUME_TOKEN_INVALID", "The token is not one that this watch gave.", {}, { cause });
}
