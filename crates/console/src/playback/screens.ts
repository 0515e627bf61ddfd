// What a terminal showed: a part of a recording, drawn off the page and looked at step by step.
//
// Data flow: a keyframe's screen and the events behind it -> a terminal that is nowhere on the page
// -> after each step, the rows in sight and those that scrolled away in it. Invariants: one
// terminal of bounded size. Nothing that is drawn leaves it: no answer, no link, no title. Of a
// step with more than SCROLLBACK lines the last ones are looked at.

import { Terminal } from "../terminal_view.ts";
import { type Event, sizeOf } from "./recording.ts";
import type { Source } from "./source.ts";

/** Output of so many characters is drawn before somebody looks, at the most. */
const STEP_TEXT = 4096;
/** And of so many seconds. */
const STEP_SECONDS = 0.2;
/** Rows that one step may scroll away: as many as STEP_TEXT has if each character is a line. */
const SCROLLBACK = STEP_TEXT;

/** The first event of a step, and the first of the next one. */
export interface Step {
  from: number;
  to: number;
}

/** Cuts events into what is drawn at once; a new size is a step of its own. */
export function steps(events: readonly Event[]): Step[] {
  const all: Step[] = [];
  let [from, length] = [0, 0];
  for (const [n, event] of events.entries()) {
    const first = events[from] as Event;
    const isFull = length > 0 && length + event.text.length > STEP_TEXT;
    if (
      n > from &&
      (isFull || event.at - first.at > STEP_SECONDS || event.code === "r" || first.code === "r")
    ) {
      all.push({ from, to: n });
      [from, length] = [n, 0];
    }
    if (event.code === "o") length += event.text.length;
  }
  if (from < events.length) all.push({ from, to: events.length });
  return all;
}

export class Screens {
  private readonly term: Terminal;

  constructor() {
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
   * The first event of a part, at or behind `from`, with which a text comes into sight, letter case
   * apart;
   * -1: none. A text that stays in sight is found once.
   */
  async find(source: Source, part: number, text: string, from: number): Promise<number> {
    const wanted = text.toLowerCase();
    const [screen, events] = await Promise.all([source.screen(part), source.events(part)]);
    const begin = async (): Promise<void> => {
      const { cols, rows } = source.keyframes[part] ?? { cols: 80, rows: 24 };
      this.term.reset();
      this.term.resize(cols, rows);
      await this.write(screen);
    };
    await begin();
    let was = part > 0 && this.shows(0, wanted);
    for (const step of steps(events)) {
      const is = await this.showsAfter(events.slice(step.from, step.to), wanted);
      if (is && !was && step.to > from) {
        if (step.to - step.from === 1) return step.from;
        await begin();
        await this.draw(events.slice(0, step.from));
        return await this.first(events, step, wanted, from);
      }
      was = is && this.shows(this.term.buffer.active.baseY, wanted);
    }
    return -1;
  }

  /** The event of a step with which the text comes into sight. */
  private async first(
    events: readonly Event[],
    step: Step,
    wanted: string,
    from: number,
  ): Promise<number> {
    for (let n = step.from; n < step.to - 1; n += 1) {
      if ((await this.showsAfter(events.slice(n, n + 1), wanted)) && n >= from) return n;
    }
    return step.to - 1;
  }

  /** Draws; whether the text is in sight then, or scrolled away meanwhile. */
  private async showsAfter(events: readonly Event[], wanted: string): Promise<boolean> {
    // The row above those in sight: it moves when old rows are dropped, and nothing erases it.
    const { baseY, cursorY } = this.term.buffer.active;
    const above = baseY > 0 ? this.term.registerMarker(-cursorY - 1) : undefined;
    await this.draw(events);
    const is = this.shows(above ? above.line + 1 : 0, wanted);
    above?.dispose();
    return is;
  }

  private async draw(events: readonly Event[]): Promise<void> {
    const output: string[] = [];
    for (const { code, text } of events) {
      if (code === "o") output.push(text);
      if (code === "r") this.term.resize(sizeOf(text).cols, sizeOf(text).rows);
    }
    await this.write(output.join(""));
  }

  private write(text: string): Promise<void> {
    return new Promise((resolve) => this.term.write(text, resolve));
  }

  /** Whether a line stands in the rows from `top` on; a line that was wrapped is one. */
  private shows(top: number, wanted: string): boolean {
    const buffer = this.term.buffer.active;
    let line = "";
    for (let y = Math.min(top, buffer.baseY); y < buffer.baseY + this.term.rows; y += 1) {
      const row = buffer.getLine(y);
      const before = row?.isWrapped && wanted.length > 1 ? line.slice(1 - wanted.length) : "";
      line = before + (row?.translateToString(true) ?? "").toLowerCase();
      if (line.includes(wanted)) return true;
    }
    return false;
  }
}
