// A terminal and its session: opened, taken up or joined, shown, left or ended.
//
// Way: target -> StartSession or what storage holds -> a session that returns by position -> the
// terminal in `element`. What the page shows beside the terminal stands in signals.
//
// Not here: which terminals there are (layout.ts), and how they look (pane.tsx).

import { signal } from "@preact/signals";
import { call, words } from "../api.ts";
import { LOCKED, current } from "../current.ts";
import { ask } from "../dialog.tsx";
import { ownerName } from "../owner.ts";
import { type Kept, type Saved, forgetScreen, mostScreen, save, saved } from "../saved.ts";
import { type Grant, type Notice, type Screen, Session, type Status } from "../session.ts";
import type { Listed } from "../sessions.ts";
import { t } from "../strings/terminal.ts";
import { TerminalView } from "../terminal_view.ts";
import { type AccessEnd, endOf } from "./notices.tsx";
import { type Options, bodyOf } from "./open_form.tsx";
import type { Viewer } from "./viewer.ts";

/** What a terminal is asked to show. */
export type Target =
  | { device: string; name: string; options: Options }
  | { session: string; joins: boolean; device: string; name: string };

export type ShellStatus = Status | { is: "failed"; error: unknown } | { is: "elsewhere" };

/** What a shell asks of its page. */
export interface Page {
  /** How many terminals there are. */
  count(): number;
  /** This one is typed into. */
  hasFocus(shell: Shell): boolean;
  /** The user wants to search in it. */
  searches(): void;
  /** What is stored of it has changed. */
  changed(): void;
}

/** How long a reloaded page waits for the lock of the page before it. */
const LOCK_WAIT_MS = 2000;
/** Keys and pasted texts that are kept until there is a session. */
const MOST_EARLY = 4096;
let count = 0;

export class Shell {
  readonly id = (count += 1);
  readonly status = signal<ShellStatus>({ is: "opening" });
  /** The terminal shows what another client does. */
  readonly watches = signal(false);
  readonly joins = signal(false);
  /** Bytes of input that wait. */
  readonly kept = signal(0);
  readonly remark = signal("");
  readonly title = signal("");
  /** Its session, when it is known. */
  readonly at = signal("");
  /** ARNs of those who watch. */
  readonly watchers = signal<string[]>([]);
  /** When the access ends that permits the session. */
  readonly accessEnd = signal<AccessEnd | null>(null);
  /** Messages that were not dismissed, the newest last. */
  readonly messages = signal<{ from: string; text: string }[]>([]);
  device: string;

  private view: TerminalView | null = null;
  private session: Session | null = null;
  private release: (() => void) | null = null;
  private closed = false;
  /** Shows the session while another client has its seat. */
  private viewer: Viewer | null = null;
  /** What was typed before there is a session. */
  private early: Uint8Array[] = [];
  private element: HTMLElement | null = null;
  private readonly abort = new AbortController();
  /** Takes back what the user is asked for the session: it takes no input any more. */
  private asks = new AbortController();

  constructor(
    readonly target: Target,
    private readonly page: Page,
  ) {
    this.device = target.device;
    this.title.value = target.name;
    if ("session" in target) [this.at.value, this.joins.value] = [target.session, target.joins];
  }

  /** Begins to show it there. */
  begin(element: HTMLElement): void {
    if (this.element) return;
    this.element = element;
    const options = { signal: this.abort.signal };
    window.addEventListener("pagehide", () => this.save(), options);
    const hidden = (): void => {
      if (document.hidden) this.save();
    };
    document.addEventListener("visibilitychange", hidden, options);
    void this.open();
  }

  get isOver(): boolean {
    return ["ended", "gone", "failed"].includes(this.status.value.is);
  }

  /** What the next page in this tab needs to show it again. */
  get stored(): Kept | null {
    if (!this.at.value || this.isOver) return null;
    const joins = "session" in this.target && this.target.joins;
    return { session: this.at.value, device: this.device, name: this.title.value, joins };
  }

