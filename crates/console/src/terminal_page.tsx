// The terminals of this page: tabs, and terminals beside or below each other in a tab.
//
// The page's address names the session that is typed into. What there is, and each screen, is in
// storage: a reload returns to all of them by position, and so does who comes back from another
// page.

import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { identity, notice } from "./api.ts";
import { JoinPage, OpenPage, optionsOf } from "./live/open_form.tsx";
import {
  EMPTY,
  type Layout,
  MOST_IN_TAB,
  MOST_TERMINALS,
  type Way,
  allOf,
  focusOf,
  focused,
  inNewTab,
  inSplit,
  mapped,
  replaced,
  stepped,
  turned,
  without,
} from "./live/layout.ts";
import { Pane } from "./live/pane.tsx";
import { type Page, Shell, type Target } from "./live/shell.ts";
import { Tools } from "./live/tools.tsx";
import {
  type PageProps,
  type Place,
  addressOf,
  keepsShell,
  opensSession,
  placeOf,
} from "./pages.ts";
import { forgetScreen, saveLayout, savedLayout } from "./saved.ts";
import { t } from "./strings/terminal.ts";

const layout = signal<Layout<Shell>>(EMPTY);
/** The tools are in sight. A touch screen lacks keys that are among them. */
const tools = signal(matchMedia("(pointer: coarse)").matches);
/** How often the user wanted to search: each time the field gets the keyboard. */
const searched = signal(0);

/**
 * `#/shell/DEVICE/NAME` opens a shell, `#/terminal/SESSION` returns to one, `#/join/SESSION` takes
 * the seat of another user's session. Each is a tab beside those that there are.
 */
export function TerminalsPage({ place }: PageProps) {
  if (!asks(place)) return <Terminals place={place} />;
  const [id = ""] = place.rest;
  if (place.page === "join") return <JoinPage session={id} />;
  return <OpenPage device={id} options={optionsOf(place.query)} isLink={!!place.isLink} />;
}

/** Whether the user is asked first. */
function asks(place: Place): boolean {
  if (place.isLink && opensSession(place)) return true;
  return place.page === "shell" && place.query.has("ask");
}

const page: Page = {
  count: () => allOf(layout.peek()).length,
  hasFocus: (shell) => focusOf(layout.peek()) === shell,
  searches: () => {
    tools.value = true;
    searched.value += 1;
  },
  changed: () => store(),
};

/** Whose terminals they are: what is stored is never another user's. */
let own: string | undefined;

function store(): void {
  if (identity.value?.arn === own) saveLayout(mapped(layout.value, (shell) => shell.stored));
}

function targetOf(place: Place): Target | null {
  const [id = "", name = ""] = place.rest;
  if (!id) return null;
  if (place.page === "shell")
    return { device: id, name: name || id, options: optionsOf(place.query) };
  return { session: id, joins: place.page === "join", device: "", name: "" };
}

/** Shows what an address asks for, beside the terminals that there are. */
function arrive(place: Place): void {
  const target = targetOf(place);
  const now = layout.peek();
  const shown = allOf(now).find(
    (shell) => target && "session" in target && shell.at.peek() === target.session,
  );
  if (shown) {
    layout.value = focused(now, shown);
    return;
  }
  if (!target) {
    if (allOf(now).length === 0) location.hash = "#/";
    return;
  }
  const focus = focusOf(now);
  if (focus?.isOver) replace(focus, target);
  else add(target, null);
}

/** Opens another terminal: in a tab of its own, or in the tab in front. */
function add(target: Target, way: Way | null): void {
  const now = layout.peek();
  if (allOf(now).length >= MOST_TERMINALS) {
    notice.value = t("tooManyTerminals", { most: MOST_TERMINALS });
    name(now);
    return;
  }
  const shell = new Shell(target, page);
  layout.value = way ? inSplit(now, shell, way) : inNewTab(now, shell);
}

/**
 * The address names the session that is typed into; not where the user has gone to another page,
 * which its address tells before it is shown.
 */
function name(now: Layout<Shell>): void {
  const session = focusOf(now)?.at.value;
  if (session && keepsShell(placeOf(location.hash)))
    history.replaceState(null, "", addressOf("terminal", [session]));
}

function replace(old: Shell, target: Target): void {
  layout.value = replaced(layout.peek(), old, new Shell(target, page));
  old.close();
}

/** Another shell on the device of the terminal that is typed into. */
function another(way: Way | null): void {
  const focus = focusOf(layout.peek());
  if (!focus?.device || !mayAdd(layout.peek(), way)) return;
  add(againOf(focus), way);
}

