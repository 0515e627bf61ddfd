// Where the player has a part of a recording from: as a whole, or by ranges of bytes with the help
// of its index.
//
// Data flow: `GetRecordingIndex` -> keyframes; `GetRecording` from one keyframe to the next ->
// events. Invariants: of recordings with an index, at most KEPT stretches between keyframes are in
// memory; those without one are bounded by MOST_PACKED together.
//
// Not here: recordings of several parts (joined.ts).

import { decoded } from "../answers.ts";
import { ApiError, call } from "../api.ts";
import { HEAD, type Index, type Keyframe, readTable, tableAt } from "./index_file.ts";
import {
  type Event,
  MOST_PACKED,
  MOST_TEXT,
  eventsOf,
  parse,
  textOf,
  unpacked,
} from "./recording.ts";

/** Stretches between keyframes that are kept, unpacked: about 1 MB each. */
const KEPT = 6;
/** Characters of a recording that is saved to a file. */
const MOST_SAVED = 128 * 1024 * 1024;
/** Bytes of one screen, unpacked. */
const MOST_SCREEN = 1024 * 1024;
/** How long the page waits before it asks again for an index that is being made, milliseconds. */
const ASKS_AGAIN_MS = 300;

interface Piece {
  Data: string;
  NextOffset?: number;
  Size: number;
  Finished: boolean;
  Indexed?: number;
  /** With the last piece: the name of the part that another gateway made after this one. */
  NextPart?: string;
  /** With the last piece, when no further part is known: gateways that did not say whether they
   * have one. */
  SilentGateways?: string[];
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
  /** Nothing will be added. */
  finished: boolean;
  /** Lines that cannot be read, as far as lines were read. */
  unreadable: number;
  /** The events from a keyframe to the next. */
  events(keyframe: number): Promise<readonly Event[]>;
  /** Text that draws the screen of a keyframe. */
  screen(keyframe: number): Promise<string>;
  /** Reads what was added meanwhile; whether there was something. */
  refresh(): Promise<boolean>;
  /** All lines, as they were recorded: for a recording of at most MOST_PACKED bytes. */
  text(): Promise<string>;
  /** What it is made of, and which of that is here: a recording of one gateway has one part. */
  readonly parts: readonly { name: string; isHere: boolean }[];
  /** Gateways that did not say whether they have a further part. */
  readonly silent?: readonly string[];
}

/** Events between keyframes that were read, of all parts of a recording: the youngest KEPT. */
export class Kept {
  private readonly all = new Map<string, Promise<readonly Event[]>>();

  /** What is kept under this name, or what `read` gives. */
  of(name: string, read: () => Promise<readonly Event[]>): Promise<readonly Event[]> {
    const events = this.all.get(name) ?? read();
    this.all.delete(name); // and added again, as the youngest
    this.all.set(name, events);
    events.catch(() => this.all.delete(name));
    for (const oldest of this.all.keys()) {
      if (this.all.size <= KEPT) break;
      this.all.delete(oldest);
    }
    return events;
  }

  forget(name: string): void {
    this.all.delete(name);
  }
}

/** What the parts of a recording share. */
export interface Shared {
  kept: Kept;
  /** Packed bytes that may be read of parts without an index. */
  left: number;
}

/** Reads a range of a recording or an index. */
async function range(
  target: string,
  session: string,
  from: number,
  to: number,
  background = false,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  let filled = 0;
  while (filled < bytes.length) {
    const body = { SessionId: session, Offset: from + filled, Length: bytes.length - filled };
    const piece = decoded((await call<Piece>(target, body, background)).Data);
    if (piece.length === 0) return bytes.subarray(0, filled);
    bytes.set(piece.subarray(0, bytes.length - filled), filled);
    filled += piece.length;
  }
  return bytes;
}

/**
 * Opens one part of a recording by its name. `over` is asked whether the page still wants it;
 * `drawing` hears how much is indexed.
 */
export async function openPart(
  name: string,
  shared: Shared,
  over: () => boolean,
  drawing: (bytes: number) => void,
): Promise<Source | null> {
  while (!over()) {
    const index = await indexNow(name);
    if (index === "none") return await whole(name, shared, over);
    if ("keyframes" in index) return new Indexed(name, index, shared.kept);
    drawing(index.indexed);
    await new Promise((resolve) => setTimeout(resolve, ASKS_AGAIN_MS));
  }
  return null;
}

type Now = Index & { finished: boolean };

/**
 * The name of the part behind the one of so many bytes; `null`: none is known. And the gateways
 * that did not say whether they have one.
 */
