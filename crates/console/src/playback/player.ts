// Plays a recording into a terminal that takes no input.
//
// Invariants: what the recording holds steers nothing but the screen: no link is opened, no answer of
// the terminal goes anywhere, a size is bounded. A jump back plays from the start.

import { Terminal } from "@xterm/xterm";
import { DARK, FONT_FAMILY } from "../terminal_view.ts";
import { type Recording, sizeOf, upTo } from "./recording.ts";

/** Pauses that are longer are skipped to this length, seconds. */
const IDLE = 2;
const TICK_MS = 50;
const NO_LINKS = { activate: () => undefined };

export class Player {
  at = 0;
  playing = false;
  speed = 1;
  skipsIdle = true;
  readonly end: number;
  private next = 0;
  private ticked = 0;
  private readonly term: Terminal;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    element: HTMLElement,
    private readonly recording: Recording,
    private readonly moved: () => void,
  ) {
    this.end = recording.events.at(-1)?.at ?? 0;
    this.term = new Terminal({
      cols: recording.cols,
      rows: recording.rows,
      disableStdin: true,
      scrollback: 5000,
      fontSize: 14,
      fontFamily: FONT_FAMILY,
      minimumContrastRatio: 4.5,
      theme: DARK,
      linkHandler: NO_LINKS,
    });
    this.term.open(element);
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  play(plays: boolean): void {
    if (plays && this.at >= this.end) this.seek(0);
    this.playing = plays;
    this.ticked = performance.now();
    this.moved();
  }

  /** Shows the screen of a time. */
  seek(to: number): void {
    const at = Math.min(Math.max(Number.isFinite(to) ? to : 0, 0), this.end);
    if (at < this.at) {
      // Behind what is written already and not read yet.
      this.term.write("", () => {
        this.term.reset();
        this.term.resize(this.recording.cols, this.recording.rows);
      });
      this.next = 0;
    }
    this.at = at;
    this.show();
  }

  close(): void {
    clearInterval(this.timer);
    this.term.dispose();
  }

  private tick(): void {
    if (!this.playing) return;
    const now = performance.now();
    let at = this.at + ((now - this.ticked) / 1000) * this.speed;
    this.ticked = now;
    const next = this.recording.events[this.next];
    if (this.skipsIdle && next && next.at - this.at > IDLE) at = Math.max(at, next.at - IDLE / 4);
    this.at = Math.min(at, this.end);
    if (this.at >= this.end) this.playing = false;
    this.show();
  }

  private show(): void {
    const to = upTo(this.recording.events, this.at);
    let output: string[] = [];
    for (; this.next < to; this.next += 1) {
      const event = this.recording.events[this.next];
      if (event?.code === "o") output.push(event.text);
      if (event?.code !== "r") continue;
      const { cols, rows } = sizeOf(event.text);
      if (output.length > 0) this.term.write(output.join(""));
      output = [];
      this.term.write("", () => this.term.resize(cols, rows));
    }
    if (output.length > 0) this.term.write(output.join(""));
    this.moved();
  }
}
