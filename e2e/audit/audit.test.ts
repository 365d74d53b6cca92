import { describe, expect, test } from "vitest";
import { audit, describeFindings, holds } from "./audit.ts";
import type { Books, BuyersWord, EventRow, OrderRow, TransactionRow } from "./books.ts";
import { secretFinder } from "./secrets.ts";

// One order that was paid, one that was cancelled after its capture, one that was rejected; and nothing else. Then each
// way in which such books can be wrong.

const order = (id: string, fields: Partial<OrderRow>): OrderRow => ({
  id,
  customerId: "usr_1",
  requestId: `request-of-${id}`,
  state: "PAID",
  step: "done",
  reservationId: `res_${id}`,
  paymentId: `pay_${id}`,
  leased: false,
  attempts: 0,
  lastError: "",
  version: 3,
  currency: "EUR",
  total: 1_000n,
  refunded: 0n,
  lines: [{ sku: "A", quantity: 2, returned: 0 }],
  ...fields,
});

const path = (orderId: string, states: string): readonly EventRow[] =>
  states.split(" ").map((state, index) => ({ orderId, seq: index + 1, state, note: "" }));

const move = (type: TransactionRow["type"], reference: string): TransactionRow => ({
  id: `${type}_${reference}`,
  type,
  authorizationId: `auth_${reference}`,
  reference,
  currency: "EUR",
  amount: 1_000n,
});

const good: Books = {
  orders: [
    order("paid", {}),
    order("undone", { state: "CANCELLED", version: 4, refunded: 1_000n }),
    order("rejected", { state: "REJECTED", version: 2, paymentId: null }),
  ],
  events: [
    ...path("paid", "PENDING CONFIRMED PAID"),
    ...path("undone", "PENDING CONFIRMED CANCELLING CANCELLED"),
    ...path("rejected", "PENDING REJECTED"),
  ],
  errands: [],
  shipments: [
    { id: "shp_paid", orderId: "paid", returnId: "", state: "BOOKED" },
    { id: "shp_undone", orderId: "undone", returnId: "", state: "CANCELLED" },
  ],
  confirmations: [{ orderId: "paid" }, { orderId: "undone" }],
  returns: [{ id: "ret_1", orderId: "paid", state: "REQUESTED" }],
  payments: [
    payment("paid", { captured: 1_000n }),
    payment("undone", { captured: 1_000n, refunded: 1_000n }),
    payment("rejected", { state: "DECLINED" }),
  ],
  operations: [{ id: "op_1", paymentId: "pay_paid", kind: "CAPTURE", state: "DONE" }],
  ledger: [
    { account: "gateway_receivable", currency: "EUR", debit: 2_000n, credit: 1_000n },
    { account: "sales", currency: "EUR", debit: 0n, credit: 2_000n },
    { account: "refunds", currency: "EUR", debit: 1_000n, credit: 0n },
  ],
  unbalanced: [],
  stock: [{ sku: "A", onHand: 8n, reserved: 0n }],
  movements: [
    { sku: "A", kind: "ADJUSTED", onHandDelta: 10n, reservedDelta: 0n },
    { sku: "A", kind: "RESERVED", onHandDelta: 0n, reservedDelta: 6n },
    { sku: "A", kind: "RELEASED", onHandDelta: 0n, reservedDelta: -4n },
    { sku: "A", kind: "COMMITTED", onHandDelta: -2n, reservedDelta: -2n },
  ],
  reservations: [
    reservation("paid", "COMMITTED"),
    reservation("undone", "RELEASED"),
    reservation("rejected", "RELEASED"),
  ],
  transactions: [
    move("authorization", "paid"),
    move("capture", "paid"),
    move("authorization", "undone"),
    move("capture", "undone"),
    move("refund", "undone"),
  ],
};

function payment(id: string, fields: Partial<Books["payments"][number]>): Books["payments"][number] {
  const rest = { currency: "EUR", captured: 0n, refunded: 0n, pendingOperationId: null };
  return { id: `pay_${id}`, orderId: id, state: "CAPTURED", ...rest, ...fields };
}

function reservation(id: string, state: string, restocked = 0): Books["reservations"][number] {
  return { id: `res_${id}`, reference: id, state, lines: [{ sku: "A", quantity: 2, restocked }] };
}

const goodWord: BuyersWord = {
  acknowledged: [{ orderId: "paid", requestId: "request-of-paid" }],
  asked: new Set(good.orders.map(({ requestId }) => requestId)),
  replays: [{ requestId: "request-of-paid", first: "order paid", again: "order paid" }],
};

