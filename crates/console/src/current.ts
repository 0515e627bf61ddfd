// The session of this tab. It is apart from the terminal's page, whose script is loaded with the
// first shell.

import type { Session } from "./session.ts";

export const current: { session: Session | null } = { session: null };
