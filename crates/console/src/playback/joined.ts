// A recording of several gateways, read as one: each of them made a part.
//
// Data flow: the session -> its first part, which names the next one, and so on -> keyframes,
// markers and times of all parts, one after the other.
// Invariants: a part that is not here is a gap with a name, and so is what is behind MOST_PARTS
// parts. Nothing of one part is on the screen of the next: a moment shows the same, whether the
// player jumped there or played. Time does not run back at the place where two parts meet.

import { ApiError } from "../api.ts";
import { t } from "../strings/playback.ts";
import type { Keyframe } from "./index_file.ts";
import { type Event, MOST_PACKED } from "./recording.ts";
import { Kept, type Shared, type Source, nextPart, openPart } from "./source.ts";

/** Parts of a recording that are read. */
const MOST_PARTS = 100;
/** What the marker of a gap begins with. */
const GAP = "gap: ";

/** A part; without a source it is at a gateway that does not answer. */
export interface Part {
  name: string;
  source: Source | null;
}

/**
 * Opens a recording. `over` is asked whether the page still wants it; `drawing` hears how much is
 * indexed.
 */
export async function open(
  session: string,
  over: () => boolean,
  drawing: (bytes: number) => void,
): Promise<Source | null> {
  const shared = { kept: new Kept(), left: MOST_PACKED };
  const joined = new Joined(shared);
  await joined.read(session, over, drawing);
  return !over() && joined.keyframes.length > 0 ? joined : null;
}

/** Whether an error says that there is no such part. */
function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.code === "DoesNotExistException";
}

export class Joined implements Source {
  keyframes: readonly Keyframe[] = [];
  end = 0;
  markers: readonly Event[] = [];
  markersLeftOut = 0;
  bytes = 0;
  whole = true;
  finished = false;
  silent: readonly string[] = [];
  private all: Part[] = [];
  /** Which keyframe of which part each keyframe is. */
  private places: readonly { source: Source; n: number }[] = [];
  /** There are more parts than the page reads. */
  private cut = false;

  constructor(private readonly shared: Shared) {}

  get parts(): Source["parts"] {
    return this.all.map(({ name, source }) => ({ name, isHere: source !== null }));
  }

  get unreadable(): number {
    return this.all.reduce((sum, { source }) => sum + (source?.unreadable ?? 0), 0);
  }

  /** Reads a part, and those behind it. */
  async read(
    first: string,
    over: () => boolean,
    drawing: (bytes: number) => void,
    background = false,
  ): Promise<void> {
    for (let name: string | null = first; name !== null && !over();) {
      this.cut = this.all.length >= MOST_PARTS;
      if (this.cut) break;
      let source: Source | null = null;
      try {
        source = await openPart(name, this.shared, over, drawing);
        if (!source) break;
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      const next = await this.behind(name, source, background);
      this.all.push({ name, source });
      name = next;
    }
    this.join();
  }

  /** The name of the part behind this one. */
  private async behind(
    name: string,
    source: Source | null,
    background: boolean,
  ): Promise<string | null> {
    try {
      const { next, silent } = await nextPart(name, source?.bytes ?? 0, background);
      this.silent = silent;
      return next;
    } catch (error) {
      // A first part of which nothing is known: there is no recording.
      if (isMissing(error) && (source || this.all.length > 0)) return null;
      throw error;
    }
  }

  /** Takes up parts that are known already: for `read`, and for tests. */
  take(parts: readonly Part[]): void {
    this.all = [...parts];
    this.join();
  }

  private join(): void {
    const keyframes: Keyframe[] = [];
    const markers: Event[] = [];
    const places: { source: Source; n: number }[] = [];
    let end = 0;
    for (const [number, { source }] of this.all.entries()) {
      if (!source) {
        markers.push({ at: end, code: "m", text: GAP + t("partMissing", { n: number + 1 }) });
        continue;
      }
      // The first keyframe that the page has is the beginning.
      const start = keyframes.length === 0 ? 0 : Math.max(end, startOf(source));
      for (const [n, keyframe] of source.keyframes.entries()) {
        const begins = n === 0 && keyframes.length > 0;
        keyframes.push({ ...keyframe, at: Math.max(keyframe.at, start), begins });
        places.push({ source, n });
      }
      for (const one of source.markers) markers.push({ ...one, at: Math.max(one.at, start) });
      end = Math.max(end, source.end);
    }
    [this.keyframes, this.markers, this.places, this.end] = [keyframes, markers, places, end];
    const here = this.all.flatMap(({ source }) => (source ? [source] : []));
    const sum = (of: (source: Source) => number) => here.reduce((all, one) => all + of(one), 0);
    this.markersLeftOut = sum((source) => source.markersLeftOut);
    this.bytes = sum((source) => source.bytes);
    this.whole = !this.cut && here.every((source) => source.whole);
    this.finished = this.all.at(-1)?.source?.finished ?? true;
  }

  async refresh(): Promise<boolean> {
    const last = this.all.at(-1);
    if (this.finished || !last?.source) return false;
    const [parts, grown] = [this.all.length, await last.source.refresh()];
    // The part has ended: another gateway may have gone on with the session.
    const next = last.source.finished ? await this.behind(last.name, last.source, true) : null;
    if (next) await this.read(next, () => false, () => undefined, true);
    else this.join();
    return grown || this.all.length > parts;
  }

  async events(n: number): Promise<readonly Event[]> {
    const place = this.places[n];
    if (!place) return [];
    const events = await place.source.events(place.n);
    const start = this.keyframes[n]?.at ?? 0;
    // Times of one part are those of the session already: only what lies before its start is moved.
    if ((events[0]?.at ?? start) >= start) return events;
    return events.map((event) => (event.at < start ? { ...event, at: start } : event));
  }

  async screen(n: number): Promise<string> {
    const place = this.places[n];
    return place ? place.source.screen(place.n) : "";
  }

  /** One recording: the header of the first part, and the lines of all. */
  async text(): Promise<string> {
    const texts: string[] = [];
    for (const { source } of this.all) {
      if (!source) continue;
      const text = await source.text();
      texts.push(texts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    }
    return texts.join("");
  }
}

/** When a part begins: it says first what is missing before it. */
function startOf(source: Source): number {
  const first = source.markers[0];
  return first?.text.startsWith(GAP) ? first.at : 0;
}
