// Where in a policy's text the checker's message points: `$.Statement[1].Action: …` or `line 3
// column 7`.

/** The offset in `text` that a message speaks of; null: it names no place. */
export function placeIn(text: string, message: string): number | null {
  const [, line, column] = message.match(/line (\d+),? column (\d+)/) ?? [];
  if (line && column) {
    const before = text.split("\n").slice(0, Number(line) - 1);
    const begin = before.reduce((sum, one) => sum + one.length + 1, 0);
    return Math.min(text.length, begin + Math.max(0, Number(column) - 1));
  }
  const [, path] = message.match(/^\$((?:\.[^.[\]]+?|\[\d+\]|\["[^"]*"\])*): /) ?? [];
  if (path === undefined) return null;
  const steps = [...path.matchAll(/\.([^.[\]]+)|\[(\d+)\]|\["([^"]*)"\]/g)];
  return new Walk(text).to(steps.map(([, name, number, quoted]) => name ?? number ?? quoted ?? ""));
}

/** Line and column of an offset, counted from one. */
export function lineOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** Goes through JSON by its outer form alone: the gateway has read it already. */
class Walk {
  private at = 0;

  constructor(private readonly text: string) {}

  /** The offset of the value at the end of these steps, or of the last one that there is. */
  to(steps: string[]): number {
    let found = this.begin();
    for (const step of steps) {
      const next = this.into(step);
      if (next === null) return found;
      found = next;
    }
    return found;
  }

  private begin(): number {
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
    return this.at;
  }

  /** Enters the member or element of this name; one value alone counts as a list of one. */
  private into(step: string): number | null {
    const opens = this.text[this.at];
    if (opens !== "{" && opens !== "[") return step === "0" ? this.at : null;
    if (opens === "{" && step === "0") return this.at;
    this.at += 1;
    for (let number = 0; ; number += 1) {
      this.begin();
      if (this.at >= this.text.length || "]}".includes(this.text[this.at] ?? "]")) return null;
      let name = String(number);
      if (opens === "{") {
        const begin = this.at;
        this.skip();
        name = this.text.slice(begin + 1, this.at - 1);
        this.begin();
        this.at += 1; // the colon
        this.begin();
      }
      if (name === step) return this.at;
      this.skip();
      this.begin();
      if (this.text[this.at] === ",") this.at += 1;
    }
  }

  /** Goes past one value. */
  private skip(): void {
    let depth = 0;
    do {
      const char = this.text[this.at];
      if (char === undefined) return;
      if (char === '"') {
        const rest = this.text.slice(this.at).match(/^"(?:[^"\\]|\\.)*"?/s);
        this.at += rest?.[0].length ?? 1;
      } else if ("{[".includes(char)) {
        depth += 1;
        this.at += 1;
      } else if ("}]".includes(char)) {
        depth -= 1;
        this.at += 1;
      } else if (depth > 0 || /[,:\s]/.test(char)) {
        this.at += 1;
      } else {
        this.at += this.text.slice(this.at).match(/^[^,\]}\s]+/)?.[0].length ?? 1;
      }
    } while (depth > 0);
  }
}
