import { takeFolder } from "../folder.ts";

// Takes a folder and says whether it could; holds it until it is killed.
const [path = ""] = process.argv.slice(2);
const outcome = await takeFolder(path).then(
  () => "held",
  (error: unknown) => String(error),
);
process.send?.(outcome);
setInterval(() => undefined, 60_000);
