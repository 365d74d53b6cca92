import { type ChannelOptions, connectivityState, experimental, status } from "@grpc/grpc-js";
import { BalancingConfig, balancing, POLICY, parseStrictly } from "#mesh/discovery/balancing-config.ts";
import { isFault } from "#mesh/discovery/faults-of-instances.ts";

/** An instance as the resolver hands it to the balancer. */
export interface VersionedEndpoint extends experimental.Endpoint {
  readonly version?: string;
}

/** Under which key the version of a call is handed from the selector to the balancer. */
export const VERSION_KEY = "version";

type Helper = experimental.ChannelControlHelper;
type EndpointList = Parameters<experimental.LoadBalancer["updateAddressList"]>[0];

/**
 * Sends a call to an instance of the version that was chosen for it, or to any when none was chosen or that version has
 * nobody ready. Within a version, and among all, instances take turns, and those that fail where others do not are left
 * out (`fairShare`).
 */
class VersionBalancer implements experimental.LoadBalancer {
  readonly #helper: Helper;
  #all: Turns | undefined;
  #versions: ReadonlyMap<string, Turns> = new Map();
  #updating = false;

  constructor(helper: Helper) {
    this.#helper = helper;
  }

  updateAddressList(
    list: EndpointList,
    config: experimental.TypedLoadBalancingConfig,
    options: ChannelOptions,
    note: string,
  ): boolean {
    if (!(config instanceof BalancingConfig)) return false;
    const endpoints: readonly VersionedEndpoint[] = list.ok ? list.value : [];
    if (endpoints.length === 0) {
      this.#fail(list.ok ? note : list.error.details);
      return true;
    }
    this.#updating = true;
    const update = (turns: Turns | undefined, some: readonly VersionedEndpoint[]): Turns => {
      const updated = turns ?? new Turns(this.#helper, () => this.#publish());
      updated.update(some, config.turns, options, note);
      return updated;
    };
    this.#all = update(this.#all, endpoints);
    const before = this.#versions;
    this.#versions = new Map(
      config.versions.map((version) => {
        const some = endpoints.filter((endpoint) => endpoint.version === version);
        return [version, update(before.get(version), some)] as const;
      }),
    );
    for (const [version, turns] of before) if (!this.#versions.has(version)) turns.destroy();
    this.#updating = false;
    this.#publish();
    return true;
  }

  /** Nobody is there: connections are closed, and calls fail at once instead of waiting for ever. */
  #fail(details: string): void {
    this.destroy();
    const picker = new experimental.UnavailablePicker({ code: status.UNAVAILABLE, details });
    this.#helper.updateState(connectivityState.TRANSIENT_FAILURE, picker, details);
  }

  /** All instances are among `all`, so its state is that of the whole. */
  #publish(): void {
    const all = this.#all;
    if (this.#updating || all === undefined) return;
    this.#helper.updateState(all.state, new VersionPicker(all, this.#versions), all.error);
  }

  exitIdle(): void {
    this.#all?.exitIdle();
    for (const turns of this.#versions.values()) turns.exitIdle();
  }

  resetBackoff(): void {}

  destroy(): void {
    this.#all?.destroy();
    for (const turns of this.#versions.values()) turns.destroy();
    this.#all = undefined;
    this.#versions = new Map();
  }

  getTypeName(): string {
    return POLICY;
  }
}

/** The instances that take turns. */
class Turns {
  readonly #helper: Helper;
  readonly #onChange: () => void;
  #child: experimental.ChildLoadBalancerHandler;
  #again: (() => void) | undefined;
  state: connectivityState = connectivityState.IDLE;
  error: string | null = null;
  picker: experimental.Picker;

  constructor(helper: Helper, onChange: () => void) {
    this.#onChange = onChange;
    this.#helper = experimental.createChildChannelControlHelper(helper, {
      updateState: (state, picker, error) => this.#take(state, picker, error),
    });
    this.#child = new experimental.ChildLoadBalancerHandler(this.#helper);
    this.picker = new experimental.QueuePicker(this.#child);
  }

  update(
    endpoints: readonly VersionedEndpoint[],
    config: experimental.TypedLoadBalancingConfig,
    options: ChannelOptions,
    note: string,
  ): void {
    const isFirst = this.#again === undefined;
    this.#again = () => {
      this.#child.updateAddressList(experimental.statusOrFromValue([...endpoints]), config, options, note);
    };
    this.#again();
    // With its first list, outlier detection counts no calls over connections that were there before it.
    if (isFirst) this.#again();
  }

  /**
   * When the last one is gone that took calls, others may be left that were only left out: all begin anew, with nothing
   * held against them. Connections are kept. Calls wait for the moment that it takes.
   */
  #take(state: connectivityState, picker: experimental.Picker, error: string | null): void {
    const lost = this.state === connectivityState.READY && state !== connectivityState.READY;
    this.state = lost ? connectivityState.CONNECTING : state;
    this.error = lost ? null : error;
    this.picker = lost ? new experimental.QueuePicker(this.#child) : picker;
    this.#onChange();
    // Not at once: the child is in the middle of telling.
    if (lost) process.nextTick(() => this.#beginAnew());
  }

  #beginAnew(): void {
    if (this.#again === undefined) return;
    this.#child.destroy();
    this.#child = new experimental.ChildLoadBalancerHandler(this.#helper);
    this.#again();
    this.#again(); // as above
  }

  exitIdle(): void {
    this.#child.exitIdle();
  }

  destroy(): void {
    this.#again = undefined;
    this.#child.destroy();
  }
}

class VersionPicker implements experimental.Picker {
  readonly #all: Turns;
  readonly #versions: ReadonlyMap<string, Turns>;

  constructor(all: Turns, versions: ReadonlyMap<string, Turns>) {
    this.#all = all;
    this.#versions = versions;
  }

  pick(args: experimental.PickArgs): experimental.PickResult {
    const version = args.extraPickInfo[VERSION_KEY];
    const chosen = version === undefined ? undefined : this.#versions.get(version);
    const turns = chosen?.state === connectivityState.READY ? chosen : this.#all;
    const pick = turns.picker.pick(args);
    const count = pick.onCallEnded;
    if (count === null) return pick;
    return {
      ...pick,
      onCallEnded(code, details, metadata) {
        // A call that its caller gave up says nothing of the instance.
        if (code !== status.CANCELLED) count(isFault(code, metadata) ? code : status.OK, details, metadata);
      },
    };
  }
}

experimental.registerLoadBalancerType(POLICY, VersionBalancer, BalancingConfig);

// What cannot be read is found out when the process starts, not when calls go astray.
parseStrictly(balancing([]));
