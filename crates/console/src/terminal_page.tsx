// A shell in this tab: opened or taken up, shown, left or ended.
//
// The page's address names the session, so that a reload returns to it: the screen comes from
// storage, the bytes behind it from the device.

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { call, identity, words } from "./api.ts";
import { current } from "./current.ts";
import { ask } from "./dialog.tsx";
import { Notices, messages, watchers } from "./live/notices.tsx";
import { OpenForm, OpenPage, type Options, bodyOf, optionsOf } from "./live/open_form.tsx";
import { Tools } from "./live/tools.tsx";
import { Viewer } from "./live/viewer.ts";
import type { PageProps } from "./pages.ts";
import { Refusal } from "./refusal.tsx";
import { saved, save } from "./saved.ts";
import { type Grant, type Notice, Session, type Status, grantOf } from "./session.ts";
import { ownerName } from "./sessions.ts";
import { type Text, t, timeOf } from "./strings.ts";
import { TerminalView } from "./terminal_view.ts";

/** What the terminal is asked to show. */
type Target = { device: string; name: string; options: Options } | { session: string; joins: boolean };

/** `#/shell/DEVICE/NAME` opens a shell. */
export function ShellPage({ place }: PageProps) {
  const [device = "", name = device] = place.rest;
  const options = useMemo(() => optionsOf(place.query), [place]);
  const target = useMemo(() => ({ device, name, options }), [place]); // each visit is a new shell
  if (place.query.has("ask")) return <OpenPage device={device} name={name} options={options} />;
  return <TerminalPage target={target} />;
}

/** `#/terminal/SESSION` returns to one. */
export function SessionPage({ place }: PageProps) {
  const [session = ""] = place.rest;
  const target = useMemo(() => ({ session, joins: false }), [place]);
  return <TerminalPage target={target} />;
}

/** `#/join/SESSION` takes the seat of another user's session. */
export function JoinPage({ place }: PageProps) {
  const [session = ""] = place.rest;
  const target = useMemo(() => ({ session, joins: true }), [place]);
  return <TerminalPage target={target} />;
}

const status = signal<Status | { is: "failed"; error: unknown } | { is: "elsewhere" }>({
  is: "opening",
});
/** The tab shows what another client does. */
const watches = signal(false);
const joins = signal(false);
const kept = signal(0);
const remark = signal("");
const title = signal("");
/** The tools are in sight. A touch screen lacks keys that are among them. */
const tools = signal(matchMedia("(pointer: coarse)").matches);

/** How long a reloaded page waits for the lock of the page before it. */
const LOCK_WAIT_MS = 2000;

function TerminalPage({ target }: { target: Target }) {
  const element = useRef<HTMLDivElement>(null);
  const shell = useRef<Shell | null>(null);
  useEffect(() => {
    if (!element.current) return;
    const opened = new Shell(element.current, target);
    shell.current = opened;
    return () => opened.close();
  }, [target]);
  const state = status.value;
  const over = state.is === "ended" || state.is === "gone" || state.is === "failed";
  return (
    <main class="terminal">
      <div class="bar">
        <h1>{title.value || t("terminal")}</h1>
        <span role="status" class={`status ${state.is}`} data-status={state.is}>
          {describe()}
          {remark.value && ` ${remark.value}`}
        </span>
        {(state.is === "takenOver" || state.is === "elsewhere") && (
          <button type="button" onClick={() => shell.current?.takeOver()}>
            {t("takeOver")}
          </button>
        )}
        {over ? (
          <>
            {"device" in target && (
              <button type="button" onClick={() => shell.current?.newShell()}>
                {t("again")}
              </button>
            )}
            <a class="button" href="#/">
              {t("back")}
            </a>
          </>
        ) : (
          <>
            <button
              type="button"
              aria-expanded={tools.value}
              onClick={() => {
                tools.value = !tools.value;
              }}
            >
              {t("tools")}
            </button>
            <a class="button" href="#/" title={t("detachHint")}>
              {t("detach")}
            </a>
            <button type="button" title={t("endHint")} onClick={() => shell.current?.end()}>
              {t("end")}
            </button>
          </>
        )}
      </div>
      {!over && <Notices />}
      {state.is === "failed" && "device" in target && (
        <div class="refused-shell">
          <Refusal error={state.error} />
          <OpenForm {...target} />
        </div>
      )}
      {tools.value && !over && <Tools view={() => shell.current?.terminal ?? null} />}
      <div class="screen" ref={element} />
    </main>
  );
}

