// The page of one recording: the player, its programs and gaps, the search, the download.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { everyPage } from "../answers.ts";
import { words } from "../api.ts";
import type { PageProps } from "../pages.ts";
import { saveFile } from "../parts.tsx";
import { t } from "../strings/playback.ts";
import { open } from "./joined.ts";
import { Player } from "./player.ts";
import { type Command, type Program, fits, programs } from "./programs.ts";
import { MOST_PACKED, clock, outputOf, parse } from "./recording.ts";
import { type Hit, search } from "./search.ts";
import type { Source } from "./source.ts";
import { Verified } from "./verified.tsx";

const SPEEDS = [0.5, 1, 2, 4, 8, 16, 32];
/** Programs and gaps that are listed. */
const MOST_MARKERS = 1000;
/** Marks beside the timeline. */
const MOST_TICKS = 300;
/** Records of the command log that are read for exit codes. */
const MOST_COMMANDS = 10_000;
/** Seconds that an arrow key moves by. */
const STEP = 5;

/** Packed bytes of a recording that is unpacked into a file for asciinema. */
const MOST_CAST = MOST_PACKED;

export function PlayerPage({ place }: PageProps) {
  const session = place.rest[0] ?? "";
  const loaded = useSignal<Source | null>(null);
  const trouble = useSignal("");
  const drawn = useSignal<number | null>(null);
  useEffect(() => {
    let over = false;
    loaded.value = null;
    drawn.value = null;
    trouble.value = "";
    const drawing = (bytes: number) => {
      if (!over) drawn.value = bytes;
    };
    open(session, () => over, drawing).then(
      (found) => {
        if (over) return;
        loaded.value = found;
        if (!found) trouble.value = t("notARecording");
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
      {!trouble.value && !loaded.value && (
        <p class="empty" role="status">
          {drawn.value === null
            ? t("loading")
            : t("indexing", { mib: (drawn.value / 1048576).toFixed(1) })}
        </p>
      )}
      {loaded.value && (
        <Played
          key={session}
          session={session}
          source={loaded.value}
          start={Number(place.query.get("t") ?? 0)}
          program={place.query.get("program")}
        />
      )}
    </main>
  );
}

function Played(props: { session: string; source: Source; start: number; program: string | null }) {
  const { session, source, start, program } = props;
  const screen = useRef<HTMLDivElement>(null);
  const player = useRef<Player | null>(null);
  const at = useSignal(0);
  const playing = useSignal(false);
  const busy = useSignal(false);
  const trouble = useSignal("");
  const said = useSignal("");
  const wanted = useSignal("");
  const shown = useSignal<Program[]>(programs(source.markers, []));
  const ends = useSignal("");
  const log = useRef<Command[]>([]);
  const hit = useRef<Hit | null>(null);
  const searches = useRef(0);
  const searching = useSignal(false);
  const end = useSignal(source.end);
  const added = useSignal(0);
  const parts = useSignal(source.parts);
  useGrowth(source, () => {
    end.value = source.end;
    added.value += 1;
    parts.value = source.parts;
    shown.value = programs(source.markers, log.current);
    void player.current?.grew();
  });
  useEffect(() => {
    if (!screen.current) return;
    const made = new Player(screen.current, source, {
      moved: () => {
        at.value = made.at;
        playing.value = made.playing;
        busy.value = made.busy;
      },
      failed: (error) => {
        trouble.value = words(error);
      },
    });
    player.current = made;
    made.seek(startOf(source, start, program));
    if (program && momentOf(source, program) === null) said.value = t("programNotThere");
    return () => {
      searches.current += 1;
      made.close();
    };
  }, [source]);
  useEffect(() => {
    player.current?.seek(startOf(source, start, program));
  }, [start, program]);
  useEffect(() => {
    let over = false;
    shown.value = programs(source.markers, log.current);
    if (!source.markers.some((marker) => marker.text.startsWith("$ "))) return;
    everyPage<Command>(
      "Towline.ListSessionCommands",
      { SessionId: session },
      "Commands",
      MOST_COMMANDS,
    ).then(
      ({ items }) => {
        log.current = items;
        if (!over) shown.value = programs(source.markers, items);
      },
      (error: unknown) => {
        if (!over) ends.value = t("noExitCodes", { why: words(error) });
      },
    );
    return () => {
      over = true;
    };
  }, [source, source.markers.length]);
  const seek = (to: number) => {
    trouble.value = "";
    player.current?.seek(to);
  };
  const stop = (): void => {
    searches.current += 1;
    searching.value = false;
    said.value = "";
  };
  const find = async () => {
    stop();
    const turn = searches.current;
    const over = () => turn !== searches.current;
    if (!wanted.value) return;
    searching.value = true;
    const looks = (time: number) => {
      said.value = t("searchingAt", { time: clock(time), all: clock(source.end) });
    };
    try {
      const next = await search(source, wanted.value, hit.current, over, looks);
      if (over()) return;
      hit.current = next;
      said.value = next ? t("foundAt", { time: clock(next.at) }) : t("notFound");
      if (next) seek(next.at);
    } catch (error) {
      if (!over()) said.value = words(error);
    }
    if (!over()) searching.value = false;
  };
  const onKey = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (
      /^(INPUT|SELECT|BUTTON|A)$/.test(target.tagName) ||
      event.ctrlKey ||
      event.altKey ||
      event.metaKey
    )
      return;
    if (event.key === " ") player.current?.play(!player.current.playing);
    else if (event.key === "ArrowLeft") seek(at.value - STEP);
    else if (event.key === "ArrowRight") seek(at.value + STEP);
    else return;
    event.preventDefault();
  };
  const silent = source.silent ?? [];
  return (
    <div class="played" onKeyDownCapture={onKey}>
      {!source.whole && <p class="trouble">{t("cutRecording")}</p>}
      {silent.length > 0 && (
        <p class="trouble">{t("partMaybeMissing", { names: silent.join(", ") })}</p>
      )}
      {!source.finished && <p class="hint">{t("notFinished")}</p>}
      {parts.value.map(({ name, isHere }, n) =>
        isHere ? null : (
          <p class="trouble" key={name} data-missing={name}>
            {t("partIsMissing", { n: n + 1, all: parts.value.length, name })}
          </p>
        ),
      )}
      {source.unreadable > 0 && (
        <p class="trouble">{t("unreadable", { lines: source.unreadable })}</p>
      )}
      {trouble.value && (
        <p class="trouble" role="alert">
          {trouble.value}
        </p>
      )}
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
          {clock(at.value)} / {clock(end.value)}
        </span>
        <a href={`#/recording/${encodeURIComponent(session)}?t=${Math.floor(at.value)}`}>
          {t("linkHere")}
        </a>
        <Downloads session={session} source={source} />
        <Verified parts={parts.value} silent={silent} />
      </div>
      <input
        class="timeline"
        type="range"
        aria-label={t("position")}
        aria-valuetext={clock(at.value)}
        min={0}
        max={end.value}
        step="any"
        value={at.value}
        onInput={(event) => seek(Number(event.currentTarget.value))}
      />
      <Ticks shown={shown.value} end={end.value} jump={seek} />
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          if (searching.value) stop();
          else void find();
        }}
      >
        <input
          type="search"
          aria-label={t("searchOutput")}
          placeholder={t("searchOutput")}
          value={wanted.value}
          onInput={(event) => {
            wanted.value = event.currentTarget.value;
            hit.current = null;
            stop();
          }}
        />
        <button type="submit">{t(searching.value ? "stopSearch" : "nextHit")}</button>
        <span role="status">{said}</span>
      </form>
      <section
        class="recorded"
        aria-label={t("recordedScreen")}
        aria-busy={busy.value}
        tabIndex={0}
        ref={screen}
      />
      {ends.value && <p class="hint">{ends.value}</p>}
      <Markers source={source} shown={shown.value} jump={seek} />
    </div>
  );
}

