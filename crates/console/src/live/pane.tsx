// One terminal of the page: its line (device, state, what can be done) and its screen.

import { useEffect, useRef } from "preact/hooks";
import { words } from "../api.ts";
import { ownerName } from "../owner.ts";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { type Text, t } from "../strings/terminal.ts";
import { Notices } from "./notices.tsx";
import { OpenForm } from "./open_form.tsx";
import type { Shell, ShellStatus } from "./shell.ts";

interface Props {
  shell: Shell;
  /** It is typed into. */
  active: boolean;
  /** It is the only one of the page. */
  alone: boolean;
  tools: boolean;
  switchTools(): void;
  focus(): void;
  /** Opens a new shell in its place. */
  again(): void;
  /** Takes it off the page. */
  leave(): void;
}

export function Pane(props: Props) {
  const { shell, active } = props;
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (element.current) shell.begin(element.current);
  }, [shell]);
  return (
    <section
      class={`pane ${active ? "active" : ""}`}
      aria-label={shell.title.value || t("terminal")}
      data-session={shell.at.value}
      onFocusCapture={props.focus}
      onPointerDownCapture={props.focus}
    >
      <Bar {...props} />
      {!shell.isOver && (
        <Notices watchers={shell.watchers} messages={shell.messages} accessEnd={shell.accessEnd} />
      )}
      <Refused shell={shell} />
      <div class="screen" ref={element} />
    </section>
  );
}

function Bar({ shell, alone, tools, switchTools, again, leave }: Props) {
  const state = shell.status.value;
  const bar = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // The button that ended it is gone, and the keyboard with it.
    if (!shell.isOver || (document.activeElement && document.activeElement !== document.body))
      return;
    bar.current?.querySelector("button")?.focus();
  }, [shell.isOver]);
  return (
    <div class="bar" ref={bar}>
      <h2>{shell.title.value || t("terminal")}</h2>
      <span role="status" class={`status ${state.is}`} data-status={state.is}>
        {describe(shell)}
        {shell.remark.value && ` ${shell.remark.value}`}
      </span>
      {(state.is === "takenOver" || state.is === "elsewhere") && (
        <button type="button" onClick={() => shell.takeOver()}>
          {t("takeOver")}
        </button>
      )}
      {shell.isOver ? (
        <>
          {shell.device && (
            <button type="button" onClick={again}>
              {t("again")}
            </button>
          )}
          <button type="button" onClick={leave}>
            {t(alone ? "back" : "closeTerminal")}
          </button>
        </>
      ) : (
        <>
          <button type="button" aria-expanded={tools} onClick={switchTools}>
            {t("tools")}
          </button>
          <button type="button" title={t("detachHint")} onClick={leave}>
            {t("detach")}
          </button>
          <button type="button" title={t("endHint")} onClick={() => shell.end()}>
            {t("end")}
          </button>
        </>
      )}
    </div>
  );
}

function Refused({ shell }: { shell: Shell }) {
  const state = shell.status.value;
  const { target } = shell;
  if (state.is !== "failed" || !("options" in target)) return null;
  return (
    <div class="refused-shell">
      <Refusal error={state.error} />
      <OpenForm {...target} />
    </div>
  );
}

function describe(shell: Shell): string {
  const state = shell.status.value;
  switch (state.is) {
    case "opening":
      return t(shell.joins.value ? "joining" : "opening");
    case "connected":
      return t("connected");
    case "waiting":
      return t("waiting", { seconds: state.seconds }) + keptText(shell);
    case "reconnecting":
      return t("reconnecting", { time: dateOf(state.since / 1000) }) + keptText(shell);
    case "needsSignIn":
      return t("needSignIn");
    case "takenOver":
      return takenText(state.by) + watchText(shell);
    case "elsewhere":
      return t("inOtherTab") + watchText(shell);
    case "failed":
      return t("noShell", { why: words(state.error) });
    case "gone":
      return t("ended", { why: state.why });
    case "ended":
      return t("ended", { why: reason(state) });
  }
}

/** The gateway's words, in the user's language where they name who has the session now. */
function takenText(by: string): string {
  const [, who] = /^(arn:\S+|another client) has taken/.exec(by) ?? [];
  if (!who) return by;
  return t("takenOver", { name: who.includes(":") ? ownerName(who) : t("otherClient") });
}

function reason(ended: Extract<ShellStatus, { is: "ended" }>): string {
  const { status: exit, text } = ended;
  const own =
    exit?.type === "code"
      ? t("exitedCode", { code: exit.code })
      : exit?.type === "signal"
        ? t("exitedSignal", { code: exit.signal })
        : t((ended.reason === "exited" ? "timedOut" : ended.reason) satisfies Text);
  return text ? `${own}: ${text}` : own;
}

function watchText(shell: Shell): string {
  return shell.watches.value ? ` ${t("seatTaken")}` : "";
}

function keptText(shell: Shell): string {
  return shell.kept.value > 0 ? `; ${t("kept", { bytes: shell.kept.value })}` : "";
}
