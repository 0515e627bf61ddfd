// A text on the screens of all sessions: their recordings are drawn one after the other, the newest
// first.
//
// Data flow: `DescribeSessions` -> the recording of each session -> the first moment that shows the
// text. Invariants: one recording is read at a time, and of each the first MOST_PARTS parts; after
// STEP recordings the page waits to be asked for more. A recording that was not searched to its end
// is listed with the time up to which it was, and is searched on when the user asks for it. What
// may not be read is counted. The newest search wins.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, call, words } from "../api.ts";
import { addressOf } from "../pages.ts";
import { TableFrame } from "../parts.tsx";
import { type Listed, PAGE_SIZE } from "../sessions.ts";
import { dateOf } from "../strings.ts";
import { t } from "../strings/playback.ts";
import { open } from "./joined.ts";
import { clock } from "./recording.ts";
import { type Hit, type Stretch, search } from "./search.ts";

/** Recordings until the page waits to be asked for more. */
const STEP = 25;
/** Parts of a recording, of 256 KiB each at the most, before the others have their turn. */
const MOST_PARTS = 256;
/** Rows that the page holds. */
const MOST = 500;

interface Found {
  session: Listed;
  /** Seconds. */
  at: number;
}

/** A recording that was not searched to its end. */
interface Unfinished {
  session: Listed;
  /** The first part that was not looked at; `null`: what is behind cannot be read here. */
  part: number | null;
  /** Seconds that were searched, and that there are. */
  at: number;
  end: number;
}

interface State {
  rows: Found[];
  /** Sessions that were listed and not looked at. */
  waiting: Listed[];
  /** What is listed next; `null`: nothing. */
  next: { State: "Active" | "History"; NextToken?: string } | null;
  looked: number;
  /** Sessions without a recording, or with one that may not be read. */
  left: number;
  unfinished: Unfinished[];
  /** Seconds; when the last session began that was looked at. */
  to: number | null;
  searching: boolean;
  /** Where a recording is searched that the user asked for. */
  place: string;
}

const BEGINNING: State = {
  rows: [],
  waiting: [],
  next: { State: "Active" },
  looked: 0,
  left: 0,
  unfinished: [],
  to: null,
  searching: true,
  place: "",
};

interface Wanted {
  words: string;
  device: string;
}

/** Lists the next sessions. */
async function listed(wanted: Wanted, state: State): Promise<State> {
  if (!state.next) return state;
  const filters = wanted.device ? { Filters: [{ key: "Target", value: wanted.device }] } : {};
  const body = { ...state.next, MaxResults: PAGE_SIZE, ...filters };
  const page = await call<{ Sessions: Listed[]; NextToken?: string }>(
    "AmazonSSM.DescribeSessions",
    body,
  );
  const further = state.next.State === "Active" ? ({ State: "History" } as const) : null;
  const next = page.NextToken ? { ...state.next, NextToken: page.NextToken } : further;
  return { ...state, waiting: [...state.waiting, ...page.Sessions], next };
}

/** Looks at some parts of a recording. */
async function lookedAt(
  session: Listed,
  words: string,
  stretch: Stretch,
  over: () => boolean,
  told: (place: string) => void,
): Promise<{ hit: Hit | null; rest: Unfinished | null } | null> {
  const source = await open(session.SessionId, over, () => undefined);
  if (!source) return null;
  const all = clock(source.end);
  const looks = (at: number): void =>
    told(t("screensAt", { session: session.SessionId, time: clock(at), all }));
  const hit = await search(source, words, null, over, looks, stretch);
  const next = source.keyframes[stretch.to];
  if (hit || over()) return { hit, rest: null };
  if (next) return { hit, rest: { session, part: stretch.to, at: next.at, end: source.end } };
  const isAll = source.whole && source.parts.every((part) => part.isHere);
  return { hit, rest: isAll ? null : { session, part: null, at: source.end, end: source.end } };
}

/** Looks at one recording. */
async function looked(
  wanted: Wanted,
  state: State,
  session: Listed,
  over: () => boolean,
  told: (state: State) => void,
): Promise<State> {
  const to = session.StartDate;
  try {
    const stretch = { from: 0, to: MOST_PARTS };
    // Who stops the search here begins with this recording again.
    const before = { ...state, waiting: [session, ...state.waiting] };
    const places = (place: string): void => told({ ...before, place });
    const found = await lookedAt(session, wanted.words, stretch, over, places);
    if (!found) return { ...state, left: state.left + 1, to };
    const { hit, rest } = found;
    const rows = hit ? [...state.rows, { session, at: hit.at }] : state.rows;
    const unfinished = rest ? [...state.unfinished, rest] : state.unfinished;
    return { ...state, rows, looked: state.looked + 1, unfinished, to };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { ...state, left: state.left + 1, to };
  }
}

async function goOn(
  wanted: Wanted,
  from: State,
  over: () => boolean,
  told: (state: State) => void,
): Promise<void> {
  let state = { ...from, searching: true };
  for (let n = 0; n < STEP && state.rows.length < MOST && !over(); n += 1) {
    told(state);
    while (state.waiting.length === 0 && state.next && !over()) state = await listed(wanted, state);
    const [session, ...waiting] = state.waiting;
    if (!session || over()) break;
    state = await looked(wanted, { ...state, waiting }, session, over, told);
  }
  if (!over()) told({ ...state, searching: false });
}

