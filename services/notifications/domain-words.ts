/** An amount in a currency's smallest unit. */
export interface Money {
  readonly currencyCode: string;
  readonly minorUnits: bigint;
}

/**
 * An amount as people write it: `€1,234.56`. Exact, whatever its size: the digits are set apart, and none is ever part of
 * a floating-point number. How many of them are behind the point is the currency's matter (ISO 4217, as Unicode's CLDR has
 * it): 1999 is €19.99, and ¥1,999.
 */
export function moneyText({ currencyCode, minorUnits }: Money): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency: currencyCode });
  const behind = format.resolvedOptions().maximumFractionDigits ?? 0;
  const digits = minorUnits.toString().padStart(behind + 1, "0");
  const point = digits.length - behind;
  return format
    .formatToParts(BigInt(digits.slice(0, point)))
    .map(({ type, value }) => (type === "fraction" ? digits.slice(point) : value))
    .join("");
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A day by the calendar of UTC: `1 June 2026`. */
export function dayText(time: Date): string {
  return days.format(time);
}

/** When goods are to be there that were sent off at `from`: `3–5 June 2026`. */
export function arrivalText(
  from: Date,
  { minDays, maxDays }: { readonly minDays: number; readonly maxDays: number },
): string {
  const after = (count: number): Date => new Date(from.getTime() + count * DAY_MS);
  return days.formatRange(after(minDays), after(Math.max(minDays, maxDays)));
}

const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** A number of units: `10,000`. */
export function countText(count: bigint): string {
  return new Intl.NumberFormat("en").format(count);
}

/** The English name of a country by ISO 3166-1 alpha-2; the code itself where there is none. */
export function countryText(code: string): string {
  return new Intl.DisplayNames(["en"], { type: "region" }).of(code) ?? code;
}

/**
 * A text of somebody else's as it may stand in one line of ours: without line breaks and other control characters, which
 * could feign lines of ours or headers, and without those that turn around what is written after them.
 */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, "")
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
}
