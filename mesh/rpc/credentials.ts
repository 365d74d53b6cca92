import type { Socket } from "node:net";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { CallCredentials, ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { contextOf, contextOptions, HANDSHAKE_TIMEOUT_MS, secure, TLS_VERSION } from "#mesh/identity/tls.ts";

// grpc-js has credentials that renew themselves from a provider, but they cannot be told the oldest version of TLS to
// speak, forget it at each renewal, read the certificates anew for each connection, and let a peer take for ever over
// its handshake. These stand on the same base classes and do what is wanted; grpc-js is pinned, and tests watch them.

type Watcher = Parameters<ServerCredentials["_addWatcher"]>[0];
type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** Whom a listener takes connections from. */
export type Door =
  /** Workloads alone: a certificate is wanted, and refused unless an authority of ours signed it. */
  | "workloads"
  /** Whoever comes, without a certificate: they come to get one. */
  | "joining";

/** The side of a server, under the certificates that `source` has at the time of each connection. */
export class WorkloadServerCredentials extends ServerCredentials {
  readonly #source: CertificateSource;
  readonly #door: Door;
  #unwatch: (() => void) | undefined;

  constructor(source: CertificateSource, door: Door) {
    const wanted = door === "workloads";
    const certificates = source.current();
    super(
      {
        requestCert: wanted,
        rejectUnauthorized: wanted,
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        minVersion: TLS_VERSION,
      },
      certificates === undefined ? undefined : contextOptions(certificates),
    );
    this.#source = source;
    this.#door = door;
  }

  override _addWatcher(watcher: Watcher): void {
    super._addWatcher(watcher);
    // A new context has new keys for session tickets too: no session outlives the trust that it was made under.
    this.#unwatch ??= this.#source.watch((now) => this.updateSecureContextOptions(contextOptions(now)));
  }

  override _removeWatcher(watcher: Watcher): void {
    super._removeWatcher(watcher);
    if (this.getWatcherCount() > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  override _equals(other: ServerCredentials): boolean {
    return other instanceof WorkloadServerCredentials && this.#source === other.#source && this.#door === other.#door;
  }
}

/**
 * The side of a client: connections to the workload `owner` and to no other, each under the certificates that `source`
 * has by then. As long as there are none, connections wait.
 */
export class WorkloadChannelCredentials extends ChannelCredentials {
  readonly #source: CertificateSource;
  readonly #owner: string;

  constructor(source: CertificateSource, owner: string) {
    super();
    this.#source = source;
    this.#owner = owner;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return (
      other instanceof WorkloadChannelCredentials && this.#source === other.#source && this.#owner === other.#owner
    );
  }

  override _createSecureConnector(...[, , callCredentials]: ConnectorArguments): Connector {
    const source = this.#source;
    const secured = createSecurer(this.#owner);
    let unwatch: (() => void) | undefined;
    return {
      async connect(tcp) {
        const certificates = source.current();
        if (certificates === undefined) throw new Error("this process has no certificate yet");
        return secured.connect(tcp, contextOf(certificates));
      },
      waitForReady: () =>
        new Promise((resolve) => {
          if (source.current() !== undefined) return resolve();
          unwatch?.();
          unwatch = source.watch(() => {
            unwatch?.();
            unwatch = undefined;
            resolve();
          });
        }),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy() {
        unwatch?.();
        unwatch = undefined;
        secured.destroy();
      },
    };
  }
}

/** The side of a client without a certificate: connections to `owner`, by the authorities that are believed. */
export class JoiningChannelCredentials extends ChannelCredentials {
  readonly #context: SecureContext;
  readonly #owner: string;

  /** `trusted` in PEM. Throws when it is none. */
  constructor(trusted: string, owner: string) {
    super();
    this.#context = createSecureContext({ ca: trusted, minVersion: TLS_VERSION });
    this.#owner = owner;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...[, , callCredentials]: ConnectorArguments): Connector {
    const secured = createSecurer(this.#owner);
    return {
      connect: (tcp) => secured.connect(tcp, this.#context),
      waitForReady: async () => {},
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy: secured.destroy,
    };
  }
}

/** Secures connections to `owner`; those of which the handshake is under way end with it, since nobody wants them then. */
function createSecurer(owner: string) {
  const underWay = new Set<Socket>();
  let isDestroyed = false;
  return {
    async connect(tcp: Socket, context: SecureContext): Promise<{ readonly socket: TLSSocket; readonly secure: true }> {
      if (isDestroyed) throw new Error("the connection is wanted no more");
      underWay.add(tcp);
      try {
        return { socket: await secure(tcp, context, owner), secure: true };
      } finally {
        underWay.delete(tcp);
      }
    },
    destroy(): void {
      isDestroyed = true;
      for (const tcp of underWay) tcp.destroy();
    },
  };
}

type ConnectorArguments = Parameters<ChannelCredentials["_createSecureConnector"]>;
