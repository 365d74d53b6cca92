import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startControl } from "../testing/control.ts";

/** Whether no new file can be made. */
const disk = vi.hoisted(() => ({ isFull: false }));

vi.mock(import("node:fs/promises"), async (original) => {
  const real = await original();
  const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  const open: typeof real.open = async (path, flags, mode) => {
    if (disk.isFull && flags === "wx") throw full;
    return real.open(path, flags, mode);
  };
  return { ...real, open };
});

let dir: string;

beforeEach(async () => {
  dir = await temporaryFolder();
});
afterEach(async () => {
  disk.isFull = false;
  await removeFolder(dir);
});

const termOnDisk = async (): Promise<unknown> => JSON.parse(await readFile(join(dir, "registry.json"), "utf8")).term;

test("control comes back on a full disk with what it knew, takes instances in, and writes when there is room", async () => {
  const before = await startControl({ dataDir: dir });
  const registered = await before.register();
  await registered.report(InstanceState.SERVING);
  const version = (await before.watch(["cart"])).responses[0]?.version ?? 0n;
  await before.close();
  const term = await termOnDisk();
  disk.isFull = true;
  const after = await startControl({ dataDir: dir });
  const watch = await after.watch(["cart"]);
  expect(watch.instances("cart")).toEqual(["cart-1"]);
  expect(watch.responses[0]?.version).toBeGreaterThan(version);
  await after.register({ name: "cart-2" });
  await watch.next();
  expect(watch.instances("cart")).toEqual(["cart-1", "cart-2"]);
  expect(await termOnDisk()).toBe(term);
  disk.isFull = false;
  await expect.poll(termOnDisk, { timeout: 10_000 }).not.toBe(term);
  await after.close();
});

test("control makes no authority that it cannot keep", async () => {
  disk.isFull = true;
  await expect(startControl({ dataDir: dir })).rejects.toThrow(/ENOSPC/);
});
