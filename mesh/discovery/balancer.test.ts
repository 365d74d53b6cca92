import { connectivityState, experimental, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { VERSION_KEY, type VersionedEndpoint } from "./balancer.ts";
import { balancing, parseStrictly } from "./balancing-config.ts";

// The balancer alone, over connections that are ready at once and in virtual time.

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] }));
afterEach(() => vi.useRealTimers());

/** A connection that says what a test wants of it. */
class FakeSubchannel {
  readonly #listeners = new Set<experimental.ConnectivityStateListener>();
  readonly address: string;
  state = connectivityState.READY;
  /** How many hold it. */
  refs = 0;

  constructor(address: string) {
    this.address = address;
  }

  set(state: connectivityState): void {
    const before = this.state;
    this.state = state;
    for (const listener of [...this.#listeners]) listener(this as never, before, state, 0);
  }

  getConnectivityState = (): connectivityState => this.state;
  addConnectivityStateListener = (listener: experimental.ConnectivityStateListener) => this.#listeners.add(listener);
  removeConnectivityStateListener = (listener: experimental.ConnectivityStateListener) =>
    this.#listeners.delete(listener);
  realSubchannelEquals = (other: { getRealSubchannel(): unknown }): boolean => other.getRealSubchannel() === this;
  getRealSubchannel = (): this => this;
  getAddress = (): string => this.address;
  isHealthy = (): boolean => true;
  getChannelzRef = (): object => ({});
  startConnecting(): void {}
  addHealthStateWatcher(): void {}
  removeHealthStateWatcher(): void {}
  ref(): void {
    this.refs += 1;
  }
  unref(): void {
    this.refs -= 1;
  }
  /** How many still want to hear of it. */
  get listeners(): number {
    return this.#listeners.size;
  }
}

interface Picked {
  readonly address: string;
  end(code: status, metadata?: Metadata): void;
}

function start(): {
  update(instances: Readonly<Record<string, string>>, versions?: string[]): void;
  pick(version?: string): Picked | undefined;
  readonly subchannels: ReadonlyMap<string, FakeSubchannel>;
  destroy(): void;
} {
  const subchannels = new Map<string, FakeSubchannel>();
  let picker: experimental.Picker | undefined;
  const balancer = new experimental.ChildLoadBalancerHandler({
    createSubchannel(address) {
      const name = experimental.subchannelAddressToString(address);
      const subchannel = subchannels.get(name) ?? new FakeSubchannel(name);
      subchannels.set(name, subchannel);
      return subchannel as never; // as much of one as these policies use
    },
    updateState(_, now) {
      picker = now;
    },
    requestReresolution() {},
    addChannelzChild() {},
    removeChannelzChild() {},
  });
  return {
    subchannels,
    destroy: () => balancer.destroy(),
    update(instances, versions = []) {
      const endpoints: VersionedEndpoint[] = Object.entries(instances).map(([host, version]) => ({
        addresses: [{ host, port: 1 }],
        version,
      }));
      const config = parseStrictly(balancing(versions));
      balancer.updateAddressList(experimental.statusOrFromValue(endpoints), config, {}, "nobody");
    },
    pick(version) {
      const extraPickInfo: Record<string, string> = version === undefined ? {} : { [VERSION_KEY]: version };
      const result = picker?.pick({ metadata: new Metadata(), extraPickInfo });
      const address = result?.subchannel?.getAddress().replace(":1", "");
      if (address === undefined) return undefined;
      return { address, end: (code, metadata = new Metadata()) => result?.onCallEnded?.(code, "", metadata) };
    },
  };
}

type Balancer = ReturnType<typeof start>;

/** The instances that take calls now. */
function taking({ pick }: Balancer, version?: string): string[] {
  const addresses = Array.from({ length: 12 }, () => pick(version)?.address ?? "nobody");
  return [...new Set(addresses)].sort();
}

/** Many calls, of which those at some instances end badly. */
function serve({ pick }: Balancer, bad: readonly string[], code = status.INTERNAL, metadata?: Metadata): void {
  for (let i = 0; i < 200; i++) {
    const call = pick();
    if (call !== undefined && bad.includes(call.address)) call.end(code, metadata);
    else call?.end(status.OK);
  }
}

const three = { a: "v1", b: "v1", c: "v2" };

describe("versions", () => {
  test("take the calls that were sent to them, and all take those that were not", () => {
    const balancer = start();
    balancer.update(three, ["v1", "v2"]);
    expect(taking(balancer, "v1")).toEqual(["a", "b"]);
    expect(taking(balancer, "v2")).toEqual(["c"]);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
    expect(taking(balancer, "v3")).toEqual(["a", "b", "c"]);
  });

  test("without anybody ready give their calls to all others", async () => {
    const balancer = start();
    balancer.update(three, ["v1", "v2"]);
    balancer.subchannels.get("c:1")?.set(connectivityState.IDLE);
    await Promise.resolve();
    expect(taking(balancer, "v2")).toEqual(["a", "b"]);
    balancer.subchannels.get("c:1")?.set(connectivityState.READY);
    expect(taking(balancer, "v2")).toEqual(["c"]);
  });

  test("come and go with the split", () => {
    const balancer = start();
    balancer.update(three, ["v2"]);
    balancer.update(three);
    expect(taking(balancer, "v2")).toEqual(["a", "b", "c"]);
    balancer.update({ a: "v1", b: "v2" }, ["v2"]);
    expect(taking(balancer, "v2")).toEqual(["b"]);
  });

  test("that come and go leave nothing behind, however often", async () => {
    const balancer = start();
    const held = () => [...balancer.subchannels.values()].map(({ refs, listeners }) => ({ refs, listeners }));
    const comeAndGo = async () => {
      balancer.update(three, ["v1", "v2"]);
      await new Promise((resolve) => process.nextTick(resolve));
      balancer.update({ a: "v1", b: "v1" });
      await new Promise((resolve) => process.nextTick(resolve));
    };
    await comeAndGo();
    const once = held();
    for (let i = 0; i < 10; i++) await comeAndGo();
    expect(held()).toEqual(once);
    balancer.destroy();
    expect(held()).toEqual([0, 1, 2].map(() => ({ refs: 0, listeners: 0 })));
  });
});

describe("an instance that fails where others do not", () => {
  test("is left out after two seconds, and comes back after five", () => {
    const balancer = start();
    balancer.update(three);
    serve(balancer, ["b"]);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a", "c"]);
    vi.advanceTimersByTime(4_000);
    expect(taking(balancer)).toEqual(["a", "c"]);
    vi.advanceTimersByTime(2_001);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
  });

  test("is left out longer when it happens again", () => {
    const balancer = start();
    balancer.update(three);
    serve(balancer, ["b"]);
    vi.advanceTimersByTime(8_001);
    serve(balancer, ["b"]);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a", "c"]);
    vi.advanceTimersByTime(8_000);
    expect(taking(balancer)).toEqual(["a", "c"]);
    vi.advanceTimersByTime(4_000);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
  });

  test("takes calls when it is the only one", () => {
    const balancer = start();
    balancer.update({ a: "v1" });
    serve(balancer, ["a"]);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a"]);
  });

  test.each([1, 2, 3, 4, 5])("never takes all of %s with it", (count) => {
    const names = ["a", "b", "c", "d", "e"].slice(0, count);
    const balancer = start();
    balancer.update(Object.fromEntries(names.map((name) => [name, "v1"])));
    for (let i = 0; i < 5; i++) {
      serve(balancer, names);
      vi.advanceTimersByTime(2_000);
      const left = taking(balancer);
      expect(left).not.toContain("nobody");
      expect(left.length).toBeGreaterThanOrEqual(Math.floor(count / 2));
    }
  });

  test("takes calls again when the others have left or died", async () => {
    const balancer = start();
    balancer.update(three);
    serve(balancer, ["b", "c"]);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a"]);
    balancer.subchannels.get("a:1")?.set(connectivityState.IDLE);
    await new Promise((resolve) => process.nextTick(resolve));
    expect(taking(balancer)).toEqual(["b", "c"]);

    serve(balancer, ["b"]);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["c"]);
    balancer.update({ b: "v1" });
    await new Promise((resolve) => process.nextTick(resolve));
    expect(taking(balancer)).toEqual(["b"]);
  });
});

describe("what does not speak against an instance", () => {
  const answered = new Metadata();
  answered.set("grpc-status-details-bin", Buffer.from("it lives"));

  test.each<[string, status, Metadata?]>([
    ["an answer that there is no such thing", status.NOT_FOUND],
    ["an answer that it is too busy", status.RESOURCE_EXHAUSTED],
    ["a caller that gave up", status.CANCELLED],
    ["an answer that another service is away", status.UNAVAILABLE, answered],
    ["an answer that another service was too slow", status.DEADLINE_EXCEEDED, answered],
  ])("%s", (_, code, metadata) => {
    const balancer = start();
    balancer.update(three);
    serve(balancer, ["b"], code, metadata);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
  });

  test.each([status.UNAVAILABLE, status.DEADLINE_EXCEEDED])("but silence does (%s)", (code) => {
    const balancer = start();
    balancer.update(three);
    serve(balancer, ["b"], code);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a", "c"]);
  });

  test("nor do a few failures", () => {
    const balancer = start();
    balancer.update(three);
    for (let i = 0; i < 27; i++) balancer.pick()?.end(status.INTERNAL);
    vi.advanceTimersByTime(2_000);
    expect(taking(balancer)).toEqual(["a", "b", "c"]);
  });
});