function describe(): string {
  const state = status.value;
  switch (state.is) {
    case "opening":
      return t(joins.value ? "joining" : "opening");
    case "connected":
      return t("connected");
    case "waiting":
      return t("waiting", { seconds: state.seconds }) + keptText();
    case "reconnecting":
      return t("reconnecting", { time: timeOf(state.since) }) + keptText();
    case "needsSignIn":
      return t("needSignIn");
    case "takenOver":
      return t("takenOver") + (watches.value ? ` ${t("seatTaken")}` : "");
    case "elsewhere":
      return t("inOtherTab");
    case "failed":
      return t("noShell", { why: words(state.error) });
    case "gone":
      return t("ended", { why: state.why });
    case "ended":
      return t("ended", { why: reason(state) });
  }
}

function reason(ended: Extract<Status, { is: "ended" }>): string {
  const { status: exit, text } = ended;
  const own =
    exit?.type === "code"
      ? t("exitedCode", { code: exit.code })
      : exit?.type === "signal"
        ? t("exitedSignal", { code: exit.signal })
        : t((ended.reason === "exited" ? "timedOut" : ended.reason) satisfies Text);
  return text ? `${own}: ${text}` : own;
}

function keptText(): string {
  return kept.value > 0 ? `; ${t("kept", { bytes: kept.value })}` : "";
}

/** A terminal and its session. */
class Shell {
  private view: TerminalView | null = null;
  private session: Session | null = null;
  private release: (() => void) | null = null;
  private closed = false;
  /** Shows the session while another client has its seat. */
  private viewer: Viewer | null = null;
  private watched = false;
  private device = "";
  private readonly abort = new AbortController();

  constructor(
    private readonly element: HTMLElement,
    private readonly target: Target,
  ) {
    [status.value, kept.value, remark.value] = [{ is: "opening" }, 0, ""];
    [watchers.value, messages.value, watches.value] = [[], [], false];
    joins.value = "joins" in target && target.joins;
    title.value = "name" in target ? target.name : "";
    const options = { signal: this.abort.signal };
    window.addEventListener("pagehide", () => this.save(), options);
    const hidden = (): void => {
      if (document.hidden) this.save();
    };
    document.addEventListener("visibilitychange", hidden, options);
    const unsubscribe = identity.subscribe((who) => {
      if (who && status.peek().is === "needsSignIn") this.session?.again();
    });
    this.abort.signal.addEventListener("abort", unsubscribe);
    void this.open();
  }

  private async open(): Promise<void> {
    if ("session" in this.target) {
      await this.take(this.target.session, null, false);
      return;
    }
    this.device = this.target.device;
    const view = this.makeView(null);
    try {
      const { rows, cols } = view.size();
      const terminal = { Term: "xterm-256color", Rows: rows, Cols: cols };
      const body = { Target: this.device, TowlineTerminal: terminal, ...bodyOf(this.target.options) };
      type Started = { SessionId: string; TokenValue: string; StreamUrl: string };
      const started = await call<Started>("AmazonSSM.StartSession", body);
      if (this.closed) return; // without a client the session ends by itself
      history.replaceState(null, "", `#/terminal/${started.SessionId}`);
      await this.take(started.SessionId, grantOf(started), false);
    } catch (error) {
      status.value = { is: "failed", error };
    }
  }

  /** Attaches to a session, unless another tab of this browser has it. */
  private async take(id: string, grant: Grant | null, steal: boolean): Promise<void> {
    if (!(await this.lock(id, steal))) {
      status.value = { is: "elsewhere" };
      return;
    }
    if (this.closed) return;
    const restored = grant ? null : saved(id);
    if (restored) {
      title.value = restored.name;
      this.device = restored.device;
    }
    const view = this.view ?? this.makeView(restored);
    const renewal = joins.peek() ? "Towline.JoinSession" : undefined;
    const screen = {
      write: (bytes: Uint8Array, done: () => void) => view.show(bytes, done),
      size: () => view.size(),
      status: (now: Status) => {
        status.value = now;
        if (now.is === "connected") {
          [kept.value, remark.value, joins.value] = [0, "", false];
          this.watched = false;
        }
        if (now.is === "takenOver") this.watch(id, view);
      },
      missed: (bytes: number) => {
        if (this.watched) return; // this tab has shown them as a viewer
        view.reset();
        setTimeout(() => {
          remark.value = t("missed", { bytes });
        });
      },
      kept: (bytes: number) => {
        kept.value = bytes;
      },
      inputFull: () => {
        remark.value = t("inputFull");
      },
      notice: (notice: Notice) => {
        if (notice.type === "watched") watchers.value = notice.by;
        else if (notice.type === "message") messages.value = [...messages.value, notice].slice(-5);
        else void this.askSeat(notice.request, notice.by);
      },
    };
    this.session = new Session(id, screen, restored?.position ?? null, renewal);
    current.session = this.session;
    this.session.begin(grant);
    view.focus();
  }

