// What the user of a terminal is told outside of the session's bytes: who watches, messages, and
// that granted access is about to end.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ownerName } from "../owner.ts";
import { t } from "../strings/terminal.ts";

/** The end of the access that permits a session, by this page's clock. */
export interface AccessEnd {
  request: string;
  at: number;
  endsSession: boolean;
}

/** What the gateway told, from this moment on. */
export function endOf(told: Omit<AccessEnd, "at"> & { seconds: number }): AccessEnd {
  return { ...told, at: Date.now() + told.seconds * 1000 };
}

/** An end that is further away needs no bar. */
const NEAR_MS = 15 * 60_000;
const EVERY_MS = 5000;

interface Props {
  /** ARNs of those who watch the session. */
  watchers: Signal<string[]>;
  /** Messages that were not dismissed, the newest last. */
  messages: Signal<{ from: string; text: string }[]>;
  accessEnd: Signal<AccessEnd | null>;
}

export function Notices({ watchers, messages, accessEnd }: Props) {
  const names = watchers.value.map(ownerName);
  return (
    <div class="notices" role="status">
      {accessEnd.value && <Ends end={accessEnd.value} />}
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

function Ends({ end }: { end: AccessEnd }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    now.value = Date.now();
    const timer = setInterval(() => {
      now.value = Date.now();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [end]);
  const left = end.at - now.value;
  if (left > NEAR_MS) return null;
  const after = t(end.endsSession ? "accessEndsSession" : "accessSparesSession");
  const minutes = Math.ceil(left / 60_000);
  return (
    <p class="access-end" data-request={end.request}>
      {left > 0 ? t("accessEndsIn", { minutes, after }) : t("accessOver", { after })}{" "}
      <a href={`#/access?request=${encodeURIComponent(end.request)}`}>{t("accessEndRequest")}</a>
    </p>
  );
}
