// Files of downloads that this origin keeps in the browser (OPFS) so that a later attempt goes on
// with them: whose they are, and their end.
//
// Invariants: they belong to one sign-in, and are removed at sign-out, when nobody is signed in,
// and when another sign-in begins, also what a tab left that was closed.

import { identity } from "./api.ts";

const PREFIX = "towline-";
/** A worker that has ended holds its file for a moment: tries, and milliseconds between them. */
const TRIES = 20;
const PAUSE = 250;

/** What the names of this sign-in's files begin with. */
export function keptPrefix(): string {
  return `${PREFIX}${encodeURIComponent((identity.peek()?.csrf ?? "").slice(0, 12))}-`;
}

/** The types of this language version do not list a folder. */
type Listed = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };

/** Removes all of them, or those of other sign-ins. */
export async function forgetKept(but: string | null = null): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const root = (await navigator.storage?.getDirectory().catch(() => null)) as Listed | null;
    if (!root) return; // no storage: nothing is in it
    let left = 0;
    for await (const name of root.keys()) {
      if (!name.startsWith(PREFIX) || (but && name.startsWith(but))) continue;
      await root.removeEntry(name).catch(() => (left += 1));
    }
    if (left === 0) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