/** How often the page asks what a session has added to its recording. */
const GROWS_MS = 5000;

/** Reads what is added to a recording whose session goes on, while the tab is in sight. */
function useGrowth(source: Source, grew: () => void): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const later = (): void => {
      if (!over && !source.finished) timer = setTimeout(look, GROWS_MS);
    };
    const look = (): void => {
      if (document.hidden) return later();
      // What cannot be read now is asked for again; the page shows what it has.
      source
        .refresh()
        .then(
          (more) => more && !over && grew(),
          () => undefined,
        )
        .finally(later);
    };
    later();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [source]);
}

/** The recording as files: for asciinema, and as text. */
function Downloads({ session, source }: { session: string; source: Source }) {
  const busy = useSignal("");
  const whole = source.bytes <= MOST_CAST;
  const save = async (form: "cast" | "text") => {
    busy.value = t("loading");
    try {
      const cast = await source.text();
      const text = form === "cast" ? cast : outputOf(parse(cast)?.events ?? []);
      const type = form === "cast" ? "application/x-asciicast" : "text/plain";
      saveFile(`${session}.${form === "cast" ? "cast" : "txt"}`, type, text);
      busy.value = "";
    } catch (error) {
      busy.value = words(error);
    }
  };
  if (!whole) return <span class="hint">{t("tooLongToSave")}</span>;
  return (
    <>
      <button type="button" onClick={() => void save("cast")}>
        {t("downloadCast")}
      </button>
      <button type="button" onClick={() => void save("text")}>
        {t("downloadText")}
      </button>
      <span role="status">{busy.value}</span>
    </>
  );
}

