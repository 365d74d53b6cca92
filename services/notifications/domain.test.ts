import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judge, nextBackoff, spread } from "./domain.ts";
import { htmlOf } from "./domain-html.ts";
import { type Block, type Confirmation, type Letter, type Page, pageOf } from "./domain-page.ts";
import { textOf } from "./domain-text.ts";
import { arrivalText, countryText, moneyText, oneLine } from "./domain-words.ts";

const euros = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const occasion = { orderId: "ord_1", shop: "Motion & Söhne", time: new Date("2026-06-01T23:30:00Z") };

describe("the wait after a try", () => {
  test("is 5 s at first, doubles, and is an hour at the most", () => {
    const waits = Array.from({ length: 12 }).reduce<readonly number[]>(
      (all) => [...all, nextBackoff(all.at(-1) ?? 0)],
      [],
    );
    expect(waits.map((ms) => ms / 1_000)).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
  });
  test("differs by chance, by a tenth", () => {
    expect([0, 0.5, 1].map((chance) => spread(10_000, chance))).toEqual([9_000, 10_000, 11_000]);
  });
});

describe("a failed try", () => {
  test.each([
    [
      { command: "RCPT TO", responseCode: 550, response: "550 5.1.1 <ada@example.org> no" },
      "refused",
      "RCPT TO: answered 550 5.1.1",
    ],
    [{ command: "DATA", responseCode: 554, response: "554 spam" }, "refused", "DATA: answered 554"],
    [
      { command: "MAIL FROM", responseCode: 552, response: "552 5.3.4 size" },
      "refused",
      "MAIL FROM: answered 552 5.3.4",
    ],
    [{ command: "RCPT TO", responseCode: 450, response: "450-4.2.1 later" }, "deferred", "RCPT TO: answered 450 4.2.1"],
    [{ command: "DATA", responseCode: 503, response: "503 5.5.1 order" }, "deferred", "DATA: answered 503 5.5.1"],
    [{ command: "DATA", responseCode: 250, response: "250 ok" }, "deferred", "DATA: answered 250"],
    [{ command: "DATA", responseCode: 421, response: "421 bye" }, "no_server", "DATA: answered 421"],
    [{ command: "RCPT TO", responseCode: 530, response: "530 5.7.0 who" }, "no_server", "RCPT TO: answered 530 5.7.0"],
    [{ command: "MAIL FROM", responseCode: 550, response: "550 no" }, "no_server", "MAIL FROM: answered 550"],
    [{ command: "AUTH PLAIN", responseCode: 535, response: "535 5.7.8 no" }, "no_server", "AUTH: answered 535 5.7.8"],
    [{ command: "CONN", code: "ETIMEDOUT" }, "no_server", "connection: ETIMEDOUT"],
    [{ command: "API", code: "ada@example.org" }, "no_server", "connection: failed"],
    [{}, "no_server", "connection: failed"],
  ] as const)("%j is %s: %s", (error, fault, words) => {
    expect(judge(error)).toEqual({ fault, error: words });
  });
});

describe("an amount", () => {
  test.each([
    ["EUR", 0n, "€0.00"],
    ["EUR", 5n, "€0.05"],
    ["EUR", 123_456n, "€1,234.56"],
    ["EUR", 9_223_372_036_854_775_807n, "€92,233,720,368,547,758.07"],
    ["JPY", 9_223_372_036_854_775_807n, "¥9,223,372,036,854,775,807"],
    ["KWD", 1_234n, "KWD\u00a01.234"],
    ["XXX", 1_999n, "¤19.99"],
  ])("%s %s is %s", (currencyCode, minorUnits, text) => {
    expect(moneyText({ currencyCode, minorUnits })).toBe(text);
  });
  test("has every digit that was given", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), fc.constantFrom("EUR", "JPY", "KWD"), (minorUnits, currencyCode) => {
        const digits = moneyText({ currencyCode, minorUnits }).replaceAll(/\D/g, "");
        expect(BigInt(digits)).toBe(minorUnits);
      }),
    );
  });
});

test("days are those of UTC, and a span of them is never turned around", () => {
  const from = new Date("2026-12-30T23:59:59Z");
  const spans = [
    { minDays: 0, maxDays: 0 },
    { minDays: 1, maxDays: 3 },
    { minDays: 4, maxDays: 2 },
    { minDays: 366, maxDays: 366 },
  ].map((days) => arrivalText(from, days).replaceAll(/\s/g, " "));
  expect(spans).toEqual([
    "30 December 2026",
    "31 December 2026 – 2 January 2027",
    "3 January 2027",
    "31 December 2027",
  ]);
});

test("countries have their names, and what is none its code", () => {
  expect(["DE", "QQ"].map(countryText)).toEqual(["Germany", "QQ"]);
});

