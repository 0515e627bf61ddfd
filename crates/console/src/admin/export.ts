// Events of the audit trail as files: JSON as the gateway gave it, CSV for spreadsheets.

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

/** The error code of an event that was refused or failed; empty when it was done. */
export function errorOf(event: Listed): string {
  try {
    const { errorCode } = JSON.parse(event.CloudTrailEvent) as { errorCode?: unknown };
    return typeof errorCode === "string" ? errorCode : "";
  } catch {
    return "";
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
    errorOf(event),
  ]);
  const head = ["time", "id", "source", "event", "user", "access key", "resources", "error"];
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A spreadsheet would calculate what begins with these: an apostrophe makes it text. */
function cell(text: string): string {
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${inert.replace(/"/g, '""')}"`;
}

/** Has the browser save a text. */
export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