function againOf(shell: Shell): Target {
  const options =
    "options" in shell.target ? shell.target.options : optionsOf(new URLSearchParams());
  return { device: shell.device, name: shell.title.value || shell.device, options };
}

function mayAdd(now: Layout<Shell>, way: Way | null): boolean {
  if (allOf(now).length >= MOST_TERMINALS) return false;
  return way === null || (now.tabs[now.at]?.terminals.length ?? 0) < MOST_IN_TAB;
}

function leave(shell: Shell): void {
  layout.value = without(layout.peek(), shell);
  shell.close();
  forgetScreen(shell.at.peek());
  if (layout.peek().tabs.length === 0) location.hash = "#/";
  else refocus();
}

/** The keyboard goes to the terminal that is typed into, once it is in sight. */
function refocus(): void {
  setTimeout(() => focusOf(layout.peek())?.terminal?.focus());
}

function select(next: Layout<Shell>): void {
  layout.value = next;
  refocus();
}

/** With Ctrl and Shift. */
const KEYS: Readonly<Record<string, () => void>> = {
  Enter: () => another(null),
  KeyE: () => another("beside"),
  KeyO: () => another("below"),
  ArrowLeft: () => select(turned(layout.peek(), -1)),
  ArrowRight: () => select(turned(layout.peek(), 1)),
  ArrowUp: () => select(stepped(layout.peek(), -1)),
  ArrowDown: () => select(stepped(layout.peek(), 1)),
};

function onKey(event: KeyboardEvent): void {
  const act = event.ctrlKey && event.shiftKey && !event.altKey ? KEYS[event.code] : undefined;
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

/** Takes up what the page before has stored; gives what ends the page. */
function restore(): () => void {
  own = identity.peek()?.arn;
  layout.value = mapped(savedLayout() ?? EMPTY, (kept) => new Shell(kept, page));
  const stop = effect(() => {
    name(layout.value);
    store(); // again with each signal that they read
  });
  return () => {
    stop();
    for (const shell of allOf(layout.peek())) shell.close();
    layout.value = EMPTY;
  };
}

function Terminals({ place }: { place: Place }) {
  useEffect(restore, []);
  useEffect(() => arrive(place), [place]);
  const now = layout.value;
  const focus = focusOf(now);
  return (
    <main class="terminal" onKeyDownCapture={onKey}>
      <h1 class="unseen">{t("terminal")}</h1>
      <TabLine now={now} />
      {tools.value && focus && !focus.isOver && (
        <Tools view={() => focus.terminal} searched={searched.value} />
      )}
      <div class="panels">
        {now.tabs.map((tab, index) => (
          <div
            key={tab.terminals[0]?.id}
            id={`panel-${index}`}
            role="tabpanel"
            aria-labelledby={`tab-${index}`}
            class={`panel ${tab.way} ${index === now.at ? "" : "behind"}`}
          >
            {tab.terminals.map((shell) => (
              <Pane
                key={shell.id}
                shell={shell}
                active={shell === focus}
                alone={allOf(now).length === 1}
                tools={tools.value && shell === focus}
                switchTools={() => {
                  tools.value = !(tools.value && shell === focusOf(layout.peek()));
                }}
                focus={() => {
                  layout.value = focused(layout.peek(), shell);
                }}
                again={() => replace(shell, againOf(shell))}
                leave={() => leave(shell)}
              />
            ))}
          </div>
        ))}
      </div>
    </main>
  );
}

function TabLine({ now }: { now: Layout<Shell> }) {
  return (
    <div class="tab-line">
      <div role="tablist" aria-label={t("terminals")} class="tabs">
        {now.tabs.map((tab, index) => (
          <button
            type="button"
            role="tab"
            key={tab.terminals[0]?.id}
            id={`tab-${index}`}
            aria-controls={`panel-${index}`}
            aria-selected={index === now.at}
            tabIndex={index === now.at ? 0 : -1}
            onClick={() => select({ ...layout.peek(), at: index })}
            onKeyDown={(event) => {
              const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
              if (!by || event.ctrlKey) return;
              layout.value = turned(layout.peek(), by);
              document.getElementById(`tab-${layout.peek().at}`)?.focus();
            }}
          >
            {tab.terminals.map((shell) => shell.title.value || t("terminal")).join(" | ")}
          </button>
        ))}
      </div>
      {(["tab", "beside", "below"] as const).map((what) => {
        const way = what === "tab" ? null : what;
        return (
          <button
            type="button"
            key={what}
            title={t(`${what}Hint`)}
            disabled={!focusOf(now)?.device || !mayAdd(now, way)}
            onClick={() => {
              another(way);
              refocus();
            }}
          >
            {t(`${what}New`)}
          </button>
        );
      })}
    </div>
  );
}
