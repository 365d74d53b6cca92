import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import PostalMime from "postal-mime";
import type { Clock } from "#mesh/clock.ts";

/** Mails as files: `<time>-<message id>.eml`, and what it says as `.txt` and `.html`. */
export interface MailFolder {
  /** Keeps a mail, in the place of one with the same Message-ID. Tells that id, in the form that names files. */
  keep(raw: Uint8Array): Promise<string>;
}

/** How long a Message-ID may be in the name of a file. */
const MAX_NAME_LENGTH = 150;
const TYPES = ["eml", "txt", "html"] as const;
const NAME = /^(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-(.+))\.(eml|txt|html)$/;
/** One that is being written. */
const PART = ".part";

/**
 * Keeps whoever opens a mail in a browser from fetching or running anything, whatever stands in it. A browser takes the
 * mail's own head, which follows, for a part of this one.
 */
const NOTHING_FOREIGN = `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">\n`;

/** Opens a folder, made when missing, that keeps the newest `maxMails` mails. */
export async function openMailFolder(options: {
  readonly dir: string;
  readonly maxMails: number;
  readonly clock: Clock;
}): Promise<MailFolder> {
  const { dir, maxMails, clock } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const bases = await readFolder(dir);
  let parts = 0;

  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    parts += 1;
    const part = join(dir, `${name}.${parts}${PART}`);
    await writeFile(part, content, { mode: 0o600 });
    await rename(part, join(dir, name));
  };
  const removeOldest = async (): Promise<void> => {
    for (const [messageId, base] of bases) {
      if (bases.size <= maxMails) return;
      bases.delete(messageId);
      await Promise.all(TYPES.map((type) => rm(join(dir, `${base}.${type}`), { force: true })));
    }
  };
  return {
    async keep(raw) {
      const mail = await parse(raw);
      const messageId = nameOf(mail.messageId ?? `none-${sha256(raw)}`);
      const base = bases.get(messageId) ?? `${timeOf(clock.now())}-${messageId}`;
      bases.set(messageId, base);
      if (mail.text !== undefined) await write(`${base}.txt`, mail.text);
      if (mail.html !== undefined) await write(`${base}.html`, NOTHING_FOREIGN + mail.html);
      // Last: where it is, all is.
      await write(`${base}.eml`, raw);
      await removeOldest();
      return messageId;
    },
  };
}

/** The mails that are there, the oldest first, by their Message-IDs; what was being written is cleared away. */
async function readFolder(dir: string): Promise<Map<string, string>> {
  const bases = new Map<string, string>();
  for (const name of (await readdir(dir)).toSorted()) {
    if (name.endsWith(PART)) await rm(join(dir, name), { force: true });
    const [, base, messageId] = NAME.exec(name) ?? [];
    if (base !== undefined && messageId !== undefined) bases.set(messageId, base);
  }
  return bases;
}

interface Parsed {
  readonly messageId?: string;
  readonly text?: string;
  readonly html?: string;
}

/** What can be read of a mail; one that cannot be read is kept all the same. */
async function parse(raw: Uint8Array): Promise<Parsed> {
  try {
    return await PostalMime.parse(raw, { maxNestingDepth: 16, maxHeadersSize: 64 * 1_024, maxRfc822NestingDepth: 0 });
  } catch {
    return {};
  }
}

/** A Message-ID as a part of a file's name: as it is if it can be, and never the same for two. */
function nameOf(messageId: string): string {
  const id = messageId.replace(/^<(.*)>$/, "$1");
  const safe = id.replaceAll(/[^A-Za-z0-9@._+-]/g, "_").slice(0, MAX_NAME_LENGTH);
  return safe === id ? safe : `${safe}-${sha256(id).slice(0, 16)}`;
}

function timeOf(time: Date): string {
  return time.toISOString().replaceAll(":", "-");
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
