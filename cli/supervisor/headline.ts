/** A line of an uncaught error that names it, as Node.js prints it or the log: `TypeError: …`, `[ConfigError: …]`. */
const naming = /^(?:ERROR |\[?(?:Uncaught )?[\w$.]*(?:Error|Exception)\b)/;
/** What Node.js says last of all, and what tells nobody anything. */
const trailer = /^(?:Node\.js v[\d.]+|[\s{}^]*)$/;

/** Of the last errors of a process the line that says most: the one that names the error, or else the last. */
export function headline(errors: readonly string[]): string | undefined {
  return errors.findLast((line) => naming.test(line)) ?? errors.findLast((line) => !trailer.test(line));
}
