import { join } from "node:path";
import type { Fields } from "../files/fields.ts";
import { type StateFile, stateFile } from "../files/state-file.ts";
import { type Authorities, type Authority, type AuthorityState, signingAuthority } from "./domain.ts";

export const AUTHORITY_FILE = "authority.json";
/** What a mesh comes to that loses its authority. */
export const WITHOUT_AUTHORITY =
  "then a new authority is made, and every process of the mesh has to be started anew to believe it";

/** The authorities that are kept in a folder, with their keys. */
export function authorityFile(folder: string): StateFile<Authorities> {
  return stateFile<Authorities>({
    path: join(folder, AUTHORITY_FILE),
    fromJson(fields) {
      const authorities = {
        trusted: fields.list("trusted", readAuthority),
        rotations: fields.list("rotations", (rotation) => ({
          caller: rotation.text("caller"),
          requestId: rotation.text("requestId"),
          generation: rotation.whole("generation"),
        })),
      };
      signingAuthority(authorities);
      return authorities;
    },
    toJson: (authorities) => authorities,
    without: WITHOUT_AUTHORITY,
  });
}

function readAuthority(fields: Fields): Authority {
  return {
    generation: fields.whole("generation"),
    certificate: fields.text("certificate"),
    privateKey: fields.optional("privateKey", (authority, name) => authority.text(name)),
    fingerprint: fields.text("fingerprint"),
    createTime: fields.time("createTime"),
    expireTime: fields.time("expireTime"),
    state: readState(fields.text("state")),
    lifetimeMs: fields.number("lifetimeMs"),
    dropTime: fields.optional("dropTime", (authority, name) => authority.time(name)),
  };
}

const states: readonly AuthorityState[] = ["INTRODUCED", "SIGNING", "RETIRING"];

function readState(text: string): AuthorityState {
  const state = states.find((name) => name === text);
  if (state === undefined) throw new TypeError(`"${text}" is no state of an authority`);
  return state;
}
