import { fail, ok, type Result } from "#mesh/result.ts";

/** Where goods can go, as the contract has it. */
export interface Address {
  readonly recipient: string;
  readonly lines: readonly string[];
  readonly city: string;
  readonly postalCode: string;
  readonly region: string;
  readonly countryCode: string;
  readonly phone: string;
}

/** What a person tells of themselves. */
export interface Profile {
  readonly displayName: string;
  readonly phone: string;
  readonly languageCode: string;
  /** Empty for none. */
  readonly defaultAddressId: string;
}

/** An address with what its owner calls it. */
export interface LabelledAddress {
  readonly label: string;
  readonly address: Address;
}

/** Why something of a customer is not changed. */
export type CustomerError =
  | { readonly kind: "update_path_unknown"; readonly path: string }
  | { readonly kind: "etag_mismatch" }
  | { readonly kind: "address_not_found" }
  | { readonly kind: "too_many_addresses" }
  | { readonly kind: "customer_erased" };

/** A customer's limit, as the contract states it. */
export const MAX_ADDRESSES = 50;

const profileFields = {
  display_name: "displayName",
  phone: "phone",
  language_code: "languageCode",
  default_address_id: "defaultAddressId",
} as const;

const addressFields = { label: "label", address: "address" } as const;

/** The profile after those fields that the mask names were set. */
export function changeProfile(
  before: Profile,
  input: Profile,
  mask: readonly string[],
): Result<Profile, CustomerError> {
  return masked(before, input, readMask(mask, profileFields));
}

/** Whether the mask of an update of an address can be used, and whether it names the address itself. */
export function namesAddress(mask: readonly string[]): Result<boolean, CustomerError> {
  const fields = readMask(mask, addressFields);
  return fields.ok ? ok(fields.value.includes("address")) : fields;
}

/** The address after those fields that the mask names were set. */
export function changeAddress(
  before: LabelledAddress,
  input: LabelledAddress,
  mask: readonly string[],
): Result<LabelledAddress, CustomerError> {
  return masked(before, input, readMask(mask, addressFields));
}

/** The etag of a version. */
export function etagOf({ version }: { readonly version: bigint }): string {
  return String(version);
}

/** Whether `etag` is empty or names the version that is there. */
export function checkEtag(present: { readonly version: bigint }, etag: string): CustomerError | undefined {
  return etag === "" || etag === etagOf(present) ? undefined : { kind: "etag_mismatch" };
}

/** The fields that a mask names. A path must be exactly one of those known, and there must be one. */
function readMask<Field extends string>(
  paths: readonly string[],
  known: Readonly<Record<string, Field>>,
): Result<readonly Field[], CustomerError> {
  const fields = new Map(Object.entries(known));
  const unknown = paths.length === 0 ? "" : paths.find((path) => !fields.has(path));
  if (unknown !== undefined) return fail({ kind: "update_path_unknown", path: unknown });
  return ok(paths.flatMap((path) => fields.get(path) ?? []));
}

function masked<T extends object>(
  before: T,
  input: T,
  fields: Result<readonly (keyof T)[], CustomerError>,
): Result<T, CustomerError> {
  if (!fields.ok) return fields;
  return ok({ ...before, ...Object.fromEntries(fields.value.map((field) => [field, input[field]])) });
}
