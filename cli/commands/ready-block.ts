import { randomUUID } from "node:crypto";
import type { Paint } from "../logs/render.ts";

/** What the operator reads when the shop is ready: where it is, what to try, how to stop. */
export function readyBlock(options: {
  readonly address: string;
  readonly startedInMs: number;
  readonly dataDir: string;
  readonly paint: Paint;
}): string {
  const { address, startedInMs, dataDir, paint } = options;
  // One of its own on every start: whoever repeats a guest's request id is taken for the same guest.
  const guest = JSON.stringify({ request_id: randomUUID() });
  const search = JSON.stringify({ query: "planetary gearbox", page_size: 3 });
  const sections = [
    ["list what can be called", ...listCommands(address)],
    ["search for products", ...callCommands(address, "shop.catalog.v1.CatalogService/SearchProducts", search)],
    ["get a guest's token", ...callCommands(address, "shop.identity.v1.IdentityService/CreateGuest", guest)],
  ] as const;
  const text = sections.map(([title, ...commands]) =>
    [`  ${paint("bold", title)}`, ...commands.map((command) => `    ${command}`)].join("\n"),
  );
  const ready = paint("green", "Shopmesh is ready");
  return [
    "",
    `${ready} at ${paint("bold", address)} after ${(startedInMs / 1000).toFixed(1)} s. Try, in another terminal:`,
    "",
    text.join("\n\n"),
    "",
    `Data, logs and mails are in ${dataDir}. Ctrl-C stops everything; --verbose shows every call.`,
    "",
    "",
  ].join("\n");
}

const bufCurl = "npx buf curl --protocol grpc --http2-prior-knowledge";

function listCommands(address: string): readonly string[] {
  return [`grpcurl -plaintext ${address} list`, `${bufCurl} --list-methods http://${address}`];
}

function callCommands(address: string, method: string, data: string): readonly string[] {
  return [
    `grpcurl -plaintext -d '${data}' ${address} ${method}`,
    `${bufCurl} -d '${data}' http://${address}/${method}`,
  ];
}
