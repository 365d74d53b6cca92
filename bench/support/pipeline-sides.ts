import { type ChannelCredentials, Client, credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import type { JWK } from "jose";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { AdjustStockRequest, AdjustStockResponse } from "#gen/shop/inventory/v1/inventory_service.ts";
import { type Handlers, implement } from "#mesh/contract/contract.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { CallContext } from "#mesh/rpc/call-context.ts";
import { grpcOptions } from "#mesh/rpc/server.ts";
import { testConfig } from "#testing/mesh.ts";

const method = InventoryService.definition.adjustStock;
const request: AdjustStockRequest = {
  requestId: "req_01jw9z8k7m6n5p4q3r2s1t0v",
  sku: "BLDC-57-180-24V",
  delta: 12n,
  note: "delivery of the morning",
};
const response: AdjustStockResponse = {
  stock: { sku: request.sku, onHand: 112n, reserved: 10n, available: 102n, updateTime: new Date(1_780_000_000_000) },
};
const answer = async (_: AdjustStockRequest): Promise<AdjustStockResponse> => response;

export type Variant = "bare" | "ours";

/** What each child is told when it is started. */
export interface Setup {
  readonly token: string;
  readonly key: JWK;
  /** What both sides prove themselves with. */
  readonly certificates: { readonly inventory: Certificates; readonly gateway: Certificates };
}

// --- servers --------------------------------------------------------------------------------------------------------

type Done = (error: Error | null, value?: AdjustStockResponse) => void;

export function serveBare({ certificates }: Setup): Promise<number> {
  const server = new Server(grpcOptions);
  server.addService(
    { adjustStock: method },
    {
      adjustStock(call: { request: AdjustStockRequest }, done: Done) {
        answer(call.request).then((value) => done(null, value), done);
      },
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", bareServerCredentials(certificates.inventory), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

/** The same keys, authorities and version of TLS as ours, by grpc-js's own means. */
function bareServerCredentials(certificates: Certificates): ServerCredentials {
  const { cert, key, ca } = contextOptions(certificates);
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
  return ServerCredentials.createSsl(Buffer.from(ca.join("\n")), [pair], true);
}

function bareClientCredentials(certificates: Certificates): ChannelCredentials {
  const { cert, key, ca } = contextOptions(certificates);
  const verifyOptions = { checkServerIdentity: () => undefined };
  return credentials.createSsl(Buffer.from(ca.join("\n")), Buffer.from(key), Buffer.from(cert), verifyOptions);
}

export async function serveOurs({ key, certificates }: Setup): Promise<number> {
  const signingKeys = { keys: async () => [key] };
  const proof = createCertificateHolder(certificates.inventory);
  const node = createMeshNode("inventory", testConfig(), { signingKeys, certificates: proof });
  const unused = async (): Promise<never> => {
    throw new Error("not part of the measurement");
  };
  const handlers: Handlers<typeof InventoryService> = {
    adjustStock: answer,
    getStock: unused,
    batchGetStock: unused,
    createReservation: unused,
    getReservation: unused,
    commitReservation: unused,
    releaseReservation: unused,
    restockReservation: unused,
    listMovements: unused,
    async *watchStock() {},
  };
  const { port } = await node.serve({ services: [implement(InventoryService, handlers)] });
  return port;
}

// --- clients --------------------------------------------------------------------------------------------------------

export type Caller = () => Promise<AdjustStockResponse>;

export function callBare(port: number, { token, certificates }: Setup): Caller {
  const proof = bareClientCredentials(certificates.gateway);
  const client = new Client(`127.0.0.1:${port}`, proof, { "grpc.enable_channelz": 0 });
  const { path, requestSerialize, responseDeserialize } = method;
  return () => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    metadata.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    const options = { deadline: Date.now() + 5_000 };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error, value) => (value === undefined ? reject(error) : resolve(value)),
      );
    });
  };
}

/** Every call is made for a fresh `Call`, as that of a handler is. */
export function callOurs(port: number, { token, certificates }: Setup): Caller {
  const endpoints = staticEndpoints({ inventory: [`127.0.0.1:${port}`] });
  const proof = createCertificateHolder(certificates.gateway);
  const node = createMeshNode("gateway", testConfig(), { endpoints, certificates: proof });
  const inventory = node.client(InventoryService);
  const { method: info, trace } = node.background({ name: "bench", timeoutMs: 0 });
  return () => {
    const deadline = Date.now() + 5_000;
    const made = { method: info, deadline, caller: "gateway", user: undefined, token, trace };
    const init = { ...made, clientAddress: () => "", log: () => node.log };
    return inventory.adjustStock(request, new CallContext(init));
  };
}
