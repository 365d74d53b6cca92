export function sum<Item>(items: Iterable<Item>, amountOf: (item: Item) => bigint): bigint {
  let total = 0n;
  for (const item of items) total += amountOf(item);
  return total;
}

export function groupBy<Item>(
  items: Iterable<Item>,
  keyOf: (item: Item) => string,
): ReadonlyMap<string, readonly Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
