import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Shipment, Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import type { WatchShipmentEventsResponse, WatchShipmentResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import { newId } from "#mesh/ids.ts";
import { FEED_START, readEvents, sweepEvents } from "./store-feed.ts";
import { callersOf, goods, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { as, book, client, scan, service, tryCancel } = callersOf(() => shipping);

/** Answers of a stream, as they come; leave it with `end`. */
function reader<T>(stream: AsyncIterable<T>) {
  const answers = stream[Symbol.asyncIterator]();
  return {
    next: async (): Promise<T> => {
      const { value, done } = await answers.next();
      return done === true ? expect.fail("the stream has ended") : value;
    },
    isOver: async () => (await answers.next()).done === true,
    end: async () => {
      await answers.return?.();
    },
  };
}

describe("a watch of a shipment", () => {
  const watch = (shipment: Shipment, resumeToken = "") =>
    reader<WatchShipmentResponse>(
      client().watchShipment({ shipmentId: shipment.id, resumeToken }, as({ id: shipment.customerId })),
    );

  it("shows it at once, and after every change to its end", async () => {
    const shipment = await book();
    const stream = watch(shipment);
    expect((await stream.next()).shipment).toEqual(shipment);
    await scan(parcelIdOf(shipment), "LOADED", "frankfurt");
    expect((await stream.next()).shipment?.state).toBe(Shipment_State.IN_TRANSIT);
    await scan(parcelIdOf(shipment), "DELIVERED");
    expect((await stream.next()).shipment?.state).toBe(Shipment_State.DELIVERED);
    expect(await stream.isOver()).toBe(true);
  });

  it("goes on from a token with what changed since, and with nothing when nothing did", async () => {
    const shipment = await book();
    const first = watch(shipment);
    const { resumeToken } = await first.next();
    await first.end();
    const second = watch(shipment, resumeToken);
    const next = second.next();
    await scan(parcelIdOf(shipment), "SORTED", "frankfurt");
    const sorted = await next;
    expect(sorted.shipment?.parcels[0]?.scans).toHaveLength(1);
    await second.end();
    await scan(parcelIdOf(shipment), "LOADED", "frankfurt");
    await scan(parcelIdOf(shipment), "DELIVERED");
    // What is between is left out: only the latest state is kept.
    const third = watch(shipment, sorted.resumeToken);
    const last = await third.next();
    expect(last.shipment?.state).toBe(Shipment_State.DELIVERED);
    expect(await third.isOver()).toBe(true);
    expect(await watch(shipment, last.resumeToken).isOver()).toBe(true);
  });

  it("sees what another process does", async () => {
    const shipment = await book();
    const stream = watch(shipment);
    await stream.next();
    // Nobody tells of it here: sorting goes on behind the back of this process.
    await shipping.db.query("update shipments set version = version + 1, speed = 'EXPRESS' where id = $1", [
      shipment.id,
    ]);
    expect((await stream.next()).shipment?.speed).not.toBe(shipment.speed);
    await stream.end();
  });

  it("is refused for a shipment of somebody else, and for a token of another one", async () => {
    const [shipment, another] = [await book(), await book()];
    const theirs = watch({ ...shipment, customerId: newId("usr") });
    await expect(theirs.next()).rejects.toMatchObject({ reason: "SHIPMENT_NOT_FOUND" });
    const stream = watch(another);
    const { resumeToken } = await stream.next();
    await stream.end();
    await expect(watch(shipment, resumeToken).next()).rejects.toMatchObject({ reason: "RESUME_TOKEN_INVALID" });
    await expect(watch(shipment, "x").next()).rejects.toMatchObject({ reason: "RESUME_TOKEN_INVALID" });
  });
});

describe("the feed", () => {
  const feed = (resumeToken = "") =>
    reader<WatchShipmentEventsResponse>(client("orders").watchShipmentEvents({ resumeToken }, service("orders")));
  /** Where the feed is now. */
  const end = async (): Promise<string> => {
    const { id } = await book();
    await tryCancel(id);
    const stream = feed();
    for (;;) {
      const { event, resumeToken } = await stream.next();
      if (event?.shipmentId !== id) continue;
      await stream.end();
      return resumeToken;
    }
  };

  it("tells what shipments come to, and what came back with them", async () => {
    const token = await end();
    const shipment = await book({ lines: goods(20_000, 2n), returnId: newId("ret") });
    const [one = "", two = ""] = shipment.parcels.map(({ id }) => id);
    await scan(one, "LOADED");
    await scan(one, "DELIVERED");
    await scan(two, "RETURNED");
    const stream = feed(token);
    const { id: shipmentId, orderId, returnId, direction } = shipment;
    expect((await stream.next()).event).toMatchObject({
      ...{ shipmentId, orderId, returnId, direction, state: Shipment_State.IN_TRANSIT, returnedLines: [] },
    });
    const { event } = await stream.next();
    expect(event).toMatchObject({ state: Shipment_State.DELIVERED, returnedLines: [{ sku: "MOTOR", quantity: 1n }] });
    await stream.end();
  });

  it("goes on from a token, and wakes for what happens then", async () => {
    const first = feed(await end());
    const waiting = first.next();
    const [a, b] = [await book(), await book()];
    await tryCancel(a.id);
    const { event, resumeToken } = await waiting;
    expect(event?.shipmentId).toBe(a.id);
    await first.end();
    await tryCancel(b.id);
    const second = feed(resumeToken);
    expect((await second.next()).event?.shipmentId).toBe(b.id);
    await second.end();
  });

  it("leaves out nothing of a transaction that began early and commits late", async () => {
    const token = await end();
    const [early, late] = [await book(), await book()];
    const session = await shipping.db.session();
    await session.script("begin");
    await session.query(
      "insert into shipment_events (id, shipment_id, state, event_time) values ('sev_early', $1, 'DELIVERED', $2)",
      [early.id, shipping.clock.now()],
    );
    await tryCancel(late.id);
    const stream = feed(token);
    const next = stream.next();
    // The later one is committed, and held back: else the earlier one would come behind who has passed it.
    const position = await shipping.db.query<{ readonly shipmentId: string }>(
      `select shipment_id as "shipmentId" from shipment_events order by xid, seq`,
    );
    expect(position.at(-1)?.shipmentId).toBe(late.id);
    expect((await readEvents(shipping.db, FEED_START, 1_000)).map(({ shipmentId }) => shipmentId)).not.toContain(
      late.id,
    );
    await session.script("commit");
    await session.close();
    expect((await next).event?.shipmentId).toBe(early.id);
    expect((await stream.next()).event?.shipmentId).toBe(late.id);
    await stream.end();
  });

  it("refuses a token whose successors are swept, of another stream, or of the future", async () => {
    const token = await end();
    const [a, b] = [await book(), await book()];
    await tryCancel(a.id);
    await tryCancel(b.id);
    const stream = feed(token);
    const first = await stream.next();
    const second = await stream.next();
    await stream.end();
    const refused = async (resumeToken: string) =>
      expect(feed(resumeToken).next()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "RESUME_TOKEN_INVALID",
      });
    const isOldest = "select 1 from shipment_events where shipment_id = $1";
    // All up to the second, one by one as a sweep would; nothing is swept that is not old enough.
    expect(await sweepEvents(shipping.db, new Date(0), 1)).toBe(0);
    while ((await shipping.db.query(isOldest, [b.id])).length > 0) {
      await sweepEvents(shipping.db, new Date(shipping.clock.now().getTime() + 1), 1);
    }
    await refused(token);
    await refused(first.resumeToken);
    await refused("x");
    const last = feed(second.resumeToken);
    const next = last.next();
    await tryCancel((await book()).id);
    await next;
    await last.end();
  });
});
