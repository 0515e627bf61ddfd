// What the user of a terminal is told outside of the session's bytes: who watches.

import { signal } from "@preact/signals";
import { ownerName } from "../sessions.ts";
import { t } from "../strings.ts";

/** ARNs of those who watch the session of this tab. */
export const watchers = signal<string[]>([]);

export function Notices() {
  const names = watchers.value.map(ownerName);
  return (
    <div class="notices" role="status">
      {names.length > 0 && <p class="watched">{t("watchedBy", { names: names.join(", ") })}</p>}
    </div>
  );
}
