import type { Account, Intent } from "./account.ts";
import { type Params, textOf, textsOf } from "./forms.ts";
import { cancel, capture, create, intentOf, readCreate } from "./payment-intents.ts";
import { createRefund } from "./refunds.ts";
import { missing, StripeFault } from "./replies.ts";

/** What a path leads to: something to read, or a change, which is made only when its turn comes. */
export type Route =
  | { readonly kind: "read"; readonly read: () => unknown }
  | { readonly kind: "change"; readonly change: () => unknown };

const MAX_LIMIT = 100;

/** Finds what a request is for. Throws where there is nothing. */
export function findRoute(account: Account, method: string, path: string, params: Params): Route {
  const [, resource, id = "", verb] =
    /^\/v1\/(payment_intents|refunds|charges|events)(?:\/([^/]+))?(?:\/([a-z]+))?$/.exec(path) ?? [];
  const route =
    method === "POST" ? changeOf(account, { resource, id, verb }, params) : readOf(account, { resource, id }, params);
  if (route === undefined) throw new StripeFault(404, `Unrecognized request URL (${method}: ${path})`, {}, true);
  return route;
}

interface Place {
  readonly resource: string | undefined;
  readonly id: string;
  readonly verb?: string | undefined;
}

function changeOf(account: Account, { resource, id, verb }: Place, params: Params): Route | undefined {
  const change = (act: () => unknown): Route => ({ kind: "change", change: act });
  if (resource === "refunds" && id === "") return change(() => createRefund(account, params));
  if (resource !== "payment_intents") return undefined;
  if (id === "") {
    const wanted = readCreate(params);
    return change(() => expanded(account, create(account, wanted), params, "latest_charge"));
  }
  if (verb === "capture") return change(() => capture(account, id, params));
  if (verb === "cancel") return change(() => cancel(account, id, params));
  return undefined;
}

function readOf(account: Account, { resource, id }: Place, params: Params): Route | undefined {
  const read = (act: () => unknown): Route => ({ kind: "read", read: act });
  switch (resource) {
    case "payment_intents":
      return read(() =>
        id === ""
          ? page(account.intents, params, (intent) => expanded(account, intent, params, "data.latest_charge"))
          : expanded(account, intentOf(account, id), params, "latest_charge"),
      );
    case "refunds":
      return read(() =>
        id === "" ? page(account.refunds, params, (refund) => refund) : one(account.refunds, id, "refund"),
      );
    case "events":
      return read(() => page(account.events, params, (event) => event));
    case "charges":
      return read(() => one(account.charges, id, "charge"));
    default:
      return undefined;
  }
}

function one<Item>(items: ReadonlyMap<string, Item>, id: string, what: string): Item {
  const item = items.get(id);
  if (item === undefined) throw missing(what, id, "id");
  return item;
}

/** With the charge itself in the place of its id, where it was asked for. */
function expanded(account: Account, intent: Intent, params: Params, name: string): unknown {
  if (!Object.values(textsOf(params, "expand")).includes(name)) return intent;
  return { ...intent, latest_charge: account.charges.get(intent.latest_charge ?? "") ?? null };
}

interface Listed {
  readonly id: string;
  readonly created: number;
}

/** One page of a list, the newest first. */
function page<Item extends Listed>(
  items: ReadonlyMap<string, Item>,
  params: Params,
  show: (item: Item) => unknown,
): unknown {
  const { gte = "0", lte = "9999999999" } = textsOf(params, "created");
  const types = Object.values(textsOf(params, "types"));
  const filters = ["charge", "payment_intent"].flatMap((name) => {
    const value = textOf(params, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const wanted = [...items.values()]
    .reverse()
    .filter((item) => types.length === 0 || ("type" in item && types.includes(String(item.type))))
    .filter(({ created }) => created >= Number(gte) && created <= Number(lte))
    .filter((item) =>
      filters.every(([name, value]) => Object.entries(item).some(([key, own]) => key === name && own === value)),
    );
  const limit = Math.min(Number(textOf(params, "limit") ?? "10"), MAX_LIMIT);
  const after = textOf(params, "starting_after");
  if (after !== undefined && !items.has(after)) throw missing("object", after, "starting_after");
  const from = after === undefined ? 0 : wanted.findIndex(({ id }) => id === after) + 1;
  const data = wanted.slice(from, from + limit);
  return { object: "list", data: data.map(show), has_more: from + limit < wanted.length };
}
