// The audit trail: looked up by one attribute, newest first, page by page, exported as shown.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call } from "../api.ts";
import { TableFrame, saveFile } from "../parts.tsx";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/admin.ts";
import { LOOKUP_EVENTS, type Listed, csvOf, failureOf, jsonOf, resourcesOf } from "../trail.ts";

/** Attributes of LookupEvents. It takes one at a time. */
const KEYS = [
  "EventName",
  "Username",
  "ResourceName",
  "AccessKeyId",
  "EventSource",
  "ReadOnly",
  "EventId",
];
/** Most events on the page and in an export. */
const MOST = 2000;

interface Answer {
  Events: Listed[];
  NextToken?: string;
}

export function AuditPage() {
  const key = useSignal("");
  const value = useSignal("");
  const events = useSignal<Listed[]>([]);
  const asked = useSignal<object>({});
  const next = useSignal<string | undefined>(undefined);
  const busy = useSignal(true);
  const error = useSignal<unknown>(null);
  const read = async (before: Listed[], token?: string): Promise<void> => {
    busy.value = true;
    error.value = null;
    try {
      const body = { ...asked.value, MaxResults: 50, ...(token ? { NextToken: token } : {}) };
      const answer = await call<Answer>(LOOKUP_EVENTS, body);
      events.value = [...before, ...answer.Events].slice(0, MOST);
      next.value = answer.NextToken;
    } catch (caught) {
      error.value = caught;
    } finally {
      busy.value = false;
    }
  };
  useEffect(() => void read([]), []);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const one = { AttributeKey: key.value, AttributeValue: value.value.trim() };
    asked.value = key.value ? { LookupAttributes: [one] } : {};
    events.value = [];
    next.value = undefined;
    void read([]);
  };
  const full = events.value.length >= MOST;
  return (
    <main class="admin">
      <h1>{t("audit")}</h1>
      <form class="tools" onSubmit={submit}>
        <label>
          {t("auditBy")}
          <select value={key.value} onChange={(event) => (key.value = event.currentTarget.value)}>
            <option value="">{t("auditAll")}</option>
            {KEYS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          {t("auditValue")}
          <input
            name="value"
            value={value.value}
            disabled={!key.value}
            required={!!key.value}
            onInput={(event) => (value.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" disabled={busy.value}>
          {t("auditSearch")}
        </button>
      </form>
      {error.value !== null && <Refusal error={error.value} />}
      <p role="status">
        {busy.value ? t("loading") : t("auditCounted", { count: events.value.length })}
        {full && ` ${t("auditBounded", { most: MOST })}`}
      </p>
      <Events events={events.value} />
      <div class="tools">
        {next.value && !full && (
          <button
            type="button"
            disabled={busy.value}
            onClick={() => void read(events.value, next.value)}
          >
            {t("auditMore")}
          </button>
        )}
        <button
          type="button"
          onClick={() => saveFile("audit.json", "application/json", jsonOf(events.value))}
        >
          {t("exportJson")}
        </button>
        <button
          type="button"
          onClick={() => saveFile("audit.csv", "text/csv", csvOf(events.value))}
        >
          {t("exportCsv")}
        </button>
        <span class="hint">{t("exportHint")}</span>
      </div>
    </main>
  );
}

function Events({ events }: { events: Listed[] }) {
  const heads = ["auditTime", "auditEvent", "auditWho", "auditResource", "auditOutcome"] as const;
  return (
    <TableFrame label={t("audit")} heads={heads.map((head) => t(head))}>
      {events.map((event) => (
        <Row key={event.EventId} event={event} />
      ))}
    </TableFrame>
  );
}

function Row({ event }: { event: Listed }) {
  const failure = failureOf(event);
  return (
    <tr data-event={event.EventName}>
      <td>{dateOf(event.EventTime)}</td>
      <td>
        <details>
          <summary>{event.EventName}</summary>
          <pre>{shown(event)}</pre>
        </details>
      </td>
      <td>{event.Username ?? ""}</td>
      <td>{resourcesOf(event)}</td>
      <td class={failure ? "bad" : ""}>{failure?.code ?? t("auditDone")}</td>
    </tr>
  );
}

function shown(event: Listed): string {
  try {
    return JSON.stringify(JSON.parse(event.CloudTrailEvent), null, 2);
  } catch {
    return event.CloudTrailEvent;
  }
}
