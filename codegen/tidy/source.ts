import { parseSync, Visitor, type VisitorObject } from "oxc-parser";

/** What the rules want to know of one source file. Lines count from 1. */
export interface Source {
  /** Relative to the project, with `/`. */
  readonly path: string;
  readonly lineCount: number;
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionSpan[];
  readonly uses: readonly Use[];
}

/** An import, a re-export, an import() or a type import, when its target is written out. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
}

export interface FunctionSpan {
  readonly line: number;
  readonly lineCount: number;
}

/** A thing that only its owner may touch. */
export interface Use {
  readonly what: "Date.now" | "new Date()" | "Math.random" | "process.env" | "grpc.experimental";
  readonly line: number;
}

type NodeOf<T extends keyof VisitorObject> = Parameters<NonNullable<VisitorObject[T]>>[0];
type Expression = NodeOf<"CallExpression">["callee"];
type Spanned = Pick<NodeOf<"CallExpression">, "start" | "end">;

/** Reads a TypeScript or JavaScript file. Throws an Error that names it when it cannot be parsed. */
export function readSource(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path} cannot be parsed: ${error.message}`);
  const lineOf = lineCounter(text);
  const imports: Import[] = [];
  const functions: FunctionSpan[] = [];
  const uses: Use[] = [];
  const groups = new Set<number>();

  const addImport = (node: Spanned, source: { readonly value?: unknown } | null): void => {
    if (typeof source?.value === "string") imports.push({ specifier: source.value, line: lineOf(node.start) });
  };
  const addUse = (what: Use["what"], node: Spanned): void => {
    uses.push({ what, line: lineOf(node.start) });
  };
  const addFunction = (node: Spanned): void => {
    if (groups.has(node.start)) return;
    const line = lineOf(node.start);
    functions.push({ line, lineCount: lineOf(node.end) - line + 1 });
  };

  new Visitor({
    ImportDeclaration: (node) => {
      addImport(node, node.source);
      for (const what of importedUses(node)) addUse(what, node);
    },
    ExportNamedDeclaration: (node) => addImport(node, node.source),
    ExportAllDeclaration: (node) => addImport(node, node.source),
    ImportExpression: (node) => addImport(node, "value" in node.source ? node.source : null),
    TSImportType: (node) => addImport(node, node.source),
    FunctionDeclaration: addFunction,
    FunctionExpression: addFunction,
    ArrowFunctionExpression: addFunction,
    // A group of tests is a list, not a procedure; each test in it counts for itself.
    CallExpression: (node) => {
      if (rootName(node.callee) === "describe") for (const argument of node.arguments) groups.add(argument.start);
    },
    NewExpression: (node) => {
      if (isNamed(node.callee, "Date") && node.arguments.length === 0) addUse("new Date()", node);
    },
    MemberExpression: (node) => {
      const property = propertyName(node);
      if (property === "now" && isNamed(node.object, "Date")) addUse("Date.now", node);
      if (property === "random" && isNamed(node.object, "Math")) addUse("Math.random", node);
      if (property === "env" && isNamed(node.object, "process")) addUse("process.env", node);
      if (property === "experimental") addUse("grpc.experimental", node);
    },
  }).visit(program);
  return { path, lineCount: countLines(text), imports, functions, uses };
}

/** `import { env } from "node:process"` reaches the same as `process.env`. */
function importedUses(node: NodeOf<"ImportDeclaration">): readonly Use["what"][] {
  const names = node.specifiers.flatMap((specifier) =>
    specifier.type === "ImportSpecifier" && specifier.imported.type === "Identifier" ? [specifier.imported.name] : [],
  );
  const found: Use["what"][] = [];
  if (/^(node:)?process$/.test(node.source.value) && names.includes("env")) found.push("process.env");
  if (node.source.value === "@grpc/grpc-js" && names.includes("experimental")) found.push("grpc.experimental");
  return found;
}

/** `Date`, and also `globalThis.Date`. */
function isNamed(node: Expression, name: string): boolean {
  if (node.type === "Identifier") return node.name === name;
  return node.type === "MemberExpression" && isNamed(node.object, "globalThis") && propertyName(node) === name;
}

function propertyName(node: NodeOf<"MemberExpression">): string | undefined {
  if (!node.computed) return node.property.type === "Identifier" ? node.property.name : undefined;
  return "value" in node.property && typeof node.property.value === "string" ? node.property.value : undefined;
}

/** The name that `describe.each(…)(…)` begins with. */
function rootName(node: Expression): string | undefined {
  if (node.type === "Identifier") return node.name;
  if (node.type === "MemberExpression") return rootName(node.object);
  if (node.type === "CallExpression") return rootName(node.callee);
  return undefined;
}

function countLines(text: string): number {
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}
