import { readdir } from "node:fs/promises";

/** The mailbox of a shop on one machine, as it was when it was looked into. */
export interface MailFolder {
  /** The files of a mail. */
  filesOf(messageId: string): readonly string[];
}

/** `2026-06-01T12-00-00.000Z-ntf_….eml` and its like: what stands behind the time is the Message-ID. */
const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-(.+)\.(?:eml|html|txt)$/;

/** Looks into a folder; one that is not there is empty. */
export async function openMailFolder(dir: string): Promise<MailFolder> {
  const byMessageId = new Map<string, readonly string[]>();
  for (const name of await namesIn(dir)) {
    const messageId = NAME.exec(name)?.[1];
    if (messageId !== undefined) byMessageId.set(messageId, [...(byMessageId.get(messageId) ?? []), name]);
  }
  return { filesOf: (messageId) => byMessageId.get(messageId) ?? [] };
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
