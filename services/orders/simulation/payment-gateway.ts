import { isDeepStrictEqual } from "node:util";
import { Violation, type World } from "./world.ts";

/** How long the gateway keeps money set aside. */
const AUTHORIZATION_MS = 7 * 24 * 3_600_000;

/** How the buyer's bank behaves, as the payment token tells. */
export type Card =
  | "good"
  | "declined"
  /** Money is set aside, and cannot be taken. */
  | "not captured"
  /** Nothing is let go or given back at the first time of asking. */
  | "grudging";

export interface Authorization {
  readonly id: string;
  /** The order. */
  readonly reference: string;
  readonly key: string;
  readonly amount: bigint;
  readonly expireMs: number;
  readonly card: Card;
  captured: bigint;
  captures: number;
  refunded: bigint;
  voided: boolean;
}

export type AuthorizationState = "AUTHORIZED" | "CAPTURED" | "VOIDED" | "EXPIRED";

/** What the gateway answers for good; that nobody knows is an answer that never came. */
export type GatewayAnswer =
  | { readonly kind: "ok"; readonly id: string; readonly expireMs: number }
  | { readonly kind: "declined"; readonly code: string }
  | { readonly kind: "refused"; readonly code: string; readonly state: AuthorizationState | undefined };

/** Where the money is: outside the shop, and right by definition. The same key never does a thing twice. */
export class PaymentGateway {
  readonly authorizations = new Map<string, Authorization>();
  readonly hooks = { happened: (_authorization: Authorization): void => {} };
  readonly #answers = new Map<string, { readonly request: unknown; readonly answer: GatewayAnswer }>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  authorize = (request: {
    readonly key: string;
    readonly amount: bigint;
    readonly token: string;
    readonly reference: string;
  }): GatewayAnswer =>
    this.#once(request.key, request, () => {
      const { key, amount, reference } = request;
      const card = cardOf(request.token);
      if (card === "declined") return { kind: "declined", code: "card_declined" };
      const id = `auth_${this.authorizations.size + 1}`;
      const expireMs = this.#world.nowMs + AUTHORIZATION_MS;
      const fresh = { captured: 0n, captures: 0, refunded: 0n, voided: false };
      const authorization: Authorization = { id, reference, key, amount, expireMs, card, ...fresh };
      this.authorizations.set(id, authorization);
      return this.#done(authorization);
    });

  capture = (request: { readonly key: string; readonly id: string; readonly amount: bigint }): GatewayAnswer =>
    this.#once(request.key, request, () => {
      const authorization = this.#find(request.id);
      if (this.stateOf(authorization) !== "AUTHORIZED") return this.#refused(authorization);
      if (authorization.card === "not captured") return { kind: "declined", code: "card_declined" };
      authorization.captured = request.amount;
      authorization.captures += 1;
      return this.#done(authorization);
    });

  void = (request: { readonly key: string; readonly id: string }): GatewayAnswer =>
    this.#once(request.key, request, () => {
      const authorization = this.#find(request.id);
      if (this.stateOf(authorization) !== "AUTHORIZED") return this.#refused(authorization);
      if (authorization.card === "grudging" && !request.key.includes(":")) return { kind: "declined", code: "not_now" };
      authorization.voided = true;
      return this.#done(authorization);
    });

  refund = (request: { readonly key: string; readonly id: string; readonly amount: bigint }): GatewayAnswer =>
    this.#once(request.key, request, () => {
      const authorization = this.#find(request.id);
      const left = authorization.captured - authorization.refunded;
      if (request.amount > left) return { kind: "refused", code: "refund_exceeds_captured", state: undefined };
      if (authorization.card === "grudging" && !request.key.includes(":")) return { kind: "declined", code: "not_now" };
      authorization.refunded += request.amount;
      return this.#done(authorization);
    });

  /** What became of an authorization's key; undefined when it was never heard of. */
  lookUp = (key: string): GatewayAnswer | undefined => this.#answers.get(key)?.answer;
  find = (id: string): AuthorizationState => this.stateOf(this.#find(id));

  readonly #once = (key: string, request: unknown, effect: () => GatewayAnswer): GatewayAnswer => {
    const earlier = this.#answers.get(key);
    if (earlier === undefined) {
      const answer = effect();
      this.#answers.set(key, { request, answer });
      return answer;
    }
    if (!isDeepStrictEqual(earlier.request, request))
      throw new Violation(`the gateway's key ${key} came with another request`);
    return earlier.answer;
  };
  readonly #find = (id: string): Authorization => {
    const found = this.authorizations.get(id);
    if (found === undefined) throw new Violation(`the gateway was asked for ${id}, which it never had`);
    return found;
  };
  readonly stateOf = ({ voided, captures, expireMs }: Authorization): AuthorizationState => {
    if (voided) return "VOIDED";
    if (captures > 0) return "CAPTURED";
    return expireMs <= this.#world.nowMs ? "EXPIRED" : "AUTHORIZED";
  };
  readonly #done = (authorization: Authorization): GatewayAnswer => {
    this.#world.changed = true;
    this.hooks.happened(authorization);
    return { kind: "ok", id: authorization.id, expireMs: authorization.expireMs };
  };
  readonly #refused = (authorization: Authorization): GatewayAnswer => {
    const state = this.stateOf(authorization);
    return { kind: "refused", code: `authorization_${state.toLowerCase()}`, state };
  };
}

/** What a payment token contains, and nothing that the shop stores may. */
export const SECRET = "secret";

export function tokenOf(card: Card): string {
  return `${SECRET}:${card}`;
}

function cardOf(token: string): Card {
  const cards: readonly Card[] = ["declined", "not captured", "grudging"];
  return cards.find((card) => token === tokenOf(card)) ?? "good";
}
