// Somebody's session on this screen, read-only: `#/watch/SESSION`.
//
// Invariants: nothing of the session steers anything but the drawn screen: no link is opened, no
// answer of the terminal goes anywhere, a size is bounded.

import { type Signal, useSignal } from "@preact/signals";
import { Terminal } from "@xterm/xterm";
import { useEffect, useRef } from "preact/hooks";
import type { Size } from "../messages.ts";
import { ownerName } from "../owner.ts";
import { type PageProps, addressOf } from "../pages.ts";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/live.ts";
import { DARK, FONT_FAMILY, leavesTab } from "../terminal_view.ts";
import { Viewer, type ViewerStatus } from "./viewer.ts";

const MOST_COLS = 500;
const MOST_ROWS = 200;
const NO_LINKS = { activate: () => undefined };

function readOnlyTerminal(element: HTMLElement): Terminal {
  const term = new Terminal({
    disableStdin: true,
    scrollback: 5000,
    fontSize: 14,
    fontFamily: FONT_FAMILY,
    minimumContrastRatio: 4.5,
    theme: DARK,
    linkHandler: NO_LINKS,
  });
  term.open(element);
  term.attachCustomKeyEventHandler(leavesTab);
  return term;
}

export function WatchPage({ place }: PageProps) {
  const [session = ""] = place.rest;
  const element = useRef<HTMLElement>(null);
  const status = useSignal<ViewerStatus>({ is: "opening" });
  const remark = useSignal("");
  const whose = useSignal<{ owner: string; device: string } | null>(null);
  const unseen = useSignal(false);
  const again = useSignal(0);
  useEffect(() => {
    if (!element.current) return;
    const term = readOnlyTerminal(element.current);
    remark.value = "";
    const viewer = new Viewer(session, unseen.value, {
      write: (bytes, done) => term.write(bytes, done),
      // Behind what is written already and not read yet.
      size: ({ rows, cols }: Size) =>
        term.write("", () =>
          term.resize(
            Math.min(Math.max(cols, 1), MOST_COLS),
            Math.min(Math.max(rows, 1), MOST_ROWS),
          ),
        ),
      reset: () => term.write("", () => term.reset()),
      status: (now) => {
        status.value = now;
      },
      missed: (bytes) => {
        remark.value = t("watchMissed", { bytes });
      },
      of: (owner, device) => {
        whose.value = { owner, device };
      },
    });
    return () => {
      viewer.close();
      term.dispose();
    };
  }, [session, unseen.value, again.value]);
  const state = status.value;
  const over = state.is === "over" || state.is === "stopped";
  return (
    <main class="watch">
      <h1>{t("watchTitle", { name: session })}</h1>
      {whose.value && (
        <p>{t("watchOf", { owner: ownerName(whose.value.owner), device: whose.value.device })}</p>
      )}
      <p role="status" class={`status ${state.is}`} data-status={state.is}>
        {describe(state)}
        {remark.value && ` ${remark.value}`}
      </p>
      {state.is === "stopped" && <Refusal error={state.error} />}
      <Choices unseen={unseen} again={again} over={over} />
      <section class="recorded" aria-label={t("watchedScreen")} tabIndex={0} ref={element} />
    </main>
  );
}

function Choices(props: { unseen: Signal<boolean>; again: Signal<number>; over: boolean }) {
  const { unseen, again, over } = props;
  return (
    <div class="choices">
      <a class="button" href={addressOf("sessions")}>
        {t("sessions")}
      </a>
      {over && (
        <button
          type="button"
          onClick={() => {
            again.value += 1;
          }}
        >
          {t("watchAgain")}
        </button>
      )}
      <label>
        <input
          type="checkbox"
          checked={unseen.value}
          onChange={(event) => {
            unseen.value = event.currentTarget.checked;
          }}
        />{" "}
        {t("watchUnseen")}
      </label>
    </div>
  );
}

function describe(state: ViewerStatus): string {
  switch (state.is) {
    case "opening":
      return t("watchOpening");
    case "live":
      return t("watchLive");
    case "reconnecting":
      return t("watchReconnecting", { time: dateOf(state.since / 1000) });
    case "over":
      return t("watchOver", { why: state.why });
    case "stopped":
      return "";
  }
}
