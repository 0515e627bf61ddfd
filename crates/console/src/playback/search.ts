// Finds a text on the screens of a recording, part by part.
//
// Invariants: one part at a time is looked at, off the page, while the next ones are read, and the
// page works on meanwhile; a newer search ends an older one. What cannot show the text is not
// drawn.

import { Screens } from "./screens.ts";
import type { Source } from "./source.ts";

/** Parts that are read while one is looked at. */
const AHEAD = 3;
/** How often is told at most where a search is, milliseconds. */
const TELLS_MS = 250;

/**
 * Where a text was found: a part, and the last of its events that was drawn when the text was in
 * sight.
 */
export interface Hit {
  part: number;
  event: number;
  at: number;
}

/** Parts from one to before another. */
export interface Stretch {
  from: number;
  to: number;
}

/**
 * The next place behind `from` where the text comes into sight; from the start again behind the
 * last one. `null`: there is none, or `over` said so. `looks` hears now and then where the search
 * is. With a `stretch` the first place in it.
 */
export async function search(
  source: Source,
  text: string,
  from: Hit | null,
  over: () => boolean,
  looks: (at: number) => void,
  stretch?: Stretch,
): Promise<Hit | null> {
  const parts = source.keyframes.length;
  const first = stretch?.from ?? from?.part ?? 0;
  const screens = new Screens(source, text, over);
  let tells = 0;
  try {
    // The first part once more, for what stands before `from`.
    const last = stretch ? Math.min(stretch.to, parts) - first - 1 : from ? parts : parts - 1;
    for (let n = 0; n <= last; n += 1) {
      if (over()) return null;
      const part = (first + n) % parts;
      if (performance.now() >= tells) {
        looks(source.keyframes[part]?.at ?? 0);
        tells = performance.now() + TELLS_MS;
      }
      for (let next = n + 1; next <= Math.min(n + AHEAD, last); next += 1)
        source.events((first + next) % parts).catch(() => undefined); // asked for again, and told
      const event = await screens.find(part, n === 0 && from ? from.event + 1 : 0);
      if (over()) return null;
      if (event >= 0) return { part, event, at: (await source.events(part))[event]?.at ?? 0 };
    }
    return null;
  } finally {
    screens.close();
  }
}
