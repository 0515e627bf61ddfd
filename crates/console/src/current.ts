// The sessions that terminals of this tab show. They are apart from the page of terminals, whose
// script is loaded with the first shell.

import type { Session } from "./session.ts";

/** Who shows a session in a terminal holds a lock of the browser: this and the session's id. */
export const LOCKED = "towline.session.";

export const current = new Set<Session>();

/** Leaves all of them running on their devices. */
export function detachAll(): void {
  for (const session of current) session.detach();
}
