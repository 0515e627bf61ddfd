// Sessions: those that are open, and those that were. The address holds what is asked for, so that
// a reload, the back button and a link show the same.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { call, identity, words } from "../api.ts";
import { ask, askText } from "../dialog.tsx";
import { onChange } from "../events.ts";
import { ownerName } from "../owner.ts";
import { type PageProps, addressOf } from "../pages.ts";
import { TableFrame } from "../parts.tsx";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { stateWord, t } from "../strings/live.ts";
import {
  ENDS,
  type End,
  type Listed,
  MOST_LISTED,
  PAGE_SIZE,
  type Wanted,
  narrowed,
  queryOf,
  requestOf,
  wantedOf,
} from "../sessions.ts";

/** Open sessions are read again so often. */
const READS_EVERY_MS = 5000;

interface Answer {
  Sessions: Listed[];
  NextToken?: string;
}

interface Found {
  sessions: Listed[];
  next: string | null;
}

async function read(wanted: Wanted, token: string | null, background: boolean): Promise<Found> {
  const body = requestOf(wanted, token);
  const answer = await call<Answer>("AmazonSSM.DescribeSessions", body, background);
  return { sessions: answer.Sessions, next: answer.NextToken ?? null };
}

export function SessionsPage({ place }: PageProps) {
  const wanted = useMemo(() => wantedOf(place.query), [place]);
  const found = useSignal<Found | null>(null);
  const trouble = useSignal<unknown>(null);
  const said = useSignal("");
  const text = useSignal("");
  useEffect(() => {
    let over = false;
    found.value = null;
    trouble.value = null;
    const refresh = (background: boolean): void => {
      // Further pages that the user asked for stay as they are.
      const isLonger = (found.value?.sessions.length ?? 0) > PAGE_SIZE;
      if (isLonger || (background && document.hidden)) return;
      read(wanted, null, background).then(
        (answer) => {
          if (over) return;
          trouble.value = null;
          found.value = answer;
        },
        (error: unknown) => {
          if (!over) trouble.value = error;
        },
      );
    };
    refresh(false);
    const timer =
      wanted.state === "Active" ? setInterval(() => refresh(true), READS_EVERY_MS) : undefined;
    const deaf = onChange("sessions", () => !document.hidden && refresh(true));
    return () => {
      over = true;
      deaf();
      clearInterval(timer);
    };
  }, [wanted, found, trouble]);
  const rows = narrowed(found.value?.sessions ?? [], text.value);
  return (
    <main class="sessions">
      <h1>{t("sessions")}</h1>
      <Filters wanted={wanted} text={text} />
      {trouble.value !== null && <Refusal error={trouble.value} />}
      <p role="status" class="hint">
        {said.value || (found.value && t("sessionsShown", { count: rows.length }))}
      </p>
      <Table rows={rows} wanted={wanted} said={said} />
      <More wanted={wanted} found={found} trouble={trouble} />
    </main>
  );
}

function Filters({ wanted, text }: { wanted: Wanted; text: Signal<string> }) {
  const show = (change: Partial<Wanted>): void => {
    location.hash = addressOf("sessions", [], queryOf({ ...wanted, ...change }));
  };
  return (
    <form
      class="filters"
      aria-label={t("filters")}
      onSubmit={(event) => {
        event.preventDefault();
        const value = (name: string): string =>
          String(new FormData(event.currentTarget).get(name) ?? "");
        show({
          state: value("state") === "History" ? "History" : "Active",
          owner: value("owner"),
          device: value("device"),
          from: value("from"),
          to: value("to"),
          document: value("document"),
          end: value("end"),
        });
      }}
    >
      <label>
        {t("state")}
        <select name="state" key={wanted.state} defaultValue={wanted.state}>
          <option value="Active" selected={wanted.state === "Active"}>
            {t("openSessions")}
          </option>
          <option value="History" selected={wanted.state === "History"}>
            {t("endedSessions")}
          </option>
        </select>
      </label>
      <label>
        {t("ownerArn")}
        <input name="owner" defaultValue={wanted.owner} key={`o${wanted.owner}`} />
      </label>
      <label>
        {t("deviceId")}
        <input name="device" defaultValue={wanted.device} key={`d${wanted.device}`} />
      </label>
      <label>
        {t("startedAfter")}
        <input type="datetime-local" name="from" defaultValue={wanted.from} key={wanted.from} />
      </label>
      <label>
        {t("startedBefore")}
        <input type="datetime-local" name="to" defaultValue={wanted.to} key={wanted.to} />
      </label>
      <label>
        {t("document")}
        <input name="document" defaultValue={wanted.document} key={`n${wanted.document}`} />
      </label>
      {wanted.state === "History" && (
        <label>
          {t("endOfSession")}
          <select name="end" key={wanted.end}>
            <option value="">{t("anyEnd")}</option>
            {(Object.keys(ENDS) as End[]).map((end) => (
              <option key={end} value={end} selected={end === wanted.end}>
                {t(`end_${end}`)}
              </option>
            ))}
          </select>
        </label>
      )}
      <button type="submit">{t("show")}</button>
      <label>
        {t("narrowShown")}
        <input
          type="search"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
      </label>
    </form>
  );
}

