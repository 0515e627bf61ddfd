// Whether output can bring a text into sight, found out without drawing it.
//
// Data flow: the rows below a cursor and events of output -> the text of each row that they change
// -> "absent", "maybe", or "unknown".
// Invariants: "absent" is the answer only for output that goes down a screen in order: text,
// colours, line ends, backspaces, tabs, erased parts of a row, titles. Of such output each row is
// known between two events, as xterm would show it. Whatever else it holds (another place of the
// cursor, a region, a set of characters, a size) is "unknown", and stays so until the next start:
// then the terminal has to draw it. A row is looked at before something in it is written over.

import type { Event } from "./recording.ts";

export type Told = "absent" | "maybe" | "unknown";

/** Where output begins. */
export interface Start {
  cols: number;
  /** The column of the cursor; `cols` behind the last one. */
  col: number;
  /** The rows from the cursor's to the last one that has text. */
  rows: readonly string[];
  /** The end of the rows that the cursor's row continues. */
  before: string;
}

/** A control sequence that moves nothing but within a row; of `K`: what it erases. */
const HARMLESS = new RegExp(
  [
    String.raw`\x1b(?:\[[\d;:]*m`,
    String.raw`\[([012]?)K`,
    String.raw`\[\?(?:1|12|25|100[0-6]|2004)[hl]`,
    String.raw`\][^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\)`,
    String.raw`[=>]`,
    String.raw`\(B)`,
  ].join("|"),
  "y",
);
/** The beginning of one. */
const BEGUN = /\x1b(?:\[[\d;:?]*|\][^\x00-\x1f\x7f-\x9f]*\x1b?|\()?$/y;
/** What is kept of a sequence that an event has begun, characters. */
const MOST_BEGUN = 4096;
/** Characters of a row whose columns are not known: what is before them was looked at. */
const MOST_VAGUE = 4096;

const isAscii = (text: string): boolean => !/[^\x20-\x7e]/.test(text);

export class PlainRows {
  private cols = 0;
  /** The column of the cursor. Behind a row of vague columns: infinite; below one: not a number. */
  private col = Number.NaN;
  /** The cursor's row, without the blanks at its end. */
  private row = "";
  /** The row has characters of ASCII alone: its columns are its characters. */
  private exact = true;
  /** The end of the rows that the row continues, as far as a text may begin there. */
  private before = "";
  private below: readonly string[] = [];
  private begun = "";
  private known = false;
  /** The row has changed since somebody looked. */
  private changed = false;
  private found = false;

  /** `wanted` is in lower case. */
  constructor(private readonly wanted: string) {}

  start({ cols, col, rows, before }: Start): void {
    this.cols = cols;
    this.below = rows;
    this.take();
    this.col = col;
    this.before = this.endOf(before);
    this.begun = "";
    this.known = true;
  }

  /** Whether the output of these events can show the text; it goes on where it ended before. */
  read(events: readonly Event[]): Told {
    this.found = false;
    for (const { code, text } of events) {
      if (code === "r") this.known = false;
      if (code === "o" && this.known) this.output(text);
      if (!this.known) return "unknown";
      this.look();
    }
    return this.found ? "maybe" : "absent";
  }

  private output(text: string): void {
    const all = this.begun + text;
    this.begun = "";
    for (let at = 0; at < all.length && this.known;) {
      const from = at;
      while (at < all.length && isShown(all.charCodeAt(at))) at += 1;
      if (at > from) this.print(all.slice(from, at));
      else at = this.control(all, at);
    }
  }

  /** Obeys what stands at `at`; where it ends. */
  private control(all: string, at: number): number {
    switch (all.charCodeAt(at)) {
      case 0x07: // bell
        break;
      case 0x08:
        this.back();
        break;
      case 0x09:
        this.tab();
        break;
      case 0x0a:
        this.feed();
        break;
      case 0x0d:
        this.look();
        this.col = 0;
        break;
      case 0x1b:
        return this.sequence(all, at);
      default:
        this.known = false;
    }
    return at + 1;
  }

  private sequence(all: string, at: number): number {
    HARMLESS.lastIndex = at;
    const found = HARMLESS.exec(all);
    if (found) {
      if (found[1] !== undefined) this.erase(found[1]);
      return HARMLESS.lastIndex;
    }
    BEGUN.lastIndex = at;
    this.known = all.length - at <= MOST_BEGUN && BEGUN.test(all);
    this.begun = all.slice(at);
    return all.length;
  }

  private print(text: string): void {
    if (!this.exact || !isAscii(text)) return this.append(text);
    // Behind characters of unknown width, or below them.
    if (Number.isNaN(this.col)) {
      this.known = false;
      return;
    }
    for (let rest = text; rest !== "";) {
      if (this.col >= this.cols) this.wrap();
      // A row that was there before, of unknown columns.
      if (!this.exact) return this.append(rest);
      const part = rest.slice(0, this.cols - this.col);
      rest = rest.slice(part.length);
      const { row, col } = this;
      if (col === row.length) this.row = row + part;
      else this.row = row.slice(0, col).padEnd(col) + part + row.slice(col + part.length);
      this.col += part.length;
      this.changed = true;
    }
  }

  /** Adds to a row whose columns are not known: where it wraps is not known either. */
  private append(text: string): void {
    const isBehind = this.exact ? this.col >= this.row.length : this.col === Infinity;
    if (!isBehind || this.below.length > 0) {
      this.known = false;
      return;
    }
    this.row = (this.exact ? this.row.padEnd(this.col) : this.row) + text;
    [this.exact, this.col, this.changed] = [false, Infinity, true];
    if (this.row.length > MOST_VAGUE) {
      this.look();
      this.row = this.row.slice(-this.wanted.length);
    }
  }

  private back(): void {
    if (!this.isInRow()) return;
    this.col = Math.max(0, this.col - 1);
  }

  private tab(): void {
    if (!this.isInRow()) return;
    this.col = Math.min(this.cols - 1, (this.col & ~7) + 8);
  }

  /** Erases to the right of the cursor, to its left, or all of the row. */
  private erase(what: string): void {
    if (!this.isInRow()) return;
    const { row, col } = this;
    if (what === "2") this.row = "";
    else if (what === "1") this.row = " ".repeat(col + 1) + row.slice(col + 1);
    else this.row = row.slice(0, col);
    this.row = this.row.trimEnd();
    this.changed = true; // blanks may be looked for
  }

  /** The cursor's column is known, and so is what it moves over. */
  private isInRow(): boolean {
    this.look();
    this.known = this.exact && this.col < this.cols;
    return this.known;
  }

  private feed(): void {
    this.look();
    const { col } = this;
    this.take();
    this.before = "";
    if (col === Infinity) this.col = Number.NaN;
    else this.col = Math.min(col, this.cols - 1);
  }

  private wrap(): void {
    this.look();
    const before = this.endOf(this.before + this.row);
    this.take();
    [this.before, this.col] = [before, 0];
  }

  /** Goes to the row below. */
  private take(): void {
    this.changed = false;
    this.exact = true;
    this.row = "";
    if (this.below.length === 0) return;
    this.row = (this.below[0] ?? "").trimEnd();
    this.below = this.below.slice(1);
    this.exact = isAscii(this.row);
  }

  private endOf(text: string): string {
    return this.wanted.length > 1 ? text.slice(1 - this.wanted.length) : "";
  }

  private look(): void {
    if (!this.changed) return;
    this.changed = false;
    this.found ||= (this.before + this.row).toLowerCase().includes(this.wanted);
  }
}

function isShown(code: number): boolean {
  return code >= 0xa0 || (code >= 0x20 && code < 0x7f);
}
