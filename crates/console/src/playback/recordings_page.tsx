// The page of sessions that have ended, each with the way to its recording.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, words } from "../api.ts";
import { addressOf } from "../pages.ts";
import { language, t } from "../strings.ts";

/** Sessions that the page holds. */
const MOST = 2000;

interface Ended {
  SessionId: string;
  Target: string;
  Owner: string;
  StartDate: number;
  EndDate?: number;
  DocumentName?: string;
  Details?: string;
}

interface Answer {
  Sessions: Ended[];
  NextToken?: string;
}

function when(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(language.value === 1 ? "ko" : "en-GB");
}

/** Whether each word stands in one of the fields. */
function matches(one: Ended, question: string): boolean {
  const text = [one.SessionId, one.Target, one.Owner, one.DocumentName, one.Details, when(one.StartDate)]
    .join(" ")
    .toLowerCase();
  return question.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const COLUMNS = [
  "recordedAt",
  "recordedUser",
  "recordedOn",
  "recordedDocument",
  "endReason",
  "recording",
] as const;

export function RecordingsPage() {
  const sessions = useSignal<Ended[] | null>(null);
  const next = useSignal<string | undefined>(undefined);
  const trouble = useSignal("");
  const question = useSignal("");
  const read = async (token?: string) => {
    try {
      const body = { State: "History", MaxResults: 200, ...(token ? { NextToken: token } : {}) };
      const answer = await call<Answer>("AmazonSSM.DescribeSessions", body);
      sessions.value = [...(token ? (sessions.value ?? []) : []), ...answer.Sessions];
      next.value = sessions.value.length < MOST ? answer.NextToken : undefined;
      trouble.value = "";
    } catch (error) {
      trouble.value = words(error);
    }
  };
  useEffect(() => {
    void read();
  }, []);
  const all = sessions.value ?? [];
  const found = all.filter((one) => matches(one, question.value));
  return (
    <main class="recordings">
      <h1>{t("recordings")}</h1>
      <div class="tools">
        <input
          type="search"
          aria-label={t("searchSessions")}
          placeholder={t("searchSessions")}
          value={question.value}
          onInput={(event) => {
            question.value = event.currentTarget.value;
          }}
        />
        <span role="status">{t("sessionsCounted", { shown: found.length, all: all.length })}</span>
      </div>
      {trouble.value && (
        <p class="trouble" role="alert">
          {trouble.value}
        </p>
      )}
      <div class="table" tabIndex={0} role="region" aria-label={t("recordings")}>
        <table>
          <thead>
            <tr>
              {COLUMNS.map((name) => (
                <th scope="col" key={name}>
                  {t(name)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {found.map((one) => (
              <tr key={one.SessionId}>
                <td>{when(one.StartDate)}</td>
                <td>{one.Owner.split("/").at(-1)}</td>
                <td>{one.Target}</td>
                <td>{one.DocumentName ?? ""}</td>
                <td>{one.Details ?? ""}</td>
                <td>
                  <a href={addressOf("recording", [one.SessionId])} aria-label={t("playSession", { session: one.SessionId })}>
                    {t("play")}
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {next.value && (
        <button type="button" onClick={() => void read(next.value)}>
          {t("olderSessions")}
        </button>
      )}
      {sessions.value && found.length === 0 && <p class="empty">{t("noRecordings")}</p>}
    </main>
  );
}