interface TableProps {
  rows: Listed[];
  wanted: Wanted;
  said: Signal<string>;
}

function Table({ rows, wanted, said }: TableProps) {
  if (rows.length === 0) return <p class="empty">{t("noSessions")}</p>;
  const ended = wanted.state === "History";
  const heads = ["owner", "device", "document", "state", "started"] as const;
  const last = ended ? t("endedAt") : t("reason");
  return (
    <TableFrame label={t("sessions")} heads={[...heads.map((head) => t(head)), last, ""]}>
      {rows.map((session) => (
        <Row key={session.SessionId} session={session} ended={ended} said={said} />
      ))}
    </TableFrame>
  );
}

function Row({ session, ended, said }: { session: Listed; ended: boolean; said: Signal<string> }) {
  const name = session.SessionId;
  const own = session.Owner === identity.value?.arn;
  const terminate = async (): Promise<void> => {
    const choices = [{ label: t("terminate"), value: true }];
    if ((await ask(t("terminateTitle"), t("terminateHint", { name }), choices)) !== true) return;
    try {
      await call("AmazonSSM.TerminateSession", { SessionId: name });
      said.value = t("terminatedNow", { name });
    } catch (error) {
      said.value = words(error);
    }
  };
  const message = async (): Promise<void> => {
    const text = await askText(t("messageTitle", { name }), t("messageText"), t("messageSend"));
    if (text === null) return;
    try {
      const body = { SessionId: name, Message: text };
      const { Delivered } = await call<{ Delivered: boolean }>("Towline.SendSessionMessage", body);
      said.value = t(Delivered ? "messageDelivered" : "messageNotDelivered");
    } catch (error) {
      said.value = words(error);
    }
  };
  const terminal = !ended && !session.TowlineDetached;
  return (
    <tr data-session={name}>
      <th scope="row" title={session.Owner}>
        {ownerName(session.Owner)}
        <small>{name}</small>
      </th>
      <td>{session.Target}</td>
      <td>{session.DocumentName ?? ""}</td>
      <td>
        {stateWord(session.Status)}
        {session.TowlineDetached && <small>{t("runsDetached")}</small>}
        {session.AccessType === "JustInTime" && <small>{t("justInTime")}</small>}
      </td>
      <td>{dateOf(session.StartDate)}</td>
      <td class="wraps">
        {ended && dateOf(session.EndDate)}
        {ended && session.Details && <small>{session.Details}</small>}
        {session.Reason && <small>{t("reasonGiven", { reason: session.Reason })}</small>}
      </td>
      <td class="buttons">
        {!ended && own && (
          <a
            class="button"
            href={addressOf("terminal", [name])}
            aria-label={t("resumeNamed", { name })}
          >
            {t("resume")}
          </a>
        )}
        {terminal && (
          <a
            class="button"
            href={addressOf("watch", [name])}
            aria-label={t("watchNamed", { name })}
          >
            {t("watch")}
          </a>
        )}
        {terminal && !own && (
          <a class="button" href={addressOf("join", [name])} aria-label={t("joinNamed", { name })}>
            {t("join")}
          </a>
        )}
        {terminal && (
          <button
            type="button"
            aria-label={t("messageNamed", { name })}
            onClick={() => void message()}
          >
            {t("message")}
          </button>
        )}
        <a
          class="button"
          href={addressOf("recording", [name])}
          aria-label={t("recordingOf", { name })}
        >
          {t("recordingLink")}
        </a>
        {!ended && (
          <button
            type="button"
            aria-label={t("terminateNamed", { name })}
            onClick={() => void terminate()}
          >
            {t("terminate")}
          </button>
        )}
      </td>
    </tr>
  );
}

interface MoreProps {
  wanted: Wanted;
  found: Signal<Found | null>;
  trouble: Signal<unknown>;
}

function More({ wanted, found, trouble }: MoreProps) {
  const held = found.value;
  if (!held?.next) return null;
  if (held.sessions.length >= MOST_LISTED) {
    return <p class="hint">{t("sessionsBounded", { most: MOST_LISTED })}</p>;
  }
  const more = async (): Promise<void> => {
    try {
      const answer = await read(wanted, held.next, false);
      if (found.value !== held) return; // what is asked for has changed meanwhile
      found.value = { sessions: [...held.sessions, ...answer.sessions], next: answer.next };
    } catch (error) {
      trouble.value = error;
    }
  };
  return (
    <button type="button" onClick={() => void more()}>
      {t("moreSessions")}
    </button>
  );
}
