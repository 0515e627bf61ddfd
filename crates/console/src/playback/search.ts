// Finds a text in the output of a recording, part by part.
//
// Invariants: one part is looked at at a time, and the page works on meanwhile; a newer search ends an
// older one.

import { found } from "./recording.ts";
import type { Source } from "./source.ts";

/** Where a text was found: a part, and how many of its events were drawn when the text was there. */
export interface Hit {
  part: number;
  event: number;
  at: number;
}

/**
 * The next place behind `from` with this text; from the start again behind the last one. `null`: there
 * is none, or `over` said so. `looks` hears of each part.
 */
export async function search(
  source: Source,
  text: string,
  from: Hit | null,
  over: () => boolean,
  looks: (at: number) => void,
): Promise<Hit | null> {
  const parts = source.keyframes.length;
  const first = from?.part ?? 0;
  for (let n = 0; n <= parts; n += 1) {
    if (over()) return null;
    const part = (first + n) % parts;
    looks(source.keyframes[part]?.at ?? 0);
    const events = await source.events(part);
    const event = found(events, text, n === 0 && from ? from.event + 1 : 0);
    if (event >= 0) return { part, event, at: events[event]?.at ?? 0 };
  }
  return null;
}
