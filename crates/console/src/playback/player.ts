// Plays a recording into a terminal that takes no input.
//
// Data flow: a moment -> the keyframe before it -> its screen, and the events behind it up to the
// moment -> the terminal.
// Invariants: what the recording holds steers nothing but the screen: no link is opened, no answer
// of the terminal goes anywhere, a size is bounded. The newest wish wins.

import { DARK, FONT_FAMILY, Terminal, leavesTab } from "../terminal_view.ts";
import { type Event, lastAt, sizeOf, upTo } from "./recording.ts";
import type { Source } from "./source.ts";

/** Pauses that are longer are skipped to this length, seconds. */
const IDLE = 2;
const TICK_MS = 50;
const NO_LINKS = { activate: () => undefined };

export class Player {
  at = 0;
  playing = false;
  speed = 1;
  skipsIdle = true;
  /** The screen is waited for. */
  busy = false;
  /** The keyframe that was drawn from, and the events behind it. */
  private part = -1;
  private events: readonly Event[] = [];
  private next = 0;
  /** The moment that the screen shows. */
  private drawn = 0;
  private turn = 0;
  private ticked = 0;
  private readonly term: Terminal;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly element: HTMLElement,
    private readonly source: Source,
    private readonly told: { moved: () => void; failed: (error: unknown) => void },
  ) {
    this.term = new Terminal({
      cols: source.keyframes[0]?.cols ?? 80,
      rows: source.keyframes[0]?.rows ?? 24,
      disableStdin: true,
      scrollback: 5000,
      fontSize: 14,
      fontFamily: FONT_FAMILY,
      minimumContrastRatio: 4.5,
      theme: DARK,
      linkHandler: NO_LINKS,
    });
    this.term.open(element);
    this.term.attachCustomKeyEventHandler(leavesTab);
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  get end(): number {
    return this.source.end;
  }

  /** The recording has grown: what was added to the part that is shown is read. */
  async grew(): Promise<void> {
    const { part, turn } = this;
    if (part < 0) return;
    try {
      const events = await this.source.events(part);
      if (turn === this.turn && part === this.part) this.events = events;
    } catch (error) {
      this.told.failed(error);
    }
  }

  play(plays: boolean): void {
    if (plays && this.at >= this.end) this.seek(0);
    this.playing = plays;
    this.ticked = performance.now();
    this.told.moved();
  }

  /** Shows the screen of a time. */
  seek(to: number): void {
    this.at = Math.min(Math.max(Number.isFinite(to) ? to : 0, 0), this.end);
    const part = lastAt(this.source.keyframes, this.at);
    if (part === this.part && this.at >= this.drawn) {
      this.turn += 1;
      this.busy = false;
      this.show();
    } else {
      void this.begin(part, true);
    }
  }

  close(): void {
    this.turn += 1;
    clearInterval(this.timer);
    this.term.dispose();
  }

  /** Goes to a keyframe; `draws`: and draws its screen, which is not on the terminal yet. */
  private async begin(part: number, draws: boolean): Promise<void> {
    this.turn += 1;
    const turn = this.turn;
    this.busy = true;
    this.told.moved();
    try {
      const screen = draws ? this.source.screen(part) : "";
      const [text, events] = await Promise.all([screen, this.source.events(part)]);
      if (turn !== this.turn) return;
      if (draws) this.draw(part, text);
      [this.part, this.events, this.next] = [part, events, 0];
      this.busy = false;
      this.ticked = performance.now();
      this.show();
    } catch (error) {
      if (turn !== this.turn) return;
      this.busy = false;
      this.playing = false;
      this.told.failed(error);
      this.told.moved();
      return;
    }
    // What comes next is there when it is needed.
    if (this.playing) this.source.events(part + 1).catch(() => undefined);
  }

  private draw(part: number, text: string): void {
    const size = this.source.keyframes[part] ?? { cols: 80, rows: 24 };
    // Behind what is written already and not read yet.
    this.term.write("", () => {
      this.term.reset();
      this.term.resize(size.cols, size.rows);
    });
    this.term.write(text);
  }

  private tick(): void {
    if (!this.playing || this.busy) return;
    const now = performance.now();
    let at = this.at + ((now - this.ticked) / 1000) * this.speed;
    this.ticked = now;
    const behind = this.source.keyframes[this.part + 1];
    const next = this.events[this.next]?.at ?? behind?.at;
    if (this.skipsIdle && next !== undefined && next - this.at > IDLE)
      at = Math.max(at, next - IDLE / 4);
    this.at = Math.min(at, this.end);
    if (this.at >= this.end) this.playing = false;
    const part = lastAt(this.source.keyframes, this.at);
    // Several keyframes further: what lies between is not drawn. All of this part is drawn: go on.
    if (part > this.part + 1) return void this.begin(part, true);
    this.show();
    if (this.next < this.events.length || !behind) return;
    // A part of another gateway draws anew, and not before its time.
    if (!behind.begins) void this.begin(this.part + 1, false);
    else if (this.at >= behind.at) void this.begin(this.part + 1, true);
  }

  private show(): void {
    const to = upTo(this.events, this.at);
    let output: string[] = [];
    for (; this.next < to; this.next += 1) {
      const event = this.events[this.next];
      if (event?.code === "o") output.push(event.text);
      if (event?.code !== "r") continue;
      const { cols, rows } = sizeOf(event.text);
      if (output.length > 0) this.term.write(output.join(""));
      output = [];
      this.term.write("", () => this.term.resize(cols, rows));
    }
    if (output.length > 0) this.term.write(output.join(""));
    const drawn = this.at;
    this.drawn = drawn;
    this.term.write("", () => {
      this.element.dataset["drawn"] = String(drawn);
    });
    this.told.moved();
  }
}
