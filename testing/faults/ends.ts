import { type ClientHttp2Session, connect, createSecureServer, type ServerHttp2Session } from "node:http2";
import type { Server, Socket } from "node:net";
import type { PeerCertificate, SecureContextOptions, TLSSocket } from "node:tls";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { workloadOf } from "#mesh/identity/spiffe.ts";
import { contextOptions, TLS_VERSION } from "#mesh/identity/tls.ts";

/** Whom a proxy passes for: each side must find the one that it expects. */
export interface ProxyIdentities {
  /** Shown to the callee, and the only one whose connections are taken. */
  readonly caller: CertificateSource;
  /** Shown to the caller, and the only one to whom connections are made. */
  readonly callee: CertificateSource;
}

/** Takes HTTP/2 connections over mutual TLS, as the callee. */
export function takeConnections(
  { caller, callee }: ProxyIdentities,
  onConnection: (session: ServerHttp2Session, socket: Socket) => void,
): Server {
  const server = createSecureServer({ ...contextOf(callee), requestCert: true, rejectUnauthorized: true });
  const unwatch = callee.watch(() => server.setSecureContext(contextOf(callee)));
  server.on("close", unwatch);
  let accepted: TLSSocket | undefined;
  // The session begins within the same event, and does not tell its socket.
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    if (!isOf(socket.getPeerCertificate(), caller)) socket.destroy();
    accepted = socket;
  });
  server.on("session", (session: ServerHttp2Session) => {
    if (accepted !== undefined) onConnection(session, accepted);
  });
  return server;
}

/** Connects to a callee over mutual TLS, as the caller. */
export function connectTo(address: string, { caller, callee }: ProxyIdentities): ClientHttp2Session {
  return connect(`https://${address}`, {
    ...contextOf(caller),
    checkServerIdentity: (_, peer) =>
      isOf(peer, callee) ? undefined : new Error(`${address} is ${peer.subjectaltname}`),
  });
}

// Without a certificate, as before the first one has come, no connection comes about: nobody is believed, nor is there
// anything to show.
function contextOf(source: CertificateSource): SecureContextOptions {
  const certificates = source.current();
  return certificates === undefined ? { ca: [], minVersion: TLS_VERSION } : contextOptions(certificates);
}

function isOf(peer: PeerCertificate, source: CertificateSource): boolean {
  const workload = workloadOf(peer);
  return workload !== undefined && workload === source.current()?.service;
}
