// What the user of a terminal is told outside of the session's bytes: who watches, and messages.

import type { Signal } from "@preact/signals";
import { ownerName } from "../sessions.ts";
import { t } from "../strings.ts";

interface Props {
  /** ARNs of those who watch the session. */
  watchers: Signal<string[]>;
  /** Messages that were not dismissed, the newest last. */
  messages: Signal<{ from: string; text: string }[]>;
}

export function Notices({ watchers, messages }: Props) {
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
