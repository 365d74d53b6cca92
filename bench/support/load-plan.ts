/** What the load process is told to do. Travels between processes, so plain data alone. */
export interface LoadPlan {
  /** The public gateway, `127.0.0.1:8080`. */
  readonly address: string;
  readonly shoppers: number;
  /** How long is measured. */
  readonly seconds: number;
  /** How long the shoppers shop before that: until then the processes compile themselves. */
  readonly warmUpSeconds: number;
  /** Different SKUs per order. */
  readonly lines: number;
  /** What is bought; stock must not run out. */
  readonly skus: readonly string[];
}

/** What the load process saw. Times are epoch milliseconds. */
export interface LoadResult {
  readonly beginTimeMs: number;
  readonly endTimeMs: number;
  /** Of every successful call that ended in the window, by method: how long it took, in milliseconds. */
  readonly latenciesMs: Readonly<Record<string, readonly number[]>>;
  /** How often each method failed with each code and reason, from the first call to the last. */
  readonly failures: Readonly<Record<string, number>>;
  /** Every order that was acknowledged, from the first to the last. */
  readonly accepted: readonly AcceptedOrder[];
  readonly customerIds: readonly string[];
}

export interface AcceptedOrder {
  readonly orderId: string;
  /** When the answer arrived, epoch milliseconds. */
  readonly timeMs: number;
  readonly state: "CONFIRMED" | "PENDING" | "OTHER";
  /** How many lines it has: more than were put into the cart for it when lines of the order before were still there. */
  readonly lines: number;
}

/** What the load process tells, in this order. */
export type LoadMessage =
  | { readonly kind: "window-begins" }
  | { readonly kind: "window-ends" }
  | { readonly kind: "finished"; readonly result: LoadResult };
