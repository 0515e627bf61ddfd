// A recording as this page reads it: gzip members, lines of asciicast v2, events with their times.
//
// Data flow: pieces of `GetRecording` -> members -> text -> header and events.
// Invariants: packed and unpacked bytes are bounded; a size is within what a terminal may have
// here; a line that cannot be read is passed over and counted.

/** Packed bytes that are read: a recording that is longer is shown up to there. */
export const MOST_PACKED = 8 * 1024 * 1024;
/** Characters of unpacked text: as above. */
export const MOST_TEXT = 16 * 1024 * 1024;
const MOST_COLS = 500;
const MOST_ROWS = 200;
/** What each block of a recording begins with (RFC 1952; the gateway writes no other header). */
const MEMBER = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

export interface Event {
  /** Seconds since the start. */
  at: number;
  code: string;
  text: string;
}

export interface Recording {
  cols: number;
  rows: number;
  events: Event[];
  /** Lines that are no events. */
  unreadable: number;
}

/** The blocks of a recording, without the rest that is not whole. */
export function members(bytes: Uint8Array): Uint8Array[] {
  const starts: number[] = [];
  for (let at = bytes.indexOf(MEMBER[0] as number); at >= 0;) {
    if (MEMBER.every((byte, n) => bytes[at + n] === byte)) starts.push(at);
    at = bytes.indexOf(MEMBER[0] as number, at + 1);
  }
  return starts.map((start, n) => bytes.subarray(start, starts[n + 1] ?? bytes.length));
}

/** Unpacks one block; `null` when it is damaged or not whole. */
export async function unpacked(member: Uint8Array, most: number): Promise<string | null> {
  const packed = new Blob([new Uint8Array(member)]).stream();
  const reader = packed.pipeThrough(new DecompressionStream("gzip")).getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
      if (text.length > most) {
        await reader.cancel();
        return null;
      }
    }
  } catch {
    return null;
  }
}

/** The text of all blocks, as far as it is within the bound; and whether that is all. */
export async function textOf(
  bytes: Uint8Array,
  most = MOST_TEXT,
): Promise<{ text: string; whole: boolean }> {
  const texts: string[] = [];
  let left = most;
  for (const member of members(bytes)) {
    const text = await unpacked(member, left);
    if (text === null) return { text: texts.join(""), whole: false };
    left -= text.length;
    texts.push(text);
  }
  return { text: texts.join(""), whole: true };
}

/** A size that the page draws, whatever the recording says. */
export function bounded(cols: number, rows: number): { cols: number; rows: number } {
  const within = (value: number, most: number, none: number) =>
    Number.isFinite(value) && value >= 1 ? Math.min(Math.floor(value), most) : none;
  return { cols: within(cols, MOST_COLS, 80), rows: within(rows, MOST_ROWS, 24) };
}

/** The size that an event of code `r` names. */
export function sizeOf(text: string): { cols: number; rows: number } {
  const [cols, rows] = text.split("x");
  return bounded(Number(cols), Number(rows));
}

function eventOf(line: string): Event | null {
  try {
    const [at, code, text] = JSON.parse(line) as unknown[];
    const fits = typeof at === "number" && typeof code === "string" && typeof text === "string";
    return fits && Number.isFinite(at) && at >= 0 ? { at, code, text } : null;
  } catch {
    return null;
  }
}

/** Reads a recording's text; `null` when its first line is no header. */
export function parse(text: string): Recording | null {
  const first = text.split("\n", 1)[0] ?? "";
  let header: { version?: unknown; width?: unknown; height?: unknown };
  try {
    header = JSON.parse(first) as typeof header;
  } catch {
    return null;
  }
  if (header?.version !== 2) return null;
  const size = bounded(Number(header.width), Number(header.height));
  return { ...size, ...eventsOf(text.slice(first.length), 0) };
}

/** Reads lines behind the first; none of the events is before `start`. */
export function eventsOf(text: string, start: number): { events: Event[]; unreadable: number } {
  const events: Event[] = [];
  let [last, unreadable] = [start, 0];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const event = eventOf(line);
    if (!event) {
      unreadable += 1;
    } else if (event.code !== "z") {
      last = Math.max(last, event.at);
      events.push({ ...event, at: last });
    }
  }
  return { events, unreadable };
}

/** The last of these places that is at or before a time; the first when there is none. */
export function lastAt(places: readonly { at: number }[], at: number): number {
  return Math.max(0, upTo(places, at) - 1);
}

/** The number of events at or before a time. */
export function upTo(events: readonly { at: number }[], at: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle] as { at: number }).at <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Output without its control sequences. */
export function plain(text: string): string {
  return text
    .replace(/\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?/g, "")
    .replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, "")
    .replace(/\x1b[ -/]*[0-~]/g, "")
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
}

/** All output as text. */
export function outputOf(events: readonly Event[]): string {
  const output = events.filter((event) => event.code === "o").map((event) => event.text);
  return plain(output.join(""));
}

/** Seconds as `1:02:03` or `2:03`. */
export function clock(seconds: number): string {
  const all = Math.floor(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}
