// Programs and typed lines of all sessions, found by words, or what their screens showed; a click
// opens the recording there.
//
// Invariants: the address holds what is asked for. A search goes on in steps that the gateway
// bounds, as long as the page asks for more; the newest search wins.

import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { call, words } from "../api.ts";
import { type PageProps, addressOf } from "../pages.ts";
import { TableFrame } from "../parts.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/playback.ts";

/** Rows until the page waits to be asked for more. */
const PAGE = 100;
/** Rows that the page holds. */
const MOST = 1000;

interface Found {
  Kind: string;
  Text: string;
  Path?: string;
  SessionId: string;
  InstanceId: string;
  StartedAt: number;
}

interface Answer {
  Commands: Found[];
  SearchedTo?: number;
  NextToken?: string;
}

interface Wanted {
  words: string;
  device: string;
}

interface State {
  rows: Found[];
  next: string | null;
  /** Seconds; how far back the search has come. */
  to: number | null;
  searching: boolean;
}

/** Searches on from a state until there is a page more. */
async function goOn(
  wanted: Wanted,
  from: State,
  over: () => boolean,
  told: (state: State) => void,
): Promise<void> {
  let state = { ...from, searching: true };
  const enough = Math.min(from.rows.length + PAGE, MOST);
  do {
    told(state);
    const answer: Answer = await call<Answer>("Towline.SearchSessionCommands", {
      Query: wanted.words,
      MaxResults: 100,
      ...(wanted.device ? { InstanceId: wanted.device } : {}),
      ...(state.next ? { NextToken: state.next } : {}),
    });
    if (over()) return;
    const rows = [...state.rows, ...answer.Commands];
    state = {
      rows,
      next: answer.NextToken ?? null,
      to: answer.SearchedTo ?? null,
      searching: true,
    };
  } while (state.next && state.rows.length < enough);
  told({ ...state, searching: false });
}

export function SearchPage({ place }: PageProps) {
  const wanted = { words: place.query.get("words") ?? "", device: place.query.get("device") ?? "" };
  const onScreens = place.query.get("in") === "screens";
  return (
    <main class="sessions">
      <h1>{t("executed")}</h1>
      <Asked wanted={wanted} onScreens={onScreens} />
      <p class="hint">{t(onScreens ? "screensSearched" : "whatIsSearched")}</p>
      {onScreens ? wanted.words && <Screens wanted={wanted} /> : <CommandsFound wanted={wanted} />}
    </main>
  );
}

/**
 * The search that draws recordings: its script, which holds a terminal, is loaded when it is
 * needed.
 */
function Screens({ wanted }: { wanted: Wanted }) {
  const loaded = useSignal<ComponentType<{ wanted: Wanted }> | null>(null);
  const trouble = useSignal("");
  useEffect(() => {
    import("./screen_search.tsx").then(
      ({ ScreensFound }) => {
        loaded.value = ScreensFound;
      },
      (error: unknown) => {
        trouble.value = t("pageTrouble", { why: words(error) });
      },
    );
  }, []);
  const Found = loaded.value;
  if (Found) return <Found wanted={wanted} />;
  return trouble.value ? <p role="alert">{trouble.value}</p> : <p class="empty">{t("loading")}</p>;
}

function Asked({ wanted, onScreens }: { wanted: Wanted; onScreens: boolean }) {
  return (
    <form
      class="filters"
      aria-label={t("searchFilters")}
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const query: Record<string, string> = {};
        for (const name of ["words", "device", "in"]) {
          const value = String(form.get(name) ?? "").trim();
          if (value) query[name] = value;
        }
        location.hash = addressOf("executed", [], query);
      }}
    >
      <label>
        {t("searchIn")}
        <select name="in" key={String(onScreens)}>
          <option value="">{t("inCommands")}</option>
          <option value="screens" selected={onScreens}>
            {t("inScreens")}
          </option>
        </select>
      </label>
      <label>
        {t("wordsOfCommand")}
        <input
          type="search"
          name="words"
          required
          maxLength={256}
          defaultValue={wanted.words}
          key={wanted.words}
        />
      </label>
      <label>
        {t("searchDevice")}
        <input name="device" defaultValue={wanted.device} key={`d${wanted.device}`} />
      </label>
      <button type="submit">{t("searchExecuted")}</button>
    </form>
  );
}

function CommandsFound({ wanted }: { wanted: Wanted }) {
  const state = useSignal<State | null>(null);
  const trouble = useSignal("");
  const turn = useSignal(0);
  const search = (from: State): void => {
    turn.value += 1;
    const own = turn.value;
    const over = () => own !== turn.value;
    trouble.value = "";
    const told = (next: State): void => {
      state.value = next;
    };
    goOn(wanted, from, over, told).catch((error: unknown) => {
      if (over()) return;
      trouble.value = words(error);
      state.value = null;
    });
  };
  useEffect(() => {
    state.value = null;
    if (wanted.words) search({ rows: [], next: null, to: null, searching: true });
    return () => {
      turn.value += 1;
    };
  }, [wanted.words, wanted.device]);
  const found = state.value;
  return (
    <>
      <p role="alert" class="trouble">
        {trouble.value}
      </p>
      <p role="status" class="hint">
        {found && statusOf(found)}
      </p>
      {found && found.rows.length > 0 && <Results rows={found.rows} />}
      {found?.next && !found.searching && found.rows.length < MOST && (
        <button type="button" onClick={() => search(found)}>
          {t("searchOn")}
        </button>
      )}
    </>
  );
}

function statusOf(found: State): string {
  const count = t("executedFound", { count: found.rows.length });
  if (found.searching)
    return `${count} ${t("searchedBackTo", { time: found.to ? dateOf(found.to) : "…" })}`;
  return found.next && found.to
    ? `${count} ${t("searchedBackTo", { time: dateOf(found.to) })}`
    : count;
}

function Results({ rows }: { rows: Found[] }) {
  return (
    <TableFrame
      label={t("executed")}
      heads={[t("sessionStarted"), t("programOrLine"), t("device"), t("recordingOfIt")]}
    >
      {rows.map((row, n) => (
        <tr key={n}>
          <td>{dateOf(row.StartedAt / 1000)}</td>
          <td>
            <code>{row.Text || row.Path}</code>
          </td>
          <td>{row.InstanceId}</td>
          <td>
            <a href={addressOf("recording", [row.SessionId], { program: row.Text })}>
              {row.SessionId}
            </a>
          </td>
        </tr>
      ))}
    </TableFrame>
  );
}
