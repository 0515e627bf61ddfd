// Pauses between the tries of a websocket that returns after every loss.
//
// Invariants: the first try follows at once, later ones after pauses that grow. A connection that
// was lost as soon as it was made counts as a try that failed, after FREE of them in a row: what
// ends each connection at once is not asked without a pause.

/** A connection that lasts so long has held, milliseconds. */
const HOLDS_MS = 250;
/** Connections in a row that may be lost sooner, before pauses grow. */
const FREE = 5;

export class Pauses {
  private tries = 0;
  private short = 0;
  private madeAt: number | null = null;

  constructor(
    private readonly pauses: readonly number[],
    private readonly now: () => number = () => performance.now(),
    private readonly chance: () => number = Math.random,
  ) {}

  /** The connection is made. */
  made(): void {
    this.madeAt = this.now();
    this.tries = Math.max(0, this.short - FREE);
  }

  /** The connection is lost, or was not made: the pause before the next try, milliseconds. */
  next(): number {
    if (this.madeAt !== null) {
      const held = this.now() - this.madeAt >= HOLDS_MS;
      this.short = held ? 0 : this.short + 1;
      this.tries = Math.max(0, this.short - FREE);
      this.madeAt = null;
    }
    const pause = this.pauses[Math.min(this.tries, this.pauses.length - 1)] ?? 0;
    this.tries += 1;
    // A part of it is chance: a hundred pages do not return in the same instant.
    return pause * (0.5 + this.chance() / 2);
  }

  /** The next try follows at once. */
  atOnce(): void {
    [this.tries, this.short, this.madeAt] = [0, 0, null];
  }
}
