import { rm } from "node:fs/promises";
import { join } from "node:path";
import { everyRow } from "#mesh/personal-data.ts";
import type { PersonalPlace, Queryable } from "#mesh/postgres/index.ts";
import { openMailFolder } from "./mail-folder.ts";
import { listOfCustomer, lockCustomer } from "./store.ts";

/**
 * Where notifications hold something of a person; the mailbox is one where it is of this machine. In this order: a mail
 * that is being sent counts as left until it no longer is, so that no file comes after the last look for files.
 */
export function personalPlaces(mailDir: string | undefined): readonly PersonalPlace[] {
  return mailDir === undefined ? [rows] : [rows, files(mailDir)];
}

const rows: PersonalPlace = {
  place: "notifications.notifications",
  kept: "ids of mail, order and customer, what each mail was about, when it was sent: they prove that it was",
  async erase(tx, customerId, limit) {
    // From here on nothing personal of theirs is written.
    await lockCustomer(tx, customerId);
    await tx.query("insert into erased_customers (customer_id) values ($1) on conflict (customer_id) do nothing", [
      customerId,
    ]);
    const erased = await tx.query(
      `update notifications n set
         state = 'ERASED', email = '', letter = '', request_hash = '', last_error = '', next_attempt_time = null
       from (
         select id from notifications where customer_id = $1 and state <> 'ERASED'
         order by id limit $2 for no key update
       ) batch
       where n.id = batch.id
       returning 1 as erased`,
      [customerId, limit],
    );
    return erased.length;
  },
  async left(db, customerId) {
    const [row] = await db.query<{ readonly left: number }>(
      `select count(*)::int as left from notifications
       where customer_id = $1 and (state <> 'ERASED' or lease_until > now())`,
      [customerId],
    );
    return row?.left ?? 0;
  },
};

function files(dir: string): PersonalPlace {
  const namesOf = async (db: Queryable, customerId: string): Promise<readonly string[]> => {
    const folder = await openMailFolder(dir);
    const names: string[] = [];
    for await (const { messageId } of everyRow((afterId, limit) =>
      listOfCustomer(db, { customerId, afterId, limit }),
    )) {
      names.push(...folder.filesOf(messageId));
    }
    return names;
  };
  return {
    place: "notifications.mailbox",
    kept: "",
    async erase(tx, customerId, limit) {
      const names = (await namesOf(tx, customerId)).slice(0, limit);
      await Promise.all(names.map((name) => rm(join(dir, name), { force: true })));
      return names.length;
    },
    left: async (db, customerId) => (await namesOf(db, customerId)).length,
  };
}
