// What the user of a terminal is told outside of the session's bytes: who watches, and messages.

import { signal } from "@preact/signals";
import { ownerName } from "../sessions.ts";
import { t } from "../strings.ts";

/** ARNs of those who watch the session of this tab. */
export const watchers = signal<string[]>([]);
/** Messages that were not dismissed, the newest last. */
export const messages = signal<{ from: string; text: string }[]>([]);

export function Notices() {
  const names = watchers.value.map(ownerName);
  return (
    <div class="notices" role="status">
      {names.length > 0 && <p class="watched">{t("watchedBy", { names: names.join(", ") })}</p>}
      {messages.value.map((message, at) => (
        <p class="message" key={at}>
          {t("messageFrom", { name: ownerName(message.from), text: message.text })}{" "}
          <button
            type="button"
            onClick={() => {
              messages.value = messages.value.filter((other) => other !== message);
            }}
          >
            {t("dismiss")}
          </button>
        </p>
      ))}
    </div>
  );
}
