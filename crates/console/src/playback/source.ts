// Where the player has a recording from: as a whole, or by ranges of bytes with the help of its index.
//
// Data flow: `GetRecordingIndex` -> keyframes; `GetRecording` from one keyframe to the next -> events.
// Invariants: of a recording with an index, at most KEPT parts between keyframes are in memory; a
// recording without one is bounded by MOST_PACKED.

import { decoded } from "../answers.ts";
import { call } from "../api.ts";
import { HEAD, type Index, type Keyframe, readTable, tableAt } from "./index_file.ts";
import { type Event, MOST_PACKED, MOST_TEXT, eventsOf, parse, textOf, unpacked } from "./recording.ts";

/** Parts that are kept, unpacked: about 1 MB each. */
const KEPT = 6;
/** Characters of a recording that is saved to a file. */
const MOST_SAVED = 128 * 1024 * 1024;
/** Bytes of one screen, unpacked. */
const MOST_SCREEN = 1024 * 1024;

interface Piece {
  Data: string;
  NextOffset?: number;
  Size: number;
  Finished: boolean;
}

export interface Source {
  /** Places where drawing can begin; the first is the beginning. */
  keyframes: readonly Keyframe[];
  /** Seconds. */
  end: number;
  markers: readonly Event[];
  markersLeftOut: number;
  /** Packed bytes. */
  bytes: number;
  /** Everything of the recording is here or can be read. */
  whole: boolean;
  /** The session is over. */
  finished: boolean;
  /** Lines that cannot be read, as far as lines were read. */
  unreadable: number;
  /** The events from a keyframe to the next. */
  events(keyframe: number): Promise<readonly Event[]>;
  /** Text that draws the screen of a keyframe. */
  screen(keyframe: number): Promise<string>;
  /** All lines, as they were recorded: for a recording of at most MOST_PACKED bytes. */
  text(): Promise<string>;
}

/** Reads a range of a recording or an index. */
async function range(target: string, session: string, from: number, to: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  let filled = 0;
  while (filled < bytes.length) {
    const body = { SessionId: session, Offset: from + filled, Length: bytes.length - filled };
    const piece = decoded((await call<Piece>(target, body)).Data);
    if (piece.length === 0) return bytes.subarray(0, filled);
    bytes.set(piece.subarray(0, bytes.length - filled), filled);
    filled += piece.length;
  }
  return bytes;
}

/** Opens a recording. `over` is asked whether the page still wants it. */
export async function open(session: string, over: () => boolean): Promise<Source | null> {
  const first = await call<Piece>("Towline.GetRecordingIndex", { SessionId: session });
  const head = decoded(first.Data);
  const table = first.Size > 0 ? tableAt(head.subarray(0, HEAD)) : null;
  if (table) {
    const packed =
      table.to <= head.length
        ? head.subarray(table.from, table.to)
        : await range("Towline.GetRecordingIndex", session, table.from, table.to);
    const index = await readTable(packed);
    if (index) return new Indexed(session, index);
  }
  return await whole(session, over);
}

/** A recording that is read by ranges. */
class Indexed implements Source {
  readonly keyframes: readonly Keyframe[];
  readonly end: number;
  readonly markers: readonly Event[];
  readonly markersLeftOut: number;
  readonly bytes: number;
  readonly whole = true;
  readonly finished = true;
  unreadable = 0;
  private readonly kept = new Map<number, Promise<readonly Event[]>>();

  constructor(
    private readonly session: string,
    index: Index,
  ) {
    ({ keyframes: this.keyframes, end: this.end, markers: this.markers } = index);
    ({ markersLeftOut: this.markersLeftOut, bytes: this.bytes } = index);
  }

  events(n: number): Promise<readonly Event[]> {
    const kept = this.kept.get(n);
    this.kept.delete(n); // and added again, as the youngest
    const events = kept ?? this.read(n);
    this.kept.set(n, events);
    events.catch(() => this.kept.delete(n));
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(oldest);
    }
    return events;
  }

  private async read(n: number): Promise<readonly Event[]> {
    const from = this.keyframes[n];
    if (!from) return [];
    const to = this.keyframes[n + 1]?.offset ?? this.bytes;
    const packed = await range("Towline.GetRecording", this.session, from.offset, to);
    const { text } = await textOf(packed);
    const { events, unreadable } = eventsOf(n === 0 ? text.slice(text.indexOf("\n") + 1) : text, from.at);
    this.unreadable += unreadable;
    return events;
  }

  async screen(n: number): Promise<string> {
    const from = this.keyframes[n];
    if (!from || from.length === 0) return "";
    const to = from.screen + from.length;
    const packed = await range("Towline.GetRecordingIndex", this.session, from.screen, to);
    return (await unpacked(packed, MOST_SCREEN)) ?? "";
  }

  async text(): Promise<string> {
    const packed = await range("Towline.GetRecording", this.session, 0, Math.min(this.bytes, MOST_PACKED));
    return (await textOf(packed, MOST_SAVED)).text;
  }
}

/** Reads a recording from its beginning, as far as the page holds one. */
async function whole(session: string, over: () => boolean): Promise<Source | null> {
  const pieces: Uint8Array[] = [];
  let [offset, finished, read, bytes]: [number | undefined, boolean, number, number] = [0, false, 0, 0];
  while (offset !== undefined && read < MOST_PACKED && !over()) {
    const body = { SessionId: session, Offset: offset };
    const piece: Piece = await call<Piece>("Towline.GetRecording", body);
    const data = decoded(piece.Data);
    pieces.push(data);
    [offset, finished, read, bytes] = [piece.NextOffset, piece.Finished, read + data.length, piece.Size];
  }
  const packed = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
  const { text, whole } = await textOf(packed, MOST_TEXT);
  const recording = parse(text);
  if (!recording) return null;
  const { events, cols, rows, unreadable } = recording;
  return {
    keyframes: [{ at: 0, offset: 0, cols, rows, screen: 0, length: 0 }],
    end: events.at(-1)?.at ?? 0,
    markers: events.filter((event) => event.code === "m"),
    markersLeftOut: 0,
    bytes,
    whole: whole && offset === undefined,
    finished,
    unreadable,
    events: async () => events,
    screen: async () => "",
    text: async () => text,
  };
}