  private async open(): Promise<void> {
    if ("session" in this.target) {
      await this.take(this.target.session, null, false);
      return;
    }
    const view = this.makeView(null);
    try {
      const { rows, cols } = view.size();
      const terminal = { Term: "xterm-256color", Rows: rows, Cols: cols };
      const body = {
        Target: this.device,
        TowlineTerminal: terminal,
        ...bodyOf(this.target.options),
      };
      type Started = { SessionId: string; TokenValue: string; StreamUrl: string };
      const started = await call<Started>("AmazonSSM.StartSession", body);
      if (this.closed) return; // without a client the session ends by itself
      this.at.value = started.SessionId;
      this.page.changed();
      await this.take(started.SessionId, started, false);
    } catch (error) {
      this.status.value = { is: "failed", error };
    }
  }

  /** Attaches to a session, unless another tab of this browser has it. */
  private async take(id: string, grant: Grant | null, steal: boolean): Promise<void> {
    if (!(await this.lock(id, steal))) {
      this.early = [];
      this.elsewhere(id, this.view ?? this.makeView(null));
      return;
    }
    if (this.closed) return;
    const restored = grant ? null : saved(id);
    if (restored) [this.title.value, this.device] = [restored.name, restored.device];
    else if (!this.device) void this.learn(id);
    const view = this.view ?? this.makeView(restored);
    const renewal = this.joins.peek() ? "Towline.JoinSession" : undefined;
    // Who takes it from another tab takes it from any client.
    const seat = steal ? undefined : restored?.seat;
    const position = restored?.position ?? null;
    this.session = new Session(id, this.screen(id, view), position, renewal, seat);
    current.add(this.session);
    this.session.begin(grant);
    for (const bytes of this.early.splice(0)) this.session.type(bytes);
    if (this.page.hasFocus(this)) view.focus();
  }

  private screen(id: string, view: TerminalView): Screen {
    return {
      write: (bytes, done, old) => view.show(bytes, done, old),
      size: () => view.size(),
      status: (now) => {
        this.status.value = now;
        if (["ended", "gone", "takenOver"].includes(now.is)) this.askNoMore();
        if (now.is === "connected") {
          [this.kept.value, this.remark.value, this.joins.value] = [0, "", false];
        }
        if (now.is === "takenOver") void this.watch(id, view);
        if (now.is === "ended" || now.is === "gone") {
          forgetScreen(id);
          this.release?.();
          this.page.changed();
        }
      },
      missed: (bytes) => {
        view.reset();
        setTimeout(() => {
          this.remark.value = t("missed", { bytes });
        });
      },
      kept: (bytes) => {
        this.kept.value = bytes;
      },
      inputFull: () => {
        this.remark.value = t("inputFull");
      },
      otherTyped: (bytes) => {
        this.remark.value = t("otherTyped", { bytes });
      },
      notice: (notice: Notice) => {
        if (notice.type === "watched") this.watchers.value = notice.by;
        else if (notice.type === "accessEnds") this.accessEnd.value = endOf(notice);
        else if (notice.type === "message")
          this.messages.value = [...this.messages.value, notice].slice(-5);
        else void this.askSeat(notice.request, notice.by);
      },
    };
  }

  /** Asks on which device a session is that another page opened. */
  private async learn(id: string): Promise<void> {
    const body = { State: "Active", Filters: [{ key: "SessionId", value: id }] };
    try {
      const answer = await call<{ Sessions: Listed[] }>("AmazonSSM.DescribeSessions", body, true);
      this.device ||= answer.Sessions[0]?.Target ?? "";
      this.title.value ||= this.device;
      this.page.changed();
    } catch {
      // Who may not list sessions gets no name above the terminal.
    }
  }

