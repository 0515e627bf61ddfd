// What a user chose for terminals: size of the font, theme, screen reader. Kept in this browser.

import { signal } from "@preact/signals";

export const THEMES = ["auto", "light", "dark", "contrast"] as const;
export type ThemeName = (typeof THEMES)[number];

export interface Preferences {
  /** Pixels. */
  font: number;
  theme: ThemeName;
  /** Output is told to screen readers. */
  reader: boolean;
}

export const SMALLEST_FONT = 8;
export const LARGEST_FONT = 32;
const DEFAULT: Preferences = { font: 14, theme: "auto", reader: false };
const KEY = "towline.terminal.preferences";

function bounded(font: number): number {
  return Math.min(LARGEST_FONT, Math.max(SMALLEST_FONT, Math.round(font)));
}

/** Reads what was stored; what is not understood is the default. */
export function parsed(text: string | null): Preferences {
  let found: unknown;
  try {
    found = JSON.parse(text ?? "null");
  } catch {
    return DEFAULT;
  }
  if (typeof found !== "object" || found === null) return DEFAULT;
  const { font, theme, reader } = found as Record<string, unknown>;
  return {
    font: typeof font === "number" && Number.isFinite(font) ? bounded(font) : DEFAULT.font,
    theme: THEMES.find((name) => name === theme) ?? DEFAULT.theme,
    reader: reader === true,
  };
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const preferences = signal<Preferences>(parsed(stored()));

/** Changes some of them, for all terminals of this page. */
export function prefer(change: Partial<Preferences>): void {
  const next = { ...preferences.value, ...change };
  preferences.value = { ...next, font: bounded(next.font) };
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences.value));
  } catch {
    // Without storage the choice holds for this page.
  }
}
