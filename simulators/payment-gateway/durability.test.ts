import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  apiKey,
  createTestClient,
  idOf,
  startTestGateway,
  type TestAnswer,
  type TestClient,
  temporaryFolder,
} from "./testing.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const processes: ChildProcess[] = [];
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(async () => {
  for (const child of processes.splice(0)) child.kill("SIGKILL");
  await folder.remove();
});

const main = fileURLToPath(new URL("./main.ts", import.meta.url));

/** Starts the simulator as a process of its own, with these settings and no others. */
function start(settings: Readonly<Record<string, string>>): ChildProcess {
  const child = fork(main, {
    execArgv: ["--import", "tsx"],
    env: settings,
    silent: true,
  });
  processes.push(child);
  return child;
}

async function startReady(): Promise<{ child: ChildProcess; client: TestClient }> {
  const child = start({ SHOPMESH_SIMULATOR_DATA: folder.path, SHOPMESH_SIMULATOR_KEY: apiKey });
  child.stdout?.resume();
  const [message] = await once(child, "message");
  expect(message).toEqual({ type: "ready", port: expect.any(Number) });
  return { child, client: createTestClient(`http://127.0.0.1:${message.port}`) };
}

/** Starts a simulator that cannot start, and gives its exit code and what it printed. */
async function startFailing(settings: Readonly<Record<string, string>>): Promise<{ code: unknown; output: string }> {
  const child = start(settings);
  let output = "";
  child.stdout?.on("data", (data) => {
    output += data;
  });
  const [code] = await once(child, "close");
  return { code, output };
}

describe("a restart", () => {
  it("keeps authorizations, captures, keys and transactions", async () => {
    const first = await startTestGateway({ dataDir: folder.path });
    const id = idOf(await first.authorize({}, "kept"));
    const captureId = idOf(await first.post(`/v1/authorizations/${id}/capture`, { amount: "600" }, "kept-capture"));
    const declined = await first.authorize({ payment_token: "tok_declined" }, "kept-declined");
    const before = [await first.get(`/v1/authorizations/${id}`), await first.get("/v1/transactions")];
    await first.close();

    const second = await startTestGateway({ dataDir: folder.path });
    const after = [await second.get(`/v1/authorizations/${id}`), await second.get("/v1/transactions")];
    expect(after.map(({ body }) => body)).toEqual(before.map(({ body }) => body));
    expect(idOf(await second.authorize({}, "kept"))).toBe(id);
    const other = await second.authorize({ amount: "1" }, "kept");
    expect(other.body).toMatchObject({ error: { code: "idempotency_key_reused" } });
    expect((await second.authorize({ payment_token: "tok_declined" }, "kept-declined")).body).toEqual(declined.body);
    expect((await second.post(`/v1/captures/${captureId}/refunds`, { amount: "601" }, "too-much")).status).toBe(409);
    expect((await second.post(`/v1/captures/${captureId}/refunds`, {}, "rest")).body).toMatchObject({ amount: "600" });
    await second.close();
  });

  it("drops an entry that was cut off", async () => {
    const first = await startTestGateway({ dataDir: folder.path });
    const id = idOf(await first.authorize({}, "whole"));
    await first.close();
    const journal = join(folder.path, "journal");
    const whole = await readFile(journal, "utf8");
    await appendFile(journal, whole.slice(whole.lastIndexOf("\n", whole.length - 2) + 1, -10));
    const second = await startTestGateway({ dataDir: folder.path });
    expect((await second.get(`/v1/authorizations/${id}`)).status).toBe(200);
    expect((await second.authorize({}, "new")).status).toBe(201);
    await second.close();
    expect((await readFile(journal, "utf8")).startsWith(whole)).toBe(true);
  });
});

describe("the journal", () => {
  it("holds no payment token and no API key", async () => {
    const gateway = await startTestGateway({ dataDir: folder.path });
    await gateway.authorize();
    await gateway.authorize({ payment_token: "tok_declined" });
    await gateway.close();
    expect(await readFile(join(folder.path, "journal"), "utf8")).not.toMatch(new RegExp(`tok_|${apiKey}`));
  });
});

// Starting processes can take its time on a machine that runs other tests as well.
describe("the process", { timeout: 60_000 }, () => {
  it("keeps all it has acknowledged when it is killed under load", async () => {
    const { child, client } = await startReady();
    const acknowledged = new Map<string, string>();
    const buyer = async (name: number): Promise<void> => {
      for (let count = 0; ; count++) {
        const key = `buyer-${name}-${count}`;
        let answer: TestAnswer;
        try {
          answer = await client.authorize({}, key);
        } catch {
          return;
        }
        acknowledged.set(key, idOf(answer));
        if (acknowledged.size === 300) child.kill("SIGKILL");
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, name) => buyer(name)));
    expect(acknowledged.size).toBeGreaterThanOrEqual(300);

    const again = await startReady();
    for (const [key, id] of acknowledged) {
      const replayed = await again.client.authorize({}, key);
      expect([replayed.headers.get("idempotent-replayed"), replayed.body.id]).toEqual(["true", id]);
    }
    const { body } = await again.client.get("/v1/transactions?limit=500");
    if (!Array.isArray(body.transactions)) throw new Error("no list");
    const listed = new Set(body.transactions.map(({ id }) => id));
    for (const id of acknowledged.values()) expect(listed.has(id)).toBe(true);
    // Beside what was acknowledged there is at most one more for each buyer: the one that was under way.
    expect(listed.size).toBeLessThanOrEqual(acknowledged.size + 16);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends cleanly on %s", async (signal) => {
    const { child } = await startReady();
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("ends when its parent lets go of it", async () => {
    const { child } = await startReady();
    child.disconnect();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it.each([
    [{}, "SHOPMESH_SIMULATOR_DATA"],
    [{ SHOPMESH_SIMULATOR_DATA: "/nonexistent" }, "SHOPMESH_SIMULATOR_KEY"],
    [{ SHOPMESH_SIMULATOR_DATA: "/dev/null/x", SHOPMESH_SIMULATOR_KEY: "k" }, "/dev/null/x"],
    [
      { SHOPMESH_SIMULATOR_DATA: "/nonexistent", SHOPMESH_SIMULATOR_KEY: "k", SHOPMESH_SIMULATOR_PORT: "http" },
      "SHOPMESH_SIMULATOR_PORT",
    ],
  ])("says what is wrong in one line and exits with 1: %j", async (settings, named) => {
    const { code, output } = await startFailing(settings);
    expect(code).toBe(1);
    expect(output.trim().split("\n")).toHaveLength(1);
    expect(output).toContain(named);
  });

  it("says that its port is taken, and exits with 1", async () => {
    const gateway = await startTestGateway({ dataDir: folder.path });
    const settings = { SHOPMESH_SIMULATOR_DATA: join(folder.path, "other"), SHOPMESH_SIMULATOR_KEY: "k" };
    const { code, output } = await startFailing({ ...settings, SHOPMESH_SIMULATOR_PORT: String(gateway.port) });
    await gateway.close();
    expect(code).toBe(1);
    expect(output).toContain(`EADDRINUSE`);
  });
});
