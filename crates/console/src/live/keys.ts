// Keys that a touch screen has not, and the bytes that a terminal sends for them.

export const KEYS = [
  ["Esc", "\x1b"],
  ["Tab", "\t"],
  ["Ctrl-C", "\x03"],
  ["Ctrl-D", "\x04"],
  ["Ctrl-Z", "\x1a"],
  ["Ctrl-\\", "\x1c"],
  ["Ctrl-L", "\x0c"],
  ["Ctrl-R", "\x12"],
] as const;

/** Arrows: their bytes depend on the mode that the program has set (DECCKM). */
export const ARROWS = [
  ["←", "D", "arrowLeft"],
  ["↑", "A", "arrowUp"],
  ["↓", "B", "arrowDown"],
  ["→", "C", "arrowRight"],
] as const;

export function arrow(final: string, application: boolean): string {
  return `\x1b${application ? "O" : "["}${final}`;
}