test("a text of somebody else's stays in its line and turns nothing around", () => {
  expect(oneLine(" Ada\r\nBcc: eve@example.org\u2028\tTotal:\u0000 \u202e0.00\u2066 ")).toBe(
    "Ada Bcc: eve@example.org Total: 0.00",
  );
  expect(oneLine("Jürgen Müßig, 張偉, 👩‍🔧")).toBe("Jürgen Müßig, 張偉, 👩‍🔧");
});

const nasty = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom(
    "<script>alert(1)</script>",
    `"><img src=x onerror=alert(1)>`,
    "&lt;b&gt;",
    "a\r\n\r\n<b>",
    "'onload='x",
  ),
);

const letters: fc.Arbitrary<Letter> = fc.record<Confirmation>({
  kind: fc.constant("ORDER_CONFIRMATION"),
  lines: fc.array(
    fc.record({
      sku: nasty,
      title: nasty,
      quantity: fc.bigInt(1n, 2n ** 63n - 1n),
      total: fc.option(fc.bigInt(0n, 2n ** 63n - 1n).map(euros), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  subtotal: fc.constant(euros(1n)),
  shippingPrice: fc.constant(euros(0n)),
  total: fc.constant(euros(1n)),
  address: fc.record({
    recipient: nasty,
    lines: fc.array(nasty, { minLength: 1, maxLength: 4 }),
    city: nasty,
    postalCode: nasty,
    region: nasty,
    countryCode: fc.constant("DE"),
  }),
  shippingTitle: nasty,
  minDays: fc.integer({ min: 0, max: 366 }),
  maxDays: fc.integer({ min: 0, max: 366 }),
});

describe("a mail, whatever strangers call themselves and their goods", () => {
  /** Everything in markup that is not text. */
  const tagsOf = (html: string) => html.match(/<[^>]*>/g) ?? [];
  const plain: Letter = { kind: "REFUND", amount: euros(1n) };
  const known = new Set(["<script", "<img", "<b>"]);

  test("has the markup that is written here and no other", () => {
    fc.assert(
      fc.property(letters, nasty, (letter, orderId) => {
        const html = htmlOf(pageOf(letter, { ...occasion, orderId }));
        for (const tag of tagsOf(html)) for (const foreign of known) expect(tag).not.toContain(foreign);
        // Escaped texts hold neither brackets nor quotes: the same page with harmless texts has the same tags.
        const tame = (text: string) => (oneLine(text) === "" ? "" : "x");
        expect(tagsOf(html)).toEqual(tagsOf(htmlOf(withTexts(pageOf(letter, { ...occasion, orderId }), tame))));
      }),
      { numRuns: 50 },
    );
  });

  test("has lines of text that fit, and none that a stranger began", () => {
    fc.assert(
      fc.property(letters, (letter) => {
        const page = pageOf(letter, occasion);
        const segmenter = new Intl.Segmenter("en");
        for (const line of textOf(page).split("\n")) {
          expect([...segmenter.segment(line)].length).toBeLessThanOrEqual(64);
          expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        }
        expect(page.subject).toBe("Thank you for your order (ord_1)");
      }),
      { numRuns: 50 },
    );
  });

  test("has a subject of one line even of an order's id that is none", () => {
    const { subject } = pageOf(plain, { ...occasion, orderId: "ord_1\r\nBcc: eve@example.org" });
    expect(subject).toBe("We have sent you a refund (ord_1 Bcc: eve@example.org)");
  });
});

/** The page with every text of it changed that may be a stranger's. */
function withTexts(page: Page, change: (text: string) => string): Page {
  return { ...page, subject: change(page.subject), blocks: page.blocks.map((block) => withText(block, change)) };
}

function withText(block: Block, change: (text: string) => string): Block {
  switch (block.kind) {
    case "paragraph":
      return { ...block, text: change(block.text) };
    case "facts":
      return { ...block, facts: block.facts.map((fact) => ({ ...fact, value: change(fact.value) })) };
    case "items": {
      const items = block.items.map((item) => ({ ...item, title: change(item.title), detail: change(item.detail) }));
      return { ...block, items };
    }
    case "address":
      return { ...block, lines: block.lines.map(change) };
  }
}

test("text and HTML say the same", () => {
  const page = pageOf({ kind: "SHIPPED", shipmentId: "shp_1" }, occasion);
  expect(textOf(page)).toBe(`Motion & Söhne

Your order is on its way
------------------------

Hello,

Your goods have left our warehouse. We write again when they
have arrived.

Order:    ord_1
Shipment: shp_1
Sent:     1 June 2026

--${" "}
You get this mail because this address was given for an order at
Motion & Söhne.
`);
  const words = htmlOf(page)
    .replace(/<head>[\s\S]*<\/head>/, "")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll("&#38;", "&")
    .replaceAll(/\s+/g, " ");
  const ofText = textOf(page)
    .replace(/^-{3,}$/m, "")
    .replace("-- \n", "")
    .replaceAll(":", "")
    .replaceAll(/\s+/g, " ");
  expect(words.trim()).toBe(ofText.trim());
});