/** When a program begins, by its marker; `null` without one. */
function momentOf(source: Source, program: string): number | null {
  const marker = source.markers.find((one) =>
    fits(one.text, { Kind: "Command", Arguments: [program] }),
  );
  return marker ? marker.at : null;
}

function startOf(source: Source, start: number, program: string | null): number {
  return program ? (momentOf(source, program) ?? start) : start;
}

/** What was executed and what is missing; a click goes there. */
function Markers({
  source,
  shown,
  jump,
}: {
  source: Source;
  shown: Program[];
  jump: (at: number) => void;
}) {
  const listed = shown.slice(0, MOST_MARKERS);
  const count = shown.length + source.markersLeftOut;
  return (
    <section class="markers" aria-labelledby="markers">
      <h2 id="markers">{t("programs")}</h2>
      {count > listed.length && (
        <p class="hint">{t("markersCut", { shown: listed.length, all: count })}</p>
      )}
      <ol>
        {listed.map((program, n) => (
          <li key={n}>
            <button type="button" class="plain" onClick={() => jump(program.at)}>
              {clock(program.at)}{" "}
              <code class={program.gap || program.failed ? "bad" : ""}>{program.text}</code>{" "}
              {endOf(program)}
            </button>
          </li>
        ))}
      </ol>
      {shown.length === 0 && <p class="empty">{t("noPrograms")}</p>}
    </section>
  );
}

/** How a program ended, in words. */
function endOf({ exitCode, signal }: Program): string {
  if (signal !== undefined) return t("endedBySignal", { n: signal });
  return exitCode === undefined ? "" : t("exitedWith", { n: exitCode });
}

/** The same beside the timeline, for the pointer; the list says it to all. */
function Ticks({
  shown,
  end,
  jump,
}: {
  shown: Program[];
  end: number;
  jump: (at: number) => void;
}) {
  if (end <= 0 || shown.length === 0) return null;
  const step = Math.max(1, Math.ceil(shown.length / MOST_TICKS));
  const ticks = shown
    .filter((program, n) => n % step === 0 || program.failed || program.gap)
    .slice(0, 2 * MOST_TICKS);
  return (
    <div class="ticks" aria-hidden="true">
      {ticks.map((program, n) => (
        <span
          key={n}
          class={program.failed || program.gap ? "bad" : ""}
          style={{ left: `${(100 * program.at) / end}%` }}
          title={`${clock(program.at)} ${program.text} ${endOf(program)}`}
          onClick={() => jump(program.at)}
        />
      ))}
    </div>
  );
}
