// A text on the screens of all sessions: their recordings are drawn one after the other, the newest
// first.
//
// Data flow: `DescribeSessions` -> the recording of each session -> the first moment that shows the
// text. Invariants: one recording is read at a time, and of each the first MOST_PARTS parts; after
// STEP recordings the page waits to be asked for more. What may not be read is counted. The newest
// search wins.

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
import { search } from "./search.ts";

/** Recordings until the page waits to be asked for more. */
const STEP = 25;
/** Parts of a recording, of 256 KiB each at the most. */
const MOST_PARTS = 256;
/** Rows that the page holds. */
const MOST = 500;

interface Found {
  session: Listed;
  /** Seconds. */
  at: number;
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
  /** Recordings that are longer than what was looked at. */
  cut: number;
  /** Seconds; when the last session began that was looked at. */
  to: number | null;
  searching: boolean;
}

const BEGINNING: State = {
  rows: [],
  waiting: [],
  next: { State: "Active" },
  looked: 0,
  left: 0,
  cut: 0,
  to: null,
  searching: true,
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

/** Looks at one recording. */
async function looked(
  wanted: Wanted,
  state: State,
  session: Listed,
  over: () => boolean,
): Promise<State> {
  const to = session.StartDate;
  try {
    const source = await open(session.SessionId, over, () => undefined);
    if (!source) return { ...state, left: state.left + 1, to };
    const hit = await search(source, wanted.words, null, over, () => undefined, MOST_PARTS);
    const isHere = source.parts.every((part) => part.isHere);
    const isCut = !hit && (source.keyframes.length > MOST_PARTS || !source.whole || !isHere);
    const rows = hit ? [...state.rows, { session, at: hit.at }] : state.rows;
    return { ...state, rows, looked: state.looked + 1, cut: state.cut + (isCut ? 1 : 0), to };
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
    state = await looked(wanted, { ...state, waiting }, session, over);
  }
  if (!over()) told({ ...state, searching: false });
}

export function ScreensFound({ wanted }: { wanted: Wanted }) {
  const state = useSignal<State>(BEGINNING);
  const trouble = useSignal("");
  const turn = useSignal(0);
  const start = (from: State): void => {
    turn.value += 1;
    const own = turn.value;
    const over = () => own !== turn.value;
    trouble.value = "";
    const told = (next: State): void => {
      if (!over()) state.value = next;
    };
    goOn(wanted, from, over, told).catch((error: unknown) => {
      if (over()) return;
      trouble.value = words(error);
      state.value = { ...state.value, searching: false };
    });
  };
  useEffect(() => {
    start(BEGINNING);
    return () => {
      turn.value += 1;
    };
  }, [wanted.words, wanted.device]);
  const found = state.value;
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
      {more && !found.searching && (
        <button type="button" onClick={() => start(found)}>
          {t("searchOn")}
        </button>
      )}
    </>
  );
}

function statusOf({ rows, looked, left, cut, to, searching }: State): string {
  const parts = [t("executedFound", { count: rows.length }), t("screensLooked", { looked })];
  if (to !== null) parts.push(t("searchedBackTo", { time: dateOf(to) }));
  if (left > 0) parts.push(t("screensLeft", { left }));
  if (cut > 0) parts.push(t("screensCut", { cut }));
  if (searching) parts.push(t("searchGoesOn"));
  return parts.join(" ");
}

function Results({ rows }: { rows: Found[] }) {
  return (
    <TableFrame
      label={t("executed")}
      heads={[t("started"), t("device"), t("owner"), t("recordingOfIt")]}
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