export async function nextPart(
  name: string,
  bytes: number,
  background = false,
): Promise<{ next: string | null; silent: readonly string[] }> {
  const body = { SessionId: name, Offset: bytes, Length: 1 };
  const piece = await call<Piece>("Towline.GetRecording", body, background);
  const { NextPart, SilentGateways } = piece;
  return { next: NextPart && NextPart !== name ? NextPart : null, silent: SilentGateways ?? [] };
}

/** The index as far as it is made; how far it is; or that there will be none. */
async function indexNow(
  session: string,
  background = false,
): Promise<Now | { indexed: number } | "none"> {
  let first: Piece;
  try {
    first = await call<Piece>("Towline.GetRecordingIndex", { SessionId: session }, background);
  } catch (error) {
    if (error instanceof ApiError && error.code === "ThrottlingException") return { indexed: 0 };
    throw error;
  }
  if (first.Size === 0) return first.Finished ? "none" : { indexed: first.Indexed ?? 0 };
  const head = decoded(first.Data);
  const table = tableAt(head.subarray(0, HEAD));
  if (!table) return "none";
  const packed =
    table.to <= head.length
      ? head.subarray(table.from, table.to)
      : await range("Towline.GetRecordingIndex", session, table.from, table.to, background);
  // Another table has taken its place meanwhile.
  if (packed.length < table.to - table.from && !first.Finished)
    return { indexed: first.Indexed ?? 0 };
  const index = await readTable(packed);
  return index ? { ...index, finished: first.Finished } : "none";
}

/** A part that is read by ranges. */
class Indexed implements Source {
  keyframes: readonly Keyframe[] = [];
  end = 0;
  markers: readonly Event[] = [];
  markersLeftOut = 0;
  bytes = 0;
  readonly whole = true;
  finished = false;
  unreadable = 0;
  readonly parts: Source["parts"];

  constructor(
    private readonly session: string,
    index: Now,
    private readonly kept: Kept,
  ) {
    this.parts = [{ name: session, isHere: true }];
    this.take(index);
  }

  private take(index: Now): void {
    ({ keyframes: this.keyframes, end: this.end, markers: this.markers } = index);
    ({ markersLeftOut: this.markersLeftOut, bytes: this.bytes, finished: this.finished } = index);
  }

  async refresh(): Promise<boolean> {
    if (this.finished) return false;
    const index = await indexNow(this.session, true);
    if (index === "none" || !("keyframes" in index) || index.bytes < this.bytes) return false;
    const more = index.bytes > this.bytes;
    // The last stretch has grown: it is read anew.
    if (more) this.kept.forget(this.named(this.keyframes.length - 1));
    this.take(index);
    return more;
  }

  private named(n: number): string {
    return `${this.session} ${n}`;
  }

  events(n: number): Promise<readonly Event[]> {
    return this.kept.of(this.named(n), () => this.read(n));
  }

  private async read(n: number): Promise<readonly Event[]> {
    const from = this.keyframes[n];
    if (!from) return [];
    const to = this.keyframes[n + 1]?.offset ?? this.bytes;
    const packed = await range("Towline.GetRecording", this.session, from.offset, to);
    const { text } = await textOf(packed);
    const { events, unreadable } = eventsOf(
      n === 0 ? text.slice(text.indexOf("\n") + 1) : text,
      from.at,
    );
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
    const packed = await range(
      "Towline.GetRecording",
      this.session,
      0,
      Math.min(this.bytes, MOST_PACKED),
    );
    return (await textOf(packed, MOST_SAVED)).text;
  }
}

/** Reads a part from its beginning, as far as the page holds one. */
async function whole(
  session: string,
  shared: Shared,
  over: () => boolean,
): Promise<Source | null> {
  const pieces: Uint8Array[] = [];
  let [offset, finished, read, bytes]: [number | undefined, boolean, number, number] = [
    0,
    false,
    0,
    0,
  ];
  while (offset !== undefined && read < shared.left && !over()) {
    const body = { SessionId: session, Offset: offset };
    const piece: Piece = await call<Piece>("Towline.GetRecording", body);
    const data = decoded(piece.Data);
    pieces.push(data);
    [offset, finished, read, bytes] = [
      piece.NextOffset,
      piece.Finished,
      read + data.length,
      piece.Size,
    ];
  }
  shared.left -= read;
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
    refresh: async () => false,
    text: async () => text,
    parts: [{ name: session, isHere: true }],
  };
}
