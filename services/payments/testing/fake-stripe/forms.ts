/** A request's parameters as Stripe reads them: texts, and objects and lists in brackets. */
export interface Params {
  readonly [name: string]: string | Params;
}

const BRACKETS = /\[([^\]]*)\]/g;

/** Reads `amount=5&metadata[order]=7&expand[0]=charge`; a list is an object whose names are its places. */
export function readForm(text: string): Params {
  const root: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const [first = ""] = name.split("[", 1);
    const path = [first, ...[...name.matchAll(BRACKETS)].map(([, inner = ""]) => inner)];
    put(root, path, value);
  }
  // Only texts and objects of texts were put there.
  return root as Params;
}

function put(target: Record<string, unknown>, [name = "", ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) {
    target[name] = value;
    return;
  }
  const inner = target[name];
  const child: Record<string, unknown> = typeof inner === "object" && inner !== null ? { ...inner } : {};
  put(child, rest, value);
  target[name] = child;
}

/** One text among the parameters. */
export function textOf(params: Params, name: string): string | undefined {
  const value = params[name];
  return typeof value === "string" ? value : undefined;
}

/** The texts of an object among the parameters. */
export function textsOf(params: Params, name: string): Readonly<Record<string, string>> {
  const value = params[name];
  if (value === undefined || typeof value === "string") return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
