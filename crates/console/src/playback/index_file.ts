// The index of a recording: where drawing can begin, and what the timeline names.
//
// Invariants: what the file says is checked before it is used: places lie within the recording and
// go up, sizes are within what a terminal may have here.

import { type Event, bounded, unpacked } from "./recording.ts";

const MAGIC = "TWLINDX1";
/** Bytes before the first screen. */
export const HEAD = 24;
/** Packed bytes of a table that is read: 65,536 keyframes and 4,096 markers need less. */
const MOST_PACKED_TABLE = 16 * 1024 * 1024;
const MOST_TABLE = 64 * 1024 * 1024;

/** A place in the recording where drawing can begin. */
export interface Keyframe {
  /** Seconds since the start. */
  at: number;
  /** Where its block begins in the recording. */
  offset: number;
  cols: number;
  rows: number;
  /** Where its screen stands in the index; a length of 0: an empty screen. */
  screen: number;
  length: number;
  /** A part of the recording begins here: nothing that was drawn before belongs to its screen. */
  begins?: boolean;
}

export interface Index {
  /** Bytes of the recording. */
  bytes: number;
  /** Seconds. */
  end: number;
  keyframes: Keyframe[];
  markers: Event[];
  markersLeftOut: number;
}

/** Where the table stands in an index that begins with these bytes; `null`: this is no index. */
export function tableAt(head: Uint8Array): { from: number; to: number } | null {
  if (head.length < HEAD || new TextDecoder().decode(head.subarray(0, 8)) !== MAGIC) return null;
  const view = new DataView(head.buffer, head.byteOffset, HEAD);
  const from = Number(view.getBigUint64(8, true));
  const length = view.getUint32(16, true);
  return length > 0 && length <= MOST_PACKED_TABLE ? { from, to: from + length } : null;
}

/** Reads a table; `null` when it does not say what an index has to say. */
export async function readTable(packed: Uint8Array): Promise<Index | null> {
  const text = await unpacked(packed, MOST_TABLE);
  if (text === null) return null;
  try {
    return indexOf(JSON.parse(text) as Record<string, unknown>);
  } catch {
    return null;
  }
}

function indexOf(table: Record<string, unknown>): Index | null {
  const count = (value: unknown) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
  const [bytes, end] = [count(table["bytes"]), count(table["end"])];
  if (bytes === null || end === null) return null;
  const keyframes: Keyframe[] = [];
  let last = { at: -1, offset: -1 };
  for (const one of (table["keyframes"] as Record<string, unknown>[] | undefined) ?? []) {
    const [at, offset, screen, length] = ["at", "offset", "screen", "length"].map((key) =>
      count(one[key]),
    );
    if (at == null || offset == null || screen == null || length == null) return null;
    if (at < last.at || offset <= last.offset || offset > bytes) return null;
    const size = bounded(Number(one["cols"]), Number(one["rows"]));
    keyframes.push({ at: at / 1e6, offset, ...size, screen, length });
    last = { at, offset };
  }
  if (keyframes[0]?.offset !== 0) return null;
  const markers: Event[] = [];
  for (const one of (table["markers"] as Record<string, unknown>[] | undefined) ?? []) {
    const at = count(one["at"]);
    if (at !== null) markers.push({ at: at / 1e6, code: "m", text: String(one["text"]) });
  }
  const markersLeftOut = count(table["markers_left_out"]) ?? 0;
  return { bytes, end: end / 1e6, keyframes, markers, markersLeftOut };
}