  private makeView(restored: Saved | null): TerminalView {
    const handlers = {
      typed: (bytes: Uint8Array) => {
        // Who watches does not type, and nothing is kept for later.
        if (this.isBehind) return;
        if (this.session) this.session.type(bytes);
        else if (this.status.peek().is === "opening" && this.early.length < MOST_EARLY)
          this.early.push(bytes);
      },
      resized: () => this.session?.resized(),
      searches: () => this.page.searches(),
      mayPaste: async (lines: number) =>
        (await ask(
          t("pasteTitle", { lines }),
          t("pasteHint"),
          [{ label: t("paste"), value: true }],
          this.asks.signal,
        )) === true,
      takesTab: () => !this.isOver && !this.isBehind,
      mayOpen: async (link: string) =>
        (await ask(t("openLink"), link, [{ label: t("open"), value: true }])) === true,
    };
    this.view = new TerminalView(this.element ?? document.body, handlers, restored);
    if (this.page.hasFocus(this)) this.view.focus();
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
        .request(LOCKED + id, options, () => {
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
    this.save(); // who takes it back goes on from here, and is told what is missing
    this.session.detach();
    this.askNoMore();
    if (this.view) this.elsewhere(this.session.id, this.view);
  }

  /** Another tab has the session: this one shows what happens in it. */
  private elsewhere(id: string, view: TerminalView): void {
    this.status.value = { is: "elsewhere" };
    void this.watch(id, view);
  }

  /** Another client, or another tab, has the seat: what is typed here goes nowhere. */
  private get isBehind(): boolean {
    return ["takenOver", "elsewhere"].includes(this.status.peek().is);
  }

  /** Another client has the seat: this terminal goes on as a viewer, if it may. */
  private async watch(id: string, view: TerminalView): Promise<void> {
    this.viewer?.close();
    const viewer = await import("./viewer.ts").catch(() => null);
    if (!viewer || this.closed || !this.isBehind) return;
    this.viewer = new viewer.Viewer(id, false, {
      write: (bytes, done) => view.show(bytes, done),
      size: (size) => view.show(new Uint8Array(), () => view.showAs(size)),
      reset: () => view.show(new Uint8Array(), () => view.reset()),
      status: (now) => {
        this.watches.value = now.is === "live";
        if (now.is === "over") {
          this.session?.detach();
          this.status.value = { is: "gone", why: now.why };
        }
      },
      missed: () => undefined,
      of: () => undefined,
    });
  }

  private askNoMore(): void {
    this.asks.abort();
    this.asks = new AbortController();
  }

  private async askSeat(request: number, by: string): Promise<void> {
    const device = [this.title.peek(), this.device, this.at.peek()].filter(Boolean).join(", ");
    const text = t("seatAskedText", { name: ownerName(by), session: device });
    const choices = [
      { label: t("seatGive"), value: true },
      { label: t("seatKeep"), value: false },
    ];
    const gives = await ask(t("seatAskedTitle"), text, choices, this.asks.signal);
    this.session?.answerSeat(request, gives === true);
  }

  /** What is on the page; null before the session is known. */
  get terminal(): TerminalView | null {
    return this.view;
  }

  takeOver(): void {
    const drawn = this.viewer?.drawn ?? null;
    this.viewer?.close();
    this.watches.value = false;
    if (this.status.value.is === "takenOver") {
      this.view?.showAs(null);
      this.session?.takeBack(drawn);
      return;
    }
    this.status.value = { is: "opening" };
    this.view?.close();
    this.view = null;
    void this.take(this.at.value, null, true);
  }

  end(): void {
    this.session?.end().catch((error: unknown) => {
      this.remark.value = words(error);
    });
  }

  private save(): void {
    const position = this.session?.onScreen;
    if (!this.session || !this.view || position === undefined || position === null) return;
    if (this.session.isOver) return;
    save({
      session: this.session.id,
      device: this.device,
      name: this.title.value,
      position,
      seat: this.session.seat,
      ...this.view.saved(mostScreen(this.page.count())),
    });
  }

  close(): void {
    this.save();
    this.closed = true;
    this.abort.abort();
    this.asks.abort();
    this.viewer?.close();
    this.session?.detach();
    if (this.session) current.delete(this.session);
    this.view?.close();
    this.release?.();
  }
}
