// The page of one recording: the player, its programs and gaps, the search, the download.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { decoded } from "../answers.ts";
import { call, words } from "../api.ts";
import type { PageProps } from "../pages.ts";
import { saveFile } from "../parts.tsx";
import { t } from "../strings.ts";
import { Player } from "./player.ts";
import { MOST_PACKED, type Recording, clock, find, parse, textOf } from "./recording.ts";

const SPEEDS = [0.5, 1, 2, 4, 8, 16, 32];
/** Programs and gaps that are listed. */
const MOST_MARKERS = 1000;
/** Seconds that an arrow key moves by. */
const STEP = 5;

interface Piece {
  Data: string;
  NextOffset?: number;
  Finished: boolean;
}

interface Loaded {
  recording: Recording;
  text: string;
  whole: boolean;
  finished: boolean;
}

/** Reads a recording, as far as the page holds one. */
async function load(session: string, over: () => boolean): Promise<Loaded> {
  const pieces: Uint8Array[] = [];
  let [offset, finished, read]: [number | undefined, boolean, number] = [0, false, 0];
  while (offset !== undefined && read < MOST_PACKED && !over()) {
    const body = { SessionId: session, Offset: offset };
    const piece: Piece = await call<Piece>("Towline.GetRecording", body);
    const bytes = decoded(piece.Data);
    pieces.push(bytes);
    [offset, finished, read] = [piece.NextOffset, piece.Finished, read + bytes.length];
  }
  const { text, whole } = await textOf(new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer()));
  const recording = parse(text);
  if (!recording) throw new Error(t("notARecording"));
  return { recording, text, whole: whole && offset === undefined, finished };
}

export function PlayerPage({ place }: PageProps) {
  const session = place.rest[0] ?? "";
  const loaded = useSignal<Loaded | null>(null);
  const trouble = useSignal("");
  useEffect(() => {
    let over = false;
    loaded.value = null;
    trouble.value = "";
    load(session, () => over).then(
      (found) => {
        if (!over) loaded.value = found;
      },
      (error: unknown) => {
        if (!over) trouble.value = words(error);
      },
    );
    return () => {
      over = true;
    };
  }, [session]);
  return (
    <main class="player">
      <h1>{t("recordingOfSession", { session })}</h1>
      {trouble.value && (
        <p class="trouble" role="alert">
          {trouble.value}
        </p>
      )}
      {!trouble.value && !loaded.value && <p class="empty">{t("loading")}</p>}
      {loaded.value && (
        <Played key={session} session={session} loaded={loaded.value} start={Number(place.query.get("t") ?? 0)} />
      )}
    </main>
  );
}

function Played({ session, loaded, start }: { session: string; loaded: Loaded; start: number }) {
  const { recording } = loaded;
  const screen = useRef<HTMLDivElement>(null);
  const player = useRef<Player | null>(null);
  const at = useSignal(0);
  const playing = useSignal(false);
  const said = useSignal("");
  const wanted = useSignal("");
  const hit = useRef(-1);
  useEffect(() => {
    if (!screen.current) return;
    const made = new Player(screen.current, recording, () => {
      at.value = made.at;
      playing.value = made.playing;
    });
    player.current = made;
    made.seek(start);
    return () => made.close();
  }, [recording]);
  useEffect(() => {
    player.current?.seek(start);
  }, [start]);
  const end = recording.events.at(-1)?.at ?? 0;
  const seek = (to: number) => player.current?.seek(to);
  const search = () => {
    if (!wanted.value) return;
    let found = find(recording.events, wanted.value, hit.current + 1);
    if (found < 0 && hit.current >= 0) found = find(recording.events, wanted.value, 0);
    hit.current = found;
    const event = recording.events[found];
    said.value = event ? t("foundAt", { time: clock(event.at) }) : t("notFound");
    if (event) seek(event.at);
  };
  const onKey = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (/^(INPUT|SELECT|BUTTON|A)$/.test(target.tagName) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") player.current?.play(!player.current.playing);
    else if (event.key === "ArrowLeft") seek(at.value - STEP);
    else if (event.key === "ArrowRight") seek(at.value + STEP);
    else return;
    event.preventDefault();
  };
  return (
    <div class="played" onKeyDownCapture={onKey}>
      {!loaded.whole && <p class="trouble">{t("cutRecording")}</p>}
      {!loaded.finished && <p class="hint">{t("notFinished")}</p>}
      {recording.unreadable > 0 && <p class="trouble">{t("unreadable", { lines: recording.unreadable })}</p>}
      <div class="bar">
        <button type="button" onClick={() => player.current?.play(!playing.value)}>
          {t(playing.value ? "pause" : "play")}
        </button>
        <label>
          {t("speed")}{" "}
          <select
            onChange={(event) => {
              if (player.current) player.current.speed = Number(event.currentTarget.value);
            }}
          >
            {SPEEDS.map((speed) => (
              <option key={speed} value={speed} selected={speed === 1}>
                {speed}×
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            defaultChecked
            onChange={(event) => {
              if (player.current) player.current.skipsIdle = event.currentTarget.checked;
            }}
          />{" "}
          {t("skipIdle")}
        </label>
        <span>
          {clock(at.value)} / {clock(end)}
        </span>
        <a href={`#/recording/${encodeURIComponent(session)}?t=${Math.floor(at.value)}`}>{t("linkHere")}</a>
        <button type="button" onClick={() => saveFile(`${session}.cast`, "application/x-asciicast", loaded.text)}>
          {t("downloadCast")}
        </button>
      </div>
      <input
        class="timeline"
        type="range"
        aria-label={t("position")}
        aria-valuetext={clock(at.value)}
        min={0}
        max={end}
        step="any"
        value={at.value}
        onInput={(event) => seek(Number(event.currentTarget.value))}
      />
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          search();
        }}
      >
        <input
          type="search"
          aria-label={t("searchOutput")}
          placeholder={t("searchOutput")}
          value={wanted.value}
          onInput={(event) => {
            wanted.value = event.currentTarget.value;
            hit.current = -1;
          }}
        />
        <button type="submit">{t("nextHit")}</button>
        <span role="status">{said.value}</span>
      </form>
      <section class="recorded" aria-label={t("recordedScreen")} tabIndex={0} ref={screen} />
      <Markers recording={recording} jump={seek} />
    </div>
  );
}

/** What was executed and what is missing; a click goes there. */
function Markers({ recording, jump }: { recording: Recording; jump: (at: number) => void }) {
  const all = recording.events.filter((event) => event.code === "m");
  const shown = all.slice(0, MOST_MARKERS);
  return (
    <section class="markers" aria-labelledby="markers">
      <h2 id="markers">{t("programs")}</h2>
      {all.length > shown.length && <p class="hint">{t("markersCut", { shown: shown.length, all: all.length })}</p>}
      <ol>
        {shown.map((event, n) => (
          <li key={n}>
            <button type="button" class="plain" onClick={() => jump(event.at)}>
              {clock(event.at)} <code class={event.text.startsWith("gap: ") ? "gap" : ""}>{event.text}</code>
            </button>
          </li>
        ))}
      </ol>
      {all.length === 0 && <p class="empty">{t("noPrograms")}</p>}
    </section>
  );
}
