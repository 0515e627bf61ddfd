// What a terminal showed: a part of a recording, drawn off the page and looked at on its way.
//
// Data flow: a keyframe's screen and the events behind it -> whether they can show a text at all
// (plain_rows.ts, or by their letters) -> a terminal that is nowhere on the page -> after each
// event, the rows in sight and those that scrolled away in it.
// Invariants: one terminal of bounded size. Nothing that is drawn leaves it: no answer, no link, no
// title. Between two looks no row is lost: PIECE characters scroll no more than SCROLLBACK away.

import type { IBuffer, IMarker } from "@xterm/xterm";
import { Terminal } from "../terminal_view.ts";
import { PlainRows, type Start, type Told } from "./plain_rows.ts";
import { sizeOf } from "./recording.ts";
import type { Source } from "./source.ts";

/** Characters that are drawn before somebody looks, at the most. */
const PIECE = 4096;
/** Rows that a piece may scroll away: as many as it has characters. */
const SCROLLBACK = PIECE;
/** Characters that wait for the terminal; then somebody may say that the search is over. */
const MOST_WAITING = 256 * 1024;

/** What a screen may be drawn with for `PlainRows` to begin on it; the rest sets more. */
const PLAIN_SCREEN = /\x1b(?:\[[\d;:]*[mb]|\[\d+;\d+H|7|\[\?25l|\[\?1h)/g;
const CONTROL = /[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]/;
/** The beginning of a control sequence at the end of output. */
const BEGUN = /\x1b(?:\[[\x20-\x3f]*|[\]P^_X][^\x07\x1b]*\x1b?|[\x20-\x2f]*)$/;

/** A control sequence that has begun is obeyed, whatever comes before it: none of it is shown. */
const SEQUENCE = /\x1b\[[\d;:?]*[@-~]/g;

/**
 * Whether all letters of a text are in what can be on a screen: what it begins with, and what is
 * printed on it. Sets of characters make other ones than those of ASCII, and none of these; blanks
 * come of erasing.
 */
function hasLetters(wanted: string, printed: string): boolean {
  const shown = printed.replace(SEQUENCE, "").toLowerCase();
  return (wanted.match(/[!-~]/g) ?? []).every((letter) => shown.includes(letter));
}

export class Screens {
  private readonly term: Terminal;
  private readonly rows: PlainRows;
  private readonly wanted: string;
  /** At the beginning of which part `rows` stands. */
  private known = -1;
  /** The screen that was read last. */
  private kept: { part: number; screen: string } | null = null;

  constructor(
    private readonly source: Source,
    text: string,
    private readonly over: () => boolean = () => false,
  ) {
    this.wanted = text.toLowerCase();
    this.rows = new PlainRows(this.wanted);
    this.term = new Terminal({
      scrollback: SCROLLBACK,
      disableStdin: true,
      linkHandler: { activate: () => undefined },
    });
  }

  close(): void {
    this.term.dispose();
  }

  /**
   * The first event of a part, at or behind `from`, with which the text comes into sight, letter
   * case apart; -1: none. A text that stays in sight is found once.
   */
  async find(part: number, from: number): Promise<number> {
    if (from === 0 && !(await this.canShow(part))) return -1;
    return await this.draw(part, from);
  }

  /** Whether a part can bring the text into sight: it is not drawn for the answer. */
  private async canShow(part: number): Promise<boolean> {
    const events = await this.source.events(part);
    let told: Told = "unknown";
    const goesOn = this.known === part && !this.source.keyframes[part]?.begins;
    const start = goesOn ? null : await this.startOf(part);
    if (start) this.rows.start(start);
    if (start || goesOn) told = this.rows.read(events);
    this.known = told === "unknown" ? -1 : part + 1;
    if (told !== "unknown") return told === "maybe";
    const output = events.map(({ code, text }) => (code === "o" ? text : ""));
    return hasLetters(this.wanted, (await this.screenOf(part)) + output.join(""));
  }

  private async startOf(part: number): Promise<Start | null> {
    const screen = await this.screenOf(part);
    if (CONTROL.test(screen.replace(PLAIN_SCREEN, ""))) return null;
    await this.begin(part);
    const buffer = this.term.buffer.active;
    const { baseY, cursorX, cursorY } = buffer;
    const rows: string[] = [];
    for (let y = cursorY; y < this.term.rows; y += 1) rows.push(textOf(buffer, baseY + y));
    while (rows.length > 0 && rows.at(-1) === "") rows.pop();
    let before = "";
    for (let y = baseY + cursorY; buffer.getLine(y)?.isWrapped; y -= 1)
      before = textOf(buffer, y - 1) + before;
    return { cols: this.term.cols, col: cursorX, rows, before };
  }

  private async screenOf(part: number): Promise<string> {
    if (this.kept?.part !== part) this.kept = { part, screen: await this.source.screen(part) };
    return this.kept.screen;
  }

  private async begin(part: number): Promise<void> {
    const { cols, rows } = this.source.keyframes[part] ?? { cols: 80, rows: 24 };
    this.term.reset();
    this.term.resize(cols, rows);
    await this.write(await this.screenOf(part));
  }

  private async draw(part: number, from: number): Promise<number> {
    await this.begin(part);
    const look = new Looks(this.term, this.wanted, part > 0);
    let [hit, waiting] = [-1, 0];
    const seen = (n: number, text: string): void => {
      if (hit < 0 && look.after(text) && n >= from) hit = n;
    };
    for (const [n, { code, text }] of (await this.source.events(part)).entries()) {
      if (code === "r" || waiting > MOST_WAITING) {
        await this.write("");
        waiting = 0;
        if (hit >= 0 || this.over()) break;
      }
      if (code === "r") {
        this.term.resize(sizeOf(text).cols, sizeOf(text).rows);
        seen(n, "\x1b");
      }
      if (code !== "o") continue;
      waiting += text.length;
      // The terminal calls back between two pieces: it is not waited for piece by piece.
      for (let at = 0; at < text.length; at += PIECE) {
        const piece = text.slice(at, at + PIECE);
        this.term.write(piece, () => seen(n, piece));
      }
    }
    await this.write("");
    return hit;
  }

  private write(text: string): Promise<void> {
    return new Promise((resolve) => this.term.write(text, resolve));
  }
}

/** The text of a row; with the blanks at its end where the next row continues it. */
function textOf(buffer: IBuffer, y: number): string {
  const [row, next] = [buffer.getLine(y), buffer.getLine(y + 1)];
  if (!row || !next?.isWrapped) return row?.translateToString(true) ?? "";
  // A wide character that had no room left the last column empty.
  const isShort = row.getCell(row.length - 1)?.getCode() === 0 && next.getCell(0)?.getWidth() === 2;
  return row.translateToString(false, 0, row.length - (isShort ? 1 : 0));
}

/** Looks for a text on a terminal that is drawn piece by piece. */
class Looks {
  /** The text is in sight. */
  private was: boolean;
  /** A control sequence that is not whole. */
  private begun = "";
  /** Rows above the ones that were in sight: they were looked at. */
  private above: IMarker | undefined;
  /** What has to be in a piece for the text to come into sight with it. */
  private readonly draws: RegExp;

  constructor(
    private readonly term: Terminal,
    private readonly wanted: string,
    looks: boolean,
  ) {
    const letters = wanted.replace(/[\\\]^-]/g, "\\$&");
    this.draws = new RegExp(`[${letters}\\x0e\\x0f\\x80-\\x9f]|\\x1b(?!\\[[\\d;:]*m)`);
    this.was = looks && this.shows(0);
    this.mark();
  }

  /** Whether the text has come into sight with what was drawn, or scrolled away in it. */
  after(piece: string): boolean {
    const all = this.begun + piece;
    this.begun = (BEGUN.exec(all.slice(-PIECE))?.[0] ?? "").slice(0, 64);
    const brings = this.draws.test(all.toLowerCase()) || this.term.modes.insertMode;
    if (!this.was && !brings) return false;
    // Where the terminal has gone to its other screen and back, the rows above are the same.
    const is = this.shows(this.isOther ? 0 : (this.above?.line ?? -1) + 1);
    const comes = is && !this.was;
    this.was = is && this.shows(this.term.buffer.active.baseY);
    this.mark();
    return comes;
  }

  private get isOther(): boolean {
    return this.term.buffer.active.type === "alternate";
  }

  /** The row above those in sight: it moves when old rows are dropped, and nothing erases it. */
  private mark(): void {
    if (this.isOther) return;
    this.above?.dispose();
    const { baseY, cursorY } = this.term.buffer.active;
    this.above = baseY > 0 ? this.term.registerMarker(-cursorY - 1) : undefined;
  }

  /** Whether the text stands in the rows from `top` on; a line that was wrapped is one. */
  private shows(top: number): boolean {
    const buffer = this.term.buffer.active;
    const length = this.wanted.length;
    let line = "";
    for (let y = Math.min(top, buffer.baseY); y < buffer.baseY + this.term.rows; y += 1) {
      const before = buffer.getLine(y)?.isWrapped && length > 1 ? line.slice(1 - length) : "";
      line = before + textOf(buffer, y).toLowerCase();
      if (line.includes(this.wanted)) return true;
    }
    return false;
  }
}