  private makeView(restored: ReturnType<typeof saved>): TerminalView {
    this.view = new TerminalView(
      this.element,
      {
        typed: (bytes) => {
          // Who watches does not type, and nothing is kept for later.
          if (status.peek().is !== "takenOver") this.session?.type(bytes);
        },
        resized: () => this.session?.resized(),
        searches: () => {
          tools.value = true;
        },
        mayPaste: async (lines) =>
          (await ask(t("pasteTitle", { lines }), t("pasteHint"), [
            { label: t("paste"), value: true },
          ])) === true,
        mayOpen: async (link) =>
          (await ask(t("openLink"), link, [{ label: t("open"), value: true }])) === true,
      },
      restored,
    );
    return this.view;
  }

  /** One tab of a browser has the session; a reloaded page waits for the one before it. */
  private lock(id: string, steal: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const hold = (): Promise<void> =>
        new Promise((release) => {
          this.release = release;
          resolve(true);
        });
      const patience = new AbortController();
      const timer = setTimeout(() => patience.abort(), LOCK_WAIT_MS);
      const options = steal ? { steal } : { signal: patience.signal };
      navigator.locks
        .request(`towline.session.${id}`, options, () => {
          clearTimeout(timer);
          return hold();
        })
        .catch(() => {
          resolve(false); // in vain, if it was held and is stolen now
          this.stolen();
        });
    });
  }

  private stolen(): void {
    if (this.closed || !this.session || this.session.isOver) return;
    this.session.detach();
    status.value = { is: "elsewhere" };
  }

  /** Another client has the seat: this tab goes on as a viewer, if it may. */
  private watch(id: string, view: TerminalView): void {
    this.viewer?.close();
    this.watched = true;
    this.viewer = new Viewer(id, false, {
      write: (bytes, done) => view.show(bytes, done),
      size: (size) => view.show(new Uint8Array(), () => view.showAs(size)),
      reset: () => view.show(new Uint8Array(), () => view.reset()),
      status: (now) => {
        watches.value = now.is === "live";
        if (now.is === "over") {
          this.session?.detach();
          status.value = { is: "gone", why: now.why };
        }
      },
      missed: () => undefined,
      of: () => undefined,
    });
  }

  private async askSeat(request: number, by: string): Promise<void> {
    const text = t("seatAskedText", { name: ownerName(by) });
    const gives = await ask(t("seatAskedTitle"), text, [
      { label: t("seatGive"), value: true },
      { label: t("seatKeep"), value: false },
    ]);
    this.session?.answerSeat(request, gives === true);
  }

  /** What is on the page; null before the session is known. */
  get terminal(): TerminalView | null {
    return this.view;
  }

  takeOver(): void {
    const id = this.session?.id ?? ("session" in this.target ? this.target.session : "");
    if (status.value.is === "takenOver") {
      this.viewer?.close();
      watches.value = false;
      this.view?.showAs(null);
      this.session?.again();
      return;
    }
    this.view?.close();
    this.view = null;
    void this.take(id, null, true);
  }

  newShell(): void {
    this.save();
    if (this.device) location.hash = `#/shell/${this.device}/${encodeURIComponent(title.value)}`;
  }

  end(): void {
    this.session?.end().catch((error: unknown) => {
      remark.value = words(error);
    });
  }

  private save(): void {
    const position = this.session?.onScreen;
    if (!this.session || !this.view || position === undefined || position === null) return;
    if (this.session.isOver) return;
    save({
      session: this.session.id,
      device: this.device,
      name: title.value,
      position,
      ...this.view.saved(),
    });
  }

  close(): void {
    this.save();
    this.closed = true;
    this.abort.abort();
    this.viewer?.close();
    this.session?.detach();
    if (current.session === this.session) current.session = null;
    this.view?.close();
    this.release?.();
  }
}
