// The sessions of this tab. They are apart from the page of terminals, whose script is loaded with
// the first shell.

import type { Session } from "./session.ts";

export const current: { sessions: ReadonlySet<Session> } = { sessions: new Set() };

/** Counts a session among those of this tab. */
export function hold(session: Session): void {
  current.sessions = new Set(current.sessions).add(session);
}

export function letGo(session: Session): void {
  const left = new Set(current.sessions);
  left.delete(session);
  current.sessions = left;
}

/** Leaves all of them running on their devices. */
export function detachAll(): void {
  for (const session of current.sessions) session.detach();
}
