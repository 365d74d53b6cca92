import type { DescEnum, DescFile, DescMethod, DescService } from "@bufbuild/protobuf";

/** Collects every broken contract rule, so that an author sees them all in one run. */
export class Problems {
  readonly #lines: string[] = [];

  /** A rule broken by a service, or by one of its methods. */
  add(service: DescService, method: DescMethod | undefined, what: string): void {
    const place = method === undefined ? service.typeName : `${service.typeName}.${method.name}`;
    this.#push(service.file, place, what);
  }

  /** A rule broken by a value of an enum. */
  addValue(desc: DescEnum, value: string, what: string): void {
    this.#push(desc.file, `${desc.typeName}.${value}`, what);
  }

  /** Throws one error with a line for each problem, in the order they were found; does nothing when there is none. */
  throwIfAny(): void {
    if (this.#lines.length === 0) return;
    const count = this.#lines.length === 1 ? "1 problem" : `${this.#lines.length} problems`;
    throw new Error(`${count} in the contracts\n${this.#lines.map((line) => `  ${line}`).join("\n")}`);
  }

  #push(file: DescFile, place: string, what: string): void {
    this.#lines.push(`${file.name}.proto: ${place} ${what}`);
  }
}
