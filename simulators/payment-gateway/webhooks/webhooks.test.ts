import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "#mesh/clock.ts";
import { fakeClock } from "#testing/clock.ts";
import type { WebhookOptions } from "../simulator.ts";
import { apiKey, createTestClient, idOf, startTestGateway, type TestGateway, temporaryFolder } from "../testing.ts";
import { type Answering, isSigned, type Receiver, startReceiver, webhookSecret } from "./receiver.fixture.ts";

/** Whatever a busy machine may take. */
const patience = { timeout: 10_000, interval: 10 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const closers: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await folder.remove();
});

async function receive(answering?: Answering, port?: number): Promise<Receiver> {
  const receiver = await startReceiver(answering, port);
  closers.push(() => receiver.close());
  return receiver;
}

interface Options extends Partial<Omit<WebhookOptions, "url" | "secret">> {
  readonly authorizationLifetimeMs?: number;
  readonly clock?: Clock;
}

/** A gateway that sends to a receiver, and again soon when that fails. */
async function startSending({ url }: { readonly url: URL }, options: Options = {}): Promise<TestGateway> {
  const { authorizationLifetimeMs, clock, ...rest } = options;
  const webhooks = { url, secret: webhookSecret, backoff: { firstMs: 5, maxMs: 20 }, ...rest };
  const gateway = await startTestGateway({ dataDir: folder.path, webhooks, authorizationLifetimeMs, clock });
  closers.push(() => gateway.close());
  return gateway;
}

const summaryOf = async (gateway: Pick<TestGateway, "get">) => (await gateway.get("/v1/webhooks")).body;
const settled = (gateway: Pick<TestGateway, "get">) =>
  expect.poll(() => summaryOf(gateway).then(({ waiting }) => waiting), patience).toBe(0);

describe("webhooks", () => {
  it("tell of all that happens, signed, and of nothing that was refused", async () => {
    const receiver = await receive();
    const gateway = await startSending(receiver);
    const id = idOf(await gateway.authorize());
    const captureId = idOf(await gateway.post(`/v1/authorizations/${id}/capture`, {}, "capture"));
    await gateway.post(`/v1/captures/${captureId}/refunds`, { amount: "1" }, "refund");
    await gateway.authorize({ payment_token: "tok_declined" });
    const other = idOf(await gateway.authorize());
    await gateway.post(`/v1/authorizations/${other}/void`, {}, "void");
    await settled(gateway);
    expect([...receiver.types()].sort()).toEqual(["authorized", "authorized", "captured", "refunded", "voided"]);
    for (const one of receiver.received) expect(isSigned(one)).toBe(true);
    const refunded = receiver.received.find(({ event }) => event.type === "refunded");
    expect(refunded?.event).toMatchObject({
      id: expect.stringMatching(/^evt_refunded_ref_/),
      authorization_id: id,
      reference: "ord_1",
      transaction: { type: "refund", capture_id: captureId, amount: "1", currency: "EUR" },
    });
    expect(await summaryOf(gateway)).toEqual({ events: 5, acknowledged: 5, given_up: 0, waiting: 0 });
  });

  it("tell of authorizations that expire, when their time comes", async () => {
    const receiver = await receive();
    const gateway = await startSending(receiver, { authorizationLifetimeMs: 50 });
    const id = idOf(await gateway.authorize());
    await expect.poll(receiver.types, patience).toEqual(["authorized", "expired"]);
    expect(receiver.received.at(-1)?.event).toMatchObject({ id: `evt_expired_${id}`, authorization_id: id });
  });

  it("tell of all that expired while nobody was there, in whole or in part, and list no movement for it", async () => {
    const receiver = await receive();
    const clock = fakeClock();
    const gateway = await startSending(receiver, { clock });
    const whole = idOf(await gateway.authorize());
    const part = idOf(await gateway.authorize());
    await gateway.post(`/v1/authorizations/${part}/capture`, { amount: "1" }, "part");
    const taken = idOf(await gateway.authorize());
    await gateway.post(`/v1/authorizations/${taken}/capture`, {}, "taken");
    const voided = idOf(await gateway.authorize());
    await gateway.post(`/v1/authorizations/${voided}/void`, {}, "voided");
    await settled(gateway);
    await gateway.close();
    clock.advance(8 * 24 * 3_600_000);

    for (let start = 0; start < 2; start += 1) {
      const again = await startSending(receiver, { clock });
      await expect.poll(() => summaryOf(again), patience).toMatchObject({ events: 9, acknowledged: 9 });
      const expired = receiver.received.filter(({ event }) => event.type === "expired");
      expect(expired.map(({ event }) => event.authorization_id).sort()).toEqual([whole, part].sort());
      expect((await again.get("/v1/transactions")).body.transactions).toHaveLength(7);
      await again.close();
    }
  });

  it("are sent again until they are acknowledged, under the same id and with a signature of their own time", async () => {
    let failures = 3;
    const receiver = await receive(() => (failures-- > 0 ? 500 : 204));
    const gateway = await startSending(receiver);
    await gateway.authorize();
    await settled(gateway);
    expect(receiver.received).toHaveLength(4);
    expect(new Set(receiver.received.map(({ event }) => event.id)).size).toBe(1);
    for (const one of receiver.received) expect(isSigned(one)).toBe(true);
  });

  it.each([301, 400, 401, 404, 429, 503])("take %i for no acknowledgement", async (status) => {
    let first = true;
    const receiver = await receive(() => {
      if (!first) return 200;
      first = false;
      return status;
    });
    const gateway = await startSending(receiver);
    await gateway.authorize();
    await settled(gateway);
    expect(receiver.received).toHaveLength(2);
  });

  it("are given up when they are too old, and others are not", async () => {
    const receiver = await receive(({ event }) => (event.type === "authorized" ? 500 : 200));
    const gateway = await startSending(receiver, { retryForMs: 50 });
    const id = idOf(await gateway.authorize());
    await gateway.post(`/v1/authorizations/${id}/void`, {}, "void");
    await settled(gateway);
    expect(await summaryOf(gateway)).toMatchObject({ acknowledged: 1, given_up: 1 });
  });

  it("keep no answer waiting, and are not sent without bound", async () => {
    let letGo: (status: number) => void = () => {};
    const held = new Promise<number>((resolve) => {
      letGo = resolve;
    });
    const receiver = await receive(() => held);
    const gateway = await startSending(receiver);
    await Promise.all(Array.from({ length: 60 }, () => gateway.authorize()));
    await expect.poll(() => receiver.received.length, patience).toBe(16);
    letGo(200);
    await settled(gateway);
    expect(receiver.types()).toHaveLength(60);
    expect(receiver.maxOpen()).toBe(16);
  });

  it("go nowhere when no receiver is set", async () => {
    const gateway = await startTestGateway({ dataDir: folder.path });
    closers.push(() => gateway.close());
    await gateway.authorize();
    expect((await gateway.get("/v1/webhooks")).status).toBe(404);
  });
});

