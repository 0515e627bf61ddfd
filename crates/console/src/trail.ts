// Events of the audit trail: their shape, what failed, and files of them: JSON as the gateway gave
// it, CSV for spreadsheets.

export const LOOKUP_EVENTS = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";

/** An event of LookupEvents. */
export interface Listed {
  EventId: string;
  EventName: string;
  EventTime: number;
  EventSource: string;
  Username?: string;
  AccessKeyId?: string;
  Resources?: { ResourceName: string }[];
  CloudTrailEvent: string;
}

/** Why an event was refused or failed; null when it was done. */
export function failureOf(event: Listed): { code: string; message: string } | null {
  try {
    const { errorCode, errorMessage } = JSON.parse(event.CloudTrailEvent) as Record<
      string,
      unknown
    >;
    if (typeof errorCode !== "string") return null;
    return { code: errorCode, message: typeof errorMessage === "string" ? errorMessage : "" };
  } catch {
    return null;
  }
}

export function resourcesOf(event: Listed): string {
  return (event.Resources ?? []).map((one) => one.ResourceName).join(" ");
}

/** A JSON array of whole events. An event that is no JSON stays a string. */
export function jsonOf(events: readonly Listed[]): string {
  const whole = events.map((event): unknown => {
    try {
      return JSON.parse(event.CloudTrailEvent);
    } catch {
      return event.CloudTrailEvent;
    }
  });
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** RFC 4180. */
export function csvOf(events: readonly Listed[]): string {
  const rows = events.map((event) => [
    new Date(event.EventTime * 1000).toISOString(),
    event.EventId,
    event.EventSource,
    event.EventName,
    event.Username ?? "",
    event.AccessKeyId ?? "",
    resourcesOf(event),
    failureOf(event)?.code ?? "",
  ]);
  const head = ["time", "id", "source", "event", "user", "access key", "resources", "error"];
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A spreadsheet would calculate what begins with these: an apostrophe makes it text. */
function cell(text: string): string {
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${inert.replace(/"/g, '""')}"`;
}
