import { join } from "node:path";
import type { Fields } from "../files/fields.ts";
import { type StateFile, stateFile } from "../files/state-file.ts";
import type { Instance } from "./domain.ts";

/** What of the registry outlives the process: whoever was handed out, so that nobody is missed after a restart. */
export interface Snapshot {
  /** Which life of the control plane wrote it; see `nextTerm`. */
  readonly term: number;
  readonly instances: readonly Instance[];
}

/** The snapshot that is kept in a folder. */
export function snapshotFile(folder: string): StateFile<Snapshot> {
  return stateFile<Snapshot>({
    path: join(folder, "registry.json"),
    fromJson: (fields) => ({ term: fields.whole("term"), instances: fields.list("instances", readInstance) }),
    toJson: (snapshot) => snapshot,
    without: "then instances are known again when they have come back, within seconds",
  });
}

function readInstance(fields: Fields): Instance {
  return {
    name: fields.text("name"),
    service: fields.text("service"),
    version: fields.text("version"),
    host: fields.text("host"),
    port: fields.whole("port"),
    startTime: fields.optional("startTime", (instance, name) => instance.time(name)),
  };
}