describe("a restart", () => {
  it("goes on with what was not acknowledged, and sends nothing else again", async () => {
    const receiver = await receive(({ event }) => (event.type === "captured" ? 500 : 200));
    const first = await startSending(receiver);
    const id = idOf(await first.authorize());
    await first.post(`/v1/authorizations/${id}/capture`, {}, "capture");
    await expect.poll(() => summaryOf(first), patience).toMatchObject({ acknowledged: 1, waiting: 1 });
    await expect.poll(() => receiver.types().length, patience).toBe(2);
    await first.close();

    const other = await receive();
    const second = await startSending(other);
    await settled(second);
    expect(other.types()).toEqual(["captured"]);
    expect(await summaryOf(second)).toEqual({ events: 2, acknowledged: 2, given_up: 0, waiting: 0 });
  });

  it("with a new receiver tells of what happens from then on", async () => {
    const silent = await startTestGateway({ dataDir: folder.path });
    const id = idOf(await silent.authorize());
    await silent.close();
    const receiver = await receive();
    const gateway = await startSending(receiver);
    await gateway.post(`/v1/authorizations/${id}/capture`, {}, "capture");
    await settled(gateway);
    expect(receiver.types()).toEqual(["captured"]);
  });
});

describe("on demand", () => {
  it("each comes several times", async () => {
    const receiver = await receive();
    const gateway = await startSending(receiver, { copies: 2 });
    await gateway.authorize();
    await settled(gateway);
    expect(receiver.received).toHaveLength(3);
    expect(receiver.types()).toHaveLength(1);
  });

  it("they come in another order, and all of them", async () => {
    const receiver = await receive();
    const gateway = await startSending(receiver, { delayMs: 1, shuffleMs: 200 });
    const ids: string[] = [];
    for (let count = 0; count < 20; count += 1) ids.push(idOf(await gateway.authorize()));
    await settled(gateway);
    const came = receiver.received.map(({ event }) => event.authorization_id);
    expect(came).not.toEqual(ids);
    expect([...came].sort()).toEqual([...ids].sort());
  });
});

// Starting processes can take its time on a machine that runs other tests as well.
describe("the process", { timeout: 60_000 }, () => {
  it("tells of every event at least once, though it is killed", async () => {
    const receiver = await receive();
    const start = async (): Promise<{ child: ChildProcess; client: ReturnType<typeof createTestClient> }> => {
      const child = fork(fileURLToPath(new URL("../main.ts", import.meta.url)), {
        execArgv: ["--import", "tsx"],
        env: {
          SHOPMESH_SIMULATOR_DATA: folder.path,
          SHOPMESH_SIMULATOR_KEY: apiKey,
          SHOPMESH_SIMULATOR_WEBHOOK_URL: receiver.url.href,
          SHOPMESH_SIMULATOR_WEBHOOK_SECRET: webhookSecret,
        },
        silent: true,
      });
      closers.push(() => child.kill("SIGKILL"));
      child.stdout?.resume();
      const [message] = await once(child, "message");
      return { child, client: createTestClient(`http://127.0.0.1:${message.port}`) };
    };
    const { child, client } = await start();
    const ids = await Promise.all(Array.from({ length: 50 }, () => client.authorize().then(idOf)));
    child.kill("SIGKILL");
    await once(child, "exit");
    const again = await start();
    await settled(again.client);
    expect(receiver.types()).toHaveLength(ids.length);
    for (const one of receiver.received) expect(isSigned(one)).toBe(true);
  });
});

it("says in one line that its receiver is away, and in one that it is back", async () => {
  const place = await receive();
  await place.close();
  closers.splice(0);
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => lines.push(JSON.parse(line).msg) });
  const webhooks = { url: place.url, secret: webhookSecret, backoff: { firstMs: 5, maxMs: 20 } };
  const gateway = await startTestGateway({ dataDir: folder.path, webhooks, log });
  closers.push(() => gateway.close());
  await gateway.authorize();
  await gateway.authorize();
  await expect.poll(() => lines, patience).toContain("webhooks are not acknowledged; they are sent again");
  await receive(undefined, Number(place.url.port));
  await settled(gateway);
  expect(lines.filter((line) => line.startsWith("webhooks are"))).toEqual([
    "webhooks are not acknowledged; they are sent again",
    "webhooks are acknowledged again",
  ]);
});