/** Searches a recording on to its end, step by step; each step is told. */
async function finish(
  wanted: Wanted,
  from: State,
  one: Unfinished,
  over: () => boolean,
  told: (state: State) => void,
): Promise<void> {
  const others = ({ unfinished }: State) =>
    unfinished.filter((other) => other.session !== one.session);
  let [state, rest] = [{ ...from, searching: true, place: "" }, one];
  for (let part = one.part; part !== null && !over(); part = rest.part) {
    const places = (place: string): void => told({ ...state, place });
    const stretch = { from: part, to: part + MOST_PARTS };
    const found = await lookedAt(one.session, wanted.words, stretch, over, places);
    if (over()) return;
    const hit = found?.hit;
    const rows = hit ? [...state.rows, { session: one.session, at: hit.at }] : state.rows;
    if (found?.rest) rest = found.rest;
    const unfinished = found?.rest ? [...others(state), found.rest] : others(state);
    state = { ...state, rows, unfinished };
    told(state);
    if (!found?.rest) break;
  }
  if (!over()) told({ ...state, searching: false });
}

export function ScreensFound({ wanted }: { wanted: Wanted }) {
  const state = useSignal<State>(BEGINNING);
  const trouble = useSignal("");
  const turn = useSignal(0);
  const start = (from: State, one?: Unfinished): void => {
    turn.value += 1;
    const own = turn.value;
    const over = () => own !== turn.value;
    trouble.value = "";
    const told = (next: State): void => {
      if (!over()) state.value = next;
    };
    const goes = one ? finish(wanted, from, one, over, told) : goOn(wanted, from, over, told);
    goes.catch((error: unknown) => {
      if (over()) return;
      trouble.value = words(error);
      state.value = { ...state.value, searching: false, place: "" };
    });
  };
  useEffect(() => {
    start(BEGINNING);
    return () => {
      turn.value += 1;
    };
  }, [wanted.words, wanted.device]);
  const stop = (): void => {
    turn.value += 1;
    state.value = { ...state.value, searching: false, place: "" };
  };
  const found = state.value;
  const { searching } = found;
  const more = (found.waiting.length > 0 || found.next !== null) && found.rows.length < MOST;
  return (
    <>
      <p role="alert" class="trouble">
        {trouble.value}
      </p>
      <p role="status" class="hint">
        {statusOf(found)}
      </p>
      {found.rows.length > 0 && <Results rows={found.rows} />}
      {(more || searching) && (
        <button type="button" onClick={() => (searching ? stop() : start(found))}>
          {t(searching ? "stopSearch" : "searchOn")}
        </button>
      )}
      {found.unfinished.length > 0 && (
        <NotSearched found={found} goOn={(one) => start(found, one)} />
      )}
    </>
  );
}

function statusOf({ rows, looked, left, unfinished, to, searching, place }: State): string {
  const parts = [t("executedFound", { count: rows.length }), t("screensLooked", { looked })];
  if (to !== null) parts.push(t("searchedBackTo", { time: dateOf(to) }));
  if (left > 0) parts.push(t("screensLeft", { left }));
  if (unfinished.length > 0) parts.push(t("screensCut", { cut: unfinished.length }));
  if (searching) parts.push(place || t("searchGoesOn"));
  return parts.join(" ");
}

/** Which recordings were searched up to where, and the way to search them on. */
function NotSearched(props: { found: State; goOn: (one: Unfinished) => void }) {
  const { unfinished, searching } = props.found;
  return (
    <TableFrame
      label={t("notSearched")}
      heads={[t("sessionStarted"), t("device"), t("recordingOfIt"), t("searchedUpTo"), ""]}
    >
      {unfinished.map((one) => (
        <tr key={one.session.SessionId} data-unfinished={one.session.SessionId}>
          <td>{dateOf(one.session.StartDate)}</td>
          <td>{one.session.Target}</td>
          <td>
            <a href={addressOf("recording", [one.session.SessionId])}>{one.session.SessionId}</a>
          </td>
          <td>
            {one.part === null
              ? t("restUnreadable", { at: clock(one.at) })
              : t("atOfAll", { at: clock(one.at), all: clock(one.end) })}
          </td>
          <td>
            {one.part !== null && (
              <button
                type="button"
                disabled={searching}
                aria-label={t("searchRestOf", { session: one.session.SessionId })}
                onClick={() => props.goOn(one)}
              >
                {t("searchRest")}
              </button>
            )}
          </td>
        </tr>
      ))}
    </TableFrame>
  );
}

function Results({ rows }: { rows: Found[] }) {
  return (
    <TableFrame
      label={t("executed")}
      heads={[t("sessionStarted"), t("device"), t("sessionOwner"), t("recordingOfIt")]}
    >
      {rows.map(({ session, at }) => (
        <tr key={session.SessionId}>
          <td>{dateOf(session.StartDate)}</td>
          <td>{session.Target}</td>
          <td>{session.Owner}</td>
          <td>
            <a href={addressOf("recording", [session.SessionId], { t: at.toFixed(6) })}>
              {session.SessionId} ({clock(at)})
            </a>
          </td>
        </tr>
      ))}
    </TableFrame>
  );
}