/** The books with a row replaced. */
function changed<Key extends keyof Books>(key: Key, index: number, fields: Partial<Books[Key][number]>): Books {
  const rows: readonly unknown[] = good[key].map((row, at) => (at === index ? Object.assign({}, row, fields) : row));
  return { ...good, [key]: rows };
}

/** The books with more rows. */
function added<Key extends keyof Books>(key: Key, ...rows: readonly Books[Key][number][]): Books {
  return { ...good, [key]: [...good[key], ...rows] };
}

function violated(books: Books, word: BuyersWord = goodWord): readonly number[] {
  return [
    ...new Set(audit(books, word).flatMap(({ invariant, violations }) => (violations.length > 0 ? [invariant] : []))),
  ];
}

test("finds nothing in books that are right, and says how much it looked at", () => {
  const findings = audit(good, goodWord);
  expect(violated(good)).toEqual([]);
  expect(holds(findings)).toBe(true);
  expect([...new Set(findings.map(({ invariant }) => invariant))]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  for (const { what, checked } of findings) expect(checked, what).toBeGreaterThan(0);
  expect(describeFindings(findings)).not.toContain("violations");
});

test("takes returned goods and money given back for what they are", () => {
  const returned: Books = {
    ...changed("orders", 0, { refunded: 400n, lines: [{ sku: "A", quantity: 2, returned: 1 }] }),
    payments: [payment("paid", { captured: 1_000n, refunded: 400n }), ...good.payments.slice(1)],
    ledger: [
      { account: "gateway_receivable", currency: "EUR", debit: 2_000n, credit: 1_400n },
      { account: "sales", currency: "EUR", debit: 0n, credit: 2_000n },
      { account: "refunds", currency: "EUR", debit: 1_400n, credit: 0n },
    ],
    stock: [{ sku: "A", onHand: 9n, reserved: 0n }],
    movements: [...good.movements, { sku: "A", kind: "RESTOCKED", onHandDelta: 1n, reservedDelta: 0n }],
    reservations: [reservation("paid", "COMMITTED", 1), ...good.reservations.slice(1)],
    transactions: [...good.transactions, { ...move("refund", "paid"), amount: 400n }],
  };
  expect(violated(returned)).toEqual([]);
});

describe("turns red", () => {
  const wrong: readonly (readonly [number, string, Books])[] = [
    [1, "the debits are not the credits", changed("ledger", 1, { credit: 1_999n })],
    [1, "an operation does not balance by itself", { ...good, unbalanced: ["op_1"] }],
    [1, "a capture is missing from the payments", changed("payments", 0, { captured: 0n })],
    [1, "the gateway took more than we know of", changed("transactions", 1, { amount: 1_001n })],
    [1, "the gateway never gave back what we say it did", { ...good, transactions: good.transactions.slice(0, 4) }],
    [1, "an order counts a refund that was none", changed("orders", 0, { refunded: 1n })],
    [2, "money is set aside twice", added("transactions", { ...move("authorization", "paid"), authorizationId: "b" })],
    [2, "a card is charged twice", added("transactions", { ...move("capture", "paid"), id: "b" })],
    [2, "an order has two live payments", added("payments", { ...payment("paid", {}), id: "pay_b" })],
    [3, "a unit is gone", changed("stock", 0, { onHand: 7n })],
    [3, "there is less than nothing", changed("stock", 0, { onHand: -1n })],
    [3, "a hold is not in the movements", changed("stock", 0, { reserved: 1n })],
    [3, "a unit was sold twice", changed("orders", 2, { state: "PAID" })],
    [3, "a paid order has not taken its stock", changed("reservations", 0, { state: "RELEASED" })],
    [3, "a cancelled order has kept its stock", changed("reservations", 1, { state: "COMMITTED" })],
    [3, "units came back that were not returned", changed("reservations", 0, reservation("paid", "COMMITTED", 1))],
    [3, "stock was held for no order", added("reservations", reservation("nobody", "RELEASED"))],
    [4, "an order waits", changed("orders", 0, { step: "clear_cart" })],
    [4, "an order is held", changed("orders", 0, { leased: true })],
    [4, "a mail waits", { ...good, errands: [{ orderId: "paid", kind: "mail_shipped", attempts: 1, lastError: "" }] }],
    [4, "a hold is left", changed("reservations", 2, { state: "ACTIVE" })],
    [4, "an operation is pending", changed("operations", 0, { state: "PENDING" })],
    [4, "a payment waits", changed("payments", 2, { state: "AUTHORIZED" })],
    [4, "a return was never refunded", changed("returns", 0, { state: "RECEIVED" })],
    [4, "money stays set aside", added("transactions", move("authorization", "rejected"))],
    [5, "a history has a gap", changed("events", 1, { seq: 4 })],
    [5, "an entry is missing", { ...good, events: good.events.slice(1) }],
    [5, "a step was left out", changed("events", 1, { state: "REJECTED" })],
    [5, "a final state changed", { ...changed("orders", 2, { version: 3, state: "CANCELLED" }), events: wrongEnd() }],
    [5, "something happened after the end", { ...changed("orders", 2, { version: 3 }), events: longerEnd() }],
    [5, "the history ends elsewhere", changed("orders", 2, { state: "CANCELLED" })],
    [5, "a history is nobody's", { ...good, events: [...good.events, ...path("nobody", "PENDING")] }],
    [6, "money was taken for no order", added("transactions", move("capture", "nobody"))],
    [6, "money was set aside for no order", added("transactions", move("authorization", "nobody"))],
    [6, "money was taken for an order that was not confirmed", added("transactions", move("capture", "rejected"))],
    [6, "goods are sent and nothing was taken", changed("shipments", 0, { orderId: "rejected" })],
    [6, "goods of an undone order are sent", changed("shipments", 1, { state: "BOOKED" })],
    [6, "an order is paid and nothing is sent", { ...good, shipments: [] }],
    [6, "an order is sent twice", added("shipments", { id: "b", orderId: "paid", returnId: "", state: "BOOKED" })],
    [6, "an order is paid and nobody was told", changed("confirmations", 0, { orderId: "undone" })],
    [6, "an order is confirmed twice", added("confirmations", { orderId: "paid" })],
    [6, "an order is paid and nothing was taken", { ...good, transactions: good.transactions.slice(2) }],
  ];
  test.each(wrong)("%i: %s", (invariant, _, books) => {
    expect(violated(books)).toContain(invariant);
  });

  const lies: readonly (readonly [string, Books, BuyersWord])[] = [
    ["an acknowledged order is gone", good, { ...goodWord, acknowledged: [{ orderId: "x", requestId: "y" }] }],
    ["an order answers another request", good, { ...goodWord, acknowledged: [{ orderId: "paid", requestId: "y" }] }],
    ["one request made two orders", changed("orders", 1, { requestId: "request-of-paid" }), goodWord],
    ["an order was asked for by nobody", good, { ...goodWord, asked: new Set(["request-of-paid"]) }],
    ["a replay tells something else", good, { ...goodWord, replays: [{ requestId: "r", first: "a", again: "b" }] }],
  ];
  test.each(lies)("7: %s", (_, books, word) => {
    expect(violated(books, word)).toEqual([7]);
  });

  test("in the table, with the violations in words", () => {
    const text = describeFindings(audit(changed("stock", 0, { onHand: 7n }), goodWord));
    expect(text).toMatch(/^3 +available \+ reserved \+ sold = stocked.* 1 +2$/m);
    expect(text).toContain("  3: A: 7 on hand");
  });
});

test.each([
  ["a payment token", '(1,"{""paymentToken"": ""tok_visa""}")'],
  ["a payment token in bytes", `(1,"\\\\x0a08${Buffer.from("tok_slow").toString("hex")}12")`],
  ["an access token", '{"authorization":"Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.x"}'],
  ["an access token in bytes", `\\x${Buffer.from("eyJhbGciOiJFZERTQSJ9.x").toString("hex")}`],
  ["a password", "correct horse battery"],
  ["a password in bytes", `\\x${Buffer.from("correct horse battery").toString("hex")}`],
])("8: finds %s", (_, text) => {
  expect(secretFinder(["correct horse battery"])(`line\n${text}\nline`)).toBe(true);
});

test("8: finds nothing in what is no secret", () => {
  const text = '(ord_01m81dwbb5fzvv14drevkz5f7x,"token gone","\\\\xdeadbeef") method eyJ';
  expect(secretFinder(["correct horse battery"])(text)).toBe(false);
});

function wrongEnd(): readonly EventRow[] {
  return [
    ...good.events.filter(({ orderId }) => orderId !== "rejected"),
    ...path("rejected", "PENDING REJECTED CANCELLED"),
  ];
}

function longerEnd(): readonly EventRow[] {
  return [
    ...good.events.filter(({ orderId }) => orderId !== "rejected"),
    ...path("rejected", "PENDING REJECTED REJECTED"),
  ];
}
