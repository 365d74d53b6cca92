import type { Queryable } from "#mesh/postgres/index.ts";

/** The right to take in what shipping tells, and from where on. */
export interface FeedHold {
  /** Rises with every claim: who writes with an old one is late. */
  readonly fence: bigint;
  readonly resumeToken: string;
}

/** Takes the feed for `leaseMs`; undefined when somebody else holds it. */
export async function claimFeed(db: Queryable, leaseMs: number): Promise<FeedHold | undefined> {
  const [row] = await db.query<{ readonly fence: bigint; readonly resume_token: string }>(
    `insert into shipment_feed (fence, lease_until) values (1, now() + $1::int * interval '1 millisecond')
     on conflict (one) do update set fence = shipment_feed.fence + 1, lease_until = excluded.lease_until
       where shipment_feed.lease_until is null or shipment_feed.lease_until <= now()
     returning fence, resume_token`,
    [leaseMs],
  );
  return row === undefined ? undefined : { fence: row.fence, resumeToken: row.resume_token };
}

/**
 * Goes on holding the feed, everything up to `resumeToken` taken in; without one nothing more than before. False when
 * somebody else holds it by now. In a transaction with the effects of what was taken in, all is written or nothing.
 */
export async function advanceFeed(
  db: Queryable,
  options: { readonly fence: bigint; readonly resumeToken: string | undefined; readonly leaseMs: number },
): Promise<boolean> {
  const rows = await db.query(
    `update shipment_feed set
       resume_token = coalesce($2, resume_token), lease_until = now() + $3::int * interval '1 millisecond'
     where fence = $1
     returning 1 as held`,
    [options.fence, options.resumeToken, options.leaseMs],
  );
  return rows.length > 0;
}

/** Lets go of the feed, for whoever comes first. Nothing when the fence is old. */
export async function letGoOfFeed(db: Queryable, fence: bigint): Promise<void> {
  await db.query("update shipment_feed set lease_until = null where fence = $1", [fence]);
}
