// What terminals leave for the page that is loaded next in this tab: which there are, and of each
// its session, position and screen.
//
// Invariants: what is stored belongs to one sign-in, and is removed at sign-out, expiry and change
// of user. Typed input is never stored.

import { identity } from "./api.ts";
import type { Layout } from "./live/layout.ts";

export interface Saved {
  session: string;
  device: string;
  name: string;
  /** Position of the next byte for the screen. */
  position: number;
  /** The seat that its client had. */
  seat: string | undefined;
  screen: string;
  /** Bytes to be read again behind the screen (escape_tail.ts). */
  tail: number[];
  rows: number;
  cols: number;
}

/** A terminal of the layout that is stored. */
export interface Kept {
  session: string;
  device: string;
  name: string;
  joins: boolean;
}

const PREFIX = "towline.terminal.";
const ADDRESS = `${PREFIX}address`;
/** Longest screen that is stored, characters; a longer one loses its scrollback. */
const MOST_SCREEN = 1_000_000;
/** Characters for the screens of all terminals. A browser gives a tab's storage about 5 million. */
const MOST_SCREENS = 4_000_000;

/** Longest screen that is stored of each of so many terminals. */
export function mostScreen(terminals: number): number {
  return Math.min(MOST_SCREEN, Math.floor(MOST_SCREENS / Math.max(1, terminals)));
}

function prefix(): string | null {
  // A part of a secret that is only a MAC tells the sign-ins of a browser apart.
  const csrf = identity.value?.csrf;
  return csrf ? `${PREFIX}${csrf.slice(0, 12)}.` : null;
}

function put(name: string, value: object): void {
  const under = prefix();
  if (!under) return;
  try {
    sessionStorage.setItem(under + name, JSON.stringify(value));
  } catch {
    drop(name); // no room: the next page begins with what the device keeps
  }
}

function get<T>(name: string): T | null {
  const under = prefix();
  if (!under) return null;
  try {
    return JSON.parse(sessionStorage.getItem(under + name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

function drop(name: string): void {
  const under = prefix();
  try {
    if (under) sessionStorage.removeItem(under + name);
  } catch {
    // No storage: nothing is in it.
  }
}

export function save(saved: Saved): void {
  put(`screen.${saved.session}`, saved);
}

/** What is stored for this session. */
export function saved(session: string): Saved | null {
  const found = get<Saved>(`screen.${session}`);
  return found?.session === session ? found : null;
}

/** The session is over, or nothing shows it here any more. */
export function forgetScreen(session: string): void {
  drop(`screen.${session}`);
}

/** Stores which terminals there are, and how they stand. */
export function saveLayout(layout: Layout<Kept>): void {
  if (layout.tabs.length > 0) put("layout", layout);
  else drop("layout");
}

/** The terminals that the page before showed. */
export function savedLayout(): Layout<Kept> | null {
  return get<Layout<Kept>>("layout");
}

/** Stores the address that the user has asked for: a reload does not ask about it. */
export function keepAddress(address: string): void {
  try {
    sessionStorage.setItem(ADDRESS, address);
  } catch {
    // No storage: a reload asks.
  }
}

export function keptAddress(): string | null {
  try {
    return sessionStorage.getItem(ADDRESS);
  } catch {
    return null;
  }
}

/** Removes what is stored: all of it, or that of other sign-ins. */
export function forget(but: string | null = null): void {
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(PREFIX) && !(but && name.startsWith(but)))
        sessionStorage.removeItem(name);
    }
  } catch {
    // No storage: nothing is in it.
  }
}

/** Removes what another sign-in has left. */
export function forgetOthers(): void {
  forget(prefix());
}
