// Which terminals a page shows: tabs, and in each of them terminals beside or below each other. No
// DOM.
//
// Invariants: a layout that is not empty has a tab in front, and each tab a terminal that is typed
// into. A layout is a value: every change gives a new one.

/** Most terminals of one page. */
export const MOST_TERMINALS = 8;
/** Most terminals of one tab. */
export const MOST_IN_TAB = 4;

/** How the terminals of a tab stand. */
export type Way = "beside" | "below";

export interface Tab<T> {
  terminals: readonly T[];
  way: Way;
  /** The terminal that is typed into. */
  at: number;
}

export interface Layout<T> {
  tabs: readonly Tab<T>[];
  /** The tab in front. */
  at: number;
}

export const EMPTY: Layout<never> = { tabs: [], at: 0 };

/** All terminals, tab by tab. */
export function allOf<T>(layout: Layout<T>): T[] {
  return layout.tabs.flatMap((tab) => tab.terminals);
}

/** The terminal that is typed into. */
export function focusOf<T>(layout: Layout<T>): T | null {
  const tab = layout.tabs[layout.at];
  return tab?.terminals[tab.at] ?? null;
}

/** Opens a terminal in a tab of its own, in front. */
export function inNewTab<T>(layout: Layout<T>, terminal: T): Layout<T> {
  const tab: Tab<T> = { terminals: [terminal], way: "beside", at: 0 };
  return { tabs: [...layout.tabs, tab], at: layout.tabs.length };
}

/** Opens a terminal in the tab in front, behind the one that is typed into. */
export function inSplit<T>(layout: Layout<T>, terminal: T, way: Way): Layout<T> {
  const tab = layout.tabs[layout.at];
  if (!tab) return inNewTab(layout, terminal);
  const at = tab.at + 1;
  const terminals = [...tab.terminals.slice(0, at), terminal, ...tab.terminals.slice(at)];
  return withTab(layout, layout.at, { terminals, way, at });
}

/** Puts a terminal into the place of another. */
export function replaced<T>(layout: Layout<T>, old: T, terminal: T): Layout<T> {
  const tabs = layout.tabs.map((tab) => ({
    ...tab,
    terminals: tab.terminals.map((one) => (one === old ? terminal : one)),
  }));
  return { ...layout, tabs };
}

/** Takes a terminal out. The one before it is typed into then. */
export function without<T>(layout: Layout<T>, terminal: T): Layout<T> {
  const from = layout.tabs.findIndex((tab) => tab.terminals.includes(terminal));
  const tab = layout.tabs[from];
  if (!tab) return layout;
  if (tab.terminals.length > 1) {
    const gone = tab.terminals.indexOf(terminal);
    const at = gone <= tab.at ? Math.max(0, tab.at - 1) : tab.at;
    return withTab(layout, from, {
      ...tab,
      terminals: tab.terminals.filter((one) => one !== terminal),
      at,
    });
  }
  const tabs = layout.tabs.filter((one) => one !== tab);
  return { tabs, at: from <= layout.at ? Math.max(0, layout.at - 1) : layout.at };
}

/** Types into this terminal; its tab comes to the front. */
export function focused<T>(layout: Layout<T>, terminal: T): Layout<T> {
  const at = layout.tabs.findIndex((tab) => tab.terminals.includes(terminal));
  const tab = layout.tabs[at];
  if (!tab) return layout;
  const inTab = tab.terminals.indexOf(terminal);
  if (at === layout.at && inTab === tab.at) return layout;
  return withTab({ ...layout, at }, at, { ...tab, at: inTab });
}

/** Steps to another tab, round. */
export function turned<T>(layout: Layout<T>, by: number): Layout<T> {
  return { ...layout, at: round(layout.at + by, layout.tabs.length) };
}

/** Steps to another terminal of the tab in front, round. */
export function stepped<T>(layout: Layout<T>, by: number): Layout<T> {
  const tab = layout.tabs[layout.at];
  if (!tab) return layout;
  return withTab(layout, layout.at, { ...tab, at: round(tab.at + by, tab.terminals.length) });
}

/** The same layout of other things; those that become nothing are left out. */
export function mapped<T, U>(layout: Layout<T>, change: (terminal: T) => U | null): Layout<U> {
  let result: Layout<U> = EMPTY;
  let front = 0;
  layout.tabs.forEach((tab, index) => {
    const typed = tab.terminals[tab.at];
    let at = 0;
    const terminals: U[] = [];
    for (const one of tab.terminals) {
      const now = change(one);
      if (now === null) continue;
      if (one === typed) at = terminals.length;
      terminals.push(now);
    }
    if (terminals.length === 0) return;
    if (index === layout.at) front = result.tabs.length;
    result = { ...result, tabs: [...result.tabs, { terminals, way: tab.way, at }] };
  });
  return { ...result, at: front };
}

function withTab<T>(layout: Layout<T>, at: number, tab: Tab<T>): Layout<T> {
  return { ...layout, tabs: layout.tabs.map((one, index) => (index === at ? tab : one)) };
}

function round(at: number, count: number): number {
  return count === 0 ? 0 : (at + count) % count;
}
