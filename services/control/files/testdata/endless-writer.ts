import { stateFile } from "../state-file.ts";

const [path = ""] = process.argv.slice(2);
const file = stateFile<number>({
  path,
  fromJson: (fields) => fields.whole("number"),
  toJson: (number) => ({ number, ballast: "x".repeat(100_000) }),
  without: "",
});
for (let number = 1; ; number += 1) {
  await file.write(number);
  process.send?.(number);
}
