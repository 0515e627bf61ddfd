// The pages of the console: which address shows which page, and which of them the navigation names.
//
// Invariants: what the first address of a tab asks for is done when the user says so, if it opens a
// session: the address may be a link of anybody. An address is `#/PAGE/part/part?key=value`, its
// parts are decoded here and nowhere else. The script of a page is loaded when the page is first
// shown; its styles are in style.css or in a file that main.tsx imports.

import type { ComponentType } from "preact";
import { DevicesPage } from "./devices_page.tsx";
import type { Text } from "./strings.ts";

/** What an address names. */
export interface Place {
  page: string;
  rest: string[];
  query: URLSearchParams;
  /** The tab was opened with it: nobody has asked for it in the console. */
  isLink?: boolean;
}

/** What each page is given. */
export interface PageProps {
  place: Place;
}

export interface Page {
  /** The first part of its address. */
  path: string;
  /** Other first parts that show the same page. */
  also?: readonly string[];
  /** Its name in the navigation; a page without one is reached from others. */
  label?: Text;
  /** Its name in the browser's title where the navigation has none: never a text of a device. */
  title?: Text;
  load: () => Promise<ComponentType<PageProps>>;
}

const TERMINALS: Page = {
  path: "terminal",
  also: ["shell", "join"],
  title: "terminal",
  load: async () => (await import("./terminal_page.tsx")).TerminalsPage,
};

export const PAGES: readonly Page[] = [
  {
    path: "sign-in-request",
    title: "programTitle",
    load: async () => (await import("./sign_in_pages.ts")).SignInRequestPage,
  },
  {
    path: "second-factor",
    title: "factor",
    load: async () => (await import("./second_factor_page.tsx")).SecondFactorPage,
  },
  { path: "", label: "devices", load: async () => DevicesPage },
  {
    path: "sessions",
    label: "sessions",
    load: async () => (await import("./live/sessions_page.tsx")).SessionsPage,
  },
  {
    path: "watch",
    title: "watch",
    load: async () => (await import("./live/watch_page.tsx")).WatchPage,
  },
  {
    path: "executed",
    label: "executed",
    load: async () => (await import("./playback/search_page.tsx")).SearchPage,
  },
  {
    path: "recording",
    title: "recordingLink",
    load: async () => (await import("./playback/player_page.tsx")).PlayerPage,
  },
  {
    path: "device",
    title: "device",
    load: async () => (await import("./fleet/device_page.tsx")).DevicePage,
  },
  {
    path: "run",
    label: "runCommand",
    load: async () => (await import("./fleet/command_page.tsx")).RunPages,
  },
  {
    path: "enroll",
    label: "enroll",
    load: async () => (await import("./fleet/enroll_page.tsx")).EnrollPage,
  },
  {
    path: "files",
    title: "files",
    load: async () => (await import("./fleet/files/files_page.tsx")).FilesPage,
  },
  {
    path: "access",
    label: "access",
    load: async () => (await import("./admin/small_pages.ts")).AccessPage,
  },
  {
    path: "policies",
    label: "policies",
    load: async () => (await import("./admin/policies_page.tsx")).PoliciesPage,
  },
  {
    path: "health",
    label: "health",
    load: async () => (await import("./admin/small_pages.ts")).HealthPage,
  },
  {
    path: "audit",
    label: "audit",
    load: async () => (await import("./admin/small_pages.ts")).AuditPage,
  },
  TERMINALS,
];

/** The page of an address. */
export function pageOf(place: Place): Page | undefined {
  return PAGES.find((one) => one.path === place.page || one.also?.includes(place.page));
}

/** The page of a link that signs in (sign_in_link.ts). */
export const LINK: Page = {
  path: "link",
  load: async () => (await import("./sign_in_pages.ts")).LinkPage,
};

/** Whether a page opens a session on a device, or takes one over, as soon as it is shown. */
export function opensSession({ page }: Place): boolean {
  return ["shell", "join", "files"].includes(page);
}

/** The page that holds shells: it stays on the screen when the sign-in is over. */
export function keepsShell(place: Place): boolean {
  return pageOf(place) === TERMINALS;
}

/** Reads an address; what cannot be decoded is the list of devices. */
export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  try {
    const [page = "", ...rest] = path.split("/").map(decodeURIComponent);
    return { page, rest, query: new URLSearchParams(query) };
  } catch {
    return { page: "", rest: [], query: new URLSearchParams() };
  }
}

/** The address of a page. */
export function addressOf(
  page: string,
  rest: string[] = [],
  query: Record<string, string> = {},
): string {
  const path = [page, ...rest].map(encodeURIComponent).join("/");
  const asked = new URLSearchParams(query).toString();
  return `#/${path}${asked ? `?${asked}` : ""}`;
}
