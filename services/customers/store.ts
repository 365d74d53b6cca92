import type { Queryable } from "#mesh/postgres/index.ts";
import type { LabelledAddress, Profile } from "./domain.ts";

export interface CustomerRow extends Profile {
  readonly id: string;
  readonly version: bigint;
  readonly createTime: Date;
  readonly updateTime: Date | undefined;
  readonly erased: boolean;
}

export interface AddressRow extends LabelledAddress {
  readonly id: string;
  readonly version: bigint;
  readonly createTime: Date;
  readonly updateTime: Date;
}

interface StoredCustomer extends Omit<CustomerRow, "updateTime" | "defaultAddressId"> {
  readonly defaultAddressId: string | null;
  readonly updateTime: Date | null;
}

const CUSTOMER = `id, display_name as "displayName", phone, language_code as "languageCode",
  default_address_id as "defaultAddressId", version, create_time as "createTime", update_time as "updateTime",
  erase_time is not null as erased`;

const ADDRESS = `id, label, address, version, create_time as "createTime", update_time as "updateTime"`;

function customerOf([row]: readonly StoredCustomer[]): CustomerRow | undefined {
  if (row === undefined) return undefined;
  return { ...row, defaultAddressId: row.defaultAddressId ?? "", updateTime: row.updateTime ?? undefined };
}

/** What a person told; undefined of somebody who never told anything. */
export async function getCustomer(db: Queryable, id: string): Promise<CustomerRow | undefined> {
  return customerOf(await db.query<StoredCustomer>(`select ${CUSTOMER} from customers where id = $1`, [id]));
}

/** The row of a person, made unless it is there, and locked until the transaction ends: before any of their addresses. */
export async function lockCustomer(
  tx: Queryable,
  { id, now }: { readonly id: string; readonly now: Date },
): Promise<CustomerRow> {
  const row = customerOf(
    await tx.query<StoredCustomer>(
      `insert into customers (id, create_time) values ($1, $2)
       on conflict (id) do update set id = excluded.id returning ${CUSTOMER}`,
      [id, now],
    ),
  );
  if (row === undefined) throw new TypeError(`no row of ${id} after it was made`);
  return row;
}

/** Locks the row of a person until the transaction ends, if there is one. */
export async function lockKnownCustomer(tx: Queryable, id: string): Promise<void> {
  await tx.query(`select id from customers where id = $1 for no key update`, [id]);
}

/** Writes a profile that is locked. */
export async function updateProfile(
  tx: Queryable,
  { id, profile, now }: { readonly id: string; readonly profile: Profile; readonly now: Date },
): Promise<CustomerRow> {
  const { displayName, phone, languageCode, defaultAddressId } = profile;
  const row = customerOf(
    await tx.query<StoredCustomer>(
      `update customers set display_name = $2, phone = $3, language_code = $4, default_address_id = nullif($5, ''),
         version = version + 1, update_time = $6
       where id = $1 returning ${CUSTOMER}`,
      [id, displayName, phone, languageCode, defaultAddressId, now],
    ),
  );
  if (row === undefined) throw new TypeError(`the locked row of ${id} is gone`);
  return row;
}

/** How many addresses a customer has. */
export async function countAddresses(db: Queryable, customerId: string): Promise<number> {
  const [row] = await db.query<{ readonly count: bigint }>(
    `select count(*) as count from addresses where customer_id = $1`,
    [customerId],
  );
  return Number(row?.count ?? 0n);
}

/** Keeps an address of a customer whose row is locked. */
export async function insertAddress(
  tx: Queryable,
  address: LabelledAddress & { readonly id: string; readonly customerId: string; readonly now: Date },
): Promise<AddressRow> {
  const [row] = await tx.query<AddressRow>(
    `insert into addresses (id, customer_id, label, address, create_time, update_time)
     values ($1, $2, $3, $4, $5, $5) returning ${ADDRESS}`,
    [address.id, address.customerId, address.label, JSON.stringify(address.address), address.now],
  );
  if (row === undefined) throw new TypeError("an insert that returned nothing");
  return row;
}

/** Which address of whom. */
export interface AddressKey {
  readonly id: string;
  readonly customerId: string;
}

/** One address of a customer. */
export async function getAddress(db: Queryable, { id, customerId }: AddressKey): Promise<AddressRow | undefined> {
  const [row] = await db.query<AddressRow>(`select ${ADDRESS} from addresses where id = $1 and customer_id = $2`, [
    id,
    customerId,
  ]);
  return row;
}

/** Writes an address of a customer whose row is locked. */
export async function updateAddress(
  tx: Queryable,
  { id, label, address, now }: { readonly id: string; readonly now: Date } & LabelledAddress,
): Promise<AddressRow> {
  const [row] = await tx.query<AddressRow>(
    `update addresses set label = $2, address = $3, version = version + 1, update_time = $4
     where id = $1 returning ${ADDRESS}`,
    [id, label, JSON.stringify(address), now],
  );
  if (row === undefined) throw new TypeError(`the address ${id} of a locked customer is gone`);
  return row;
}

/** Forgets an address of a customer whose row is locked, as their default address too. One that is not theirs stays. */
export async function deleteAddress(
  tx: Queryable,
  { id, customerId, now }: AddressKey & { readonly now: Date },
): Promise<void> {
  await tx.query(`delete from addresses where id = $1 and customer_id = $2`, [id, customerId]);
  await tx.query(
    `update customers set default_address_id = null, version = version + 1, update_time = $3
     where id = $2 and default_address_id = $1`,
    [id, customerId, now],
  );
}

/** A customer's addresses, the newest first: those older than `beforeId`, when given. */
export async function listAddresses(
  db: Queryable,
  page: { readonly customerId: string; readonly beforeId: string | undefined; readonly limit: number },
): Promise<readonly AddressRow[]> {
  return db.query<AddressRow>(
    `select ${ADDRESS} from addresses
     where customer_id = $1 and ($2::text is null or id < $2) order by id desc limit $3`,
    [page.customerId, page.beforeId, page.limit],
  );
}

/** A customer's addresses in the order of their ids, from the one after `afterId` on. */
export async function exportAddresses(
  db: Queryable,
  page: { readonly customerId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly AddressRow[]> {
  return db.query<AddressRow>(
    `select ${ADDRESS} from addresses where customer_id = $1 and id > $2 order by id limit $3`,
    [page.customerId, page.afterId, page.limit],
  );
}

/** Takes out what a customer told of themselves, for good; their row is locked. Returns of how many rows. */
export async function eraseProfile(tx: Queryable, id: string): Promise<number> {
  const rows = await tx.query(
    `update customers set display_name = '', phone = '', language_code = '', default_address_id = null,
       version = version + 1, erase_time = now()
     where id = $1 and erase_time is null returning id`,
    [id],
  );
  return rows.length;
}

/** Forgets all addresses of a customer whose row is locked. Returns how many. */
export async function deleteAllAddresses(tx: Queryable, customerId: string): Promise<number> {
  return (await tx.query(`delete from addresses where customer_id = $1 returning id`, [customerId])).length;
}
