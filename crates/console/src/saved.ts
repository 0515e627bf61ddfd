// What a terminal leaves for the page that is loaded next in this tab: its session, position and
// screen.
//
// Invariants: one terminal a tab; what is stored belongs to one sign-in, and is removed at sign-out,
// expiry and change of user. Typed input is never stored.

import { identity } from "./api.ts";

export interface Saved {
  session: string;
  device: string;
  name: string;
  /** Position of the next byte for the screen. */
  position: number;
  screen: string;
  /** Bytes to be read again behind the screen (escape_tail.ts). */
  tail: number[];
  rows: number;
  cols: number;
}

const PREFIX = "towline.terminal.";
/** Longest screen that is stored, characters; a longer one loses its scrollback. */
export const MOST_SCREEN = 1_000_000;

function key(): string | null {
  // A part of a secret that is only a MAC tells the sign-ins of a browser apart.
  const csrf = identity.value?.csrf;
  return csrf ? PREFIX + csrf.slice(0, 12) : null;
}

export function save(saved: Saved): void {
  const under = key();
  if (!under) return;
  try {
    sessionStorage.setItem(under, JSON.stringify(saved));
  } catch {
    forget(); // no room: the next page begins with what the device keeps
  }
}

/** What is stored for this session. */
export function saved(session: string): Saved | null {
  const under = key();
  if (!under) return null;
  try {
    const found = JSON.parse(sessionStorage.getItem(under) ?? "null") as Saved | null;
    return found?.session === session ? found : null;
  } catch {
    return null;
  }
}

/** Removes what is stored: all of it, or that of other sign-ins. */
export function forget(but: string | null = null): void {
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(PREFIX) && name !== but) sessionStorage.removeItem(name);
    }
  } catch {
    // No storage: nothing is in it.
  }
}

/** Removes what another sign-in has left. */
export function forgetOthers(): void {
  forget(key());
}
