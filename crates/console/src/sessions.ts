// Sessions as the gateway lists them: what is asked, what an address says of it. No DOM.

/** A session of `DescribeSessions`. */
export interface Listed {
  SessionId: string;
  Target: string;
  Status: string;
  StartDate: number;
  EndDate?: number;
  DocumentName?: string;
  Owner: string;
  Reason?: string;
  Details?: string;
  AccessType?: string;
  TowlineDetached?: boolean;
  TowlineCommands?: number;
  TowlineRecordingBytes?: number;
}

/** What the page asks for. */
export interface Wanted {
  state: "Active" | "History";
  owner: string;
  device: string;
  /** Times of `<input type="datetime-local">`, in the user's time zone. */
  from: string;
  to: string;
  document: string;
  /** One of [`ENDS`]; empty for any. */
  end: string;
}

/** How the sentence of an end begins, by what the address names it. */
export const ENDS = {
  program: "the program",
  closed: "closed by the operator",
  terminated: "terminated",
  idle: "ended: nothing was typed",
  duration: "ended: the session reached",
  client: "ended: no client",
  device: "ended: the device",
  refused: "could not be opened",
} as const;
export type End = keyof typeof ENDS;

export const PAGE_SIZE = 50;
/** Sessions that the page holds at most. */
export const MOST_LISTED = 1000;

/** What an address asks for. */
export function wantedOf(query: URLSearchParams): Wanted {
  const text = (name: string): string => (query.get(name) ?? "").slice(0, 256);
  return {
    state: query.get("state") === "History" ? "History" : "Active",
    owner: text("owner"),
    device: text("device"),
    from: text("from"),
    to: text("to"),
    document: text("document"),
    end: text("end") in ENDS ? text("end") : "",
  };
}

/** The part of an address that asks for this. */
export function queryOf(wanted: Wanted): Record<string, string> {
  const said = Object.entries(wanted).filter(([name, value]) => value && name !== "state");
  return { state: wanted.state, ...Object.fromEntries(said) };
}

function instant(local: string): string | null {
  const time = Date.parse(local);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

/** The body of `DescribeSessions`. */
export function requestOf(wanted: Wanted, token: string | null): object {
  const filters = [
    { key: "Owner", value: wanted.owner.trim() },
    { key: "Target", value: wanted.device.trim() },
    { key: "InvokedAfter", value: instant(wanted.from) ?? "" },
    { key: "InvokedBefore", value: instant(wanted.to) ?? "" },
    { key: "TowlineDocument", value: wanted.document.trim() },
    { key: "TowlineEnd", value: wanted.state === "History" ? (ENDS[wanted.end as End] ?? "") : "" },
  ].filter(({ value }) => value !== "");
  return {
    State: wanted.state,
    MaxResults: PAGE_SIZE,
    ...(filters.length > 0 ? { Filters: filters } : {}),
    ...(token ? { NextToken: token } : {}),
  };
}

/** The sessions that hold all words of a text, in any of their facts. */
export function narrowed(sessions: readonly Listed[], text: string): Listed[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return sessions.filter((session) => {
    const { SessionId, Target, Status, DocumentName, Owner, Reason, Details } = session;
    const facts = [SessionId, Target, Status, DocumentName, Owner, Reason, Details];
    const all = facts.join("\n").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
