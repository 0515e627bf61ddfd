// The search of what screens showed, beside a terminal that is looked at after each event.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PlainRows, type Told } from "../src/playback/plain_rows.ts";
import type { Event } from "../src/playback/recording.ts";
import { search } from "../src/playback/search.ts";
import type { Source } from "../src/playback/source.ts";
import { Terminal } from "../src/terminal_view.ts";
import { FINISHED } from "./finished.ts";

const [COLS, ROWS] = [12, 4];
const none = () => undefined;
const event = (text: string, at = 0, code = "o"): Event => ({ at, code, text });

/** A recording of these parts; a part begins with the screen that the one before left. */
async function recorded(parts: Event[][]): Promise<Source & { drawn: number }> {
  const term = new Terminal({ cols: COLS, rows: ROWS, scrollback: 0, allowProposedApi: true });
  const screens: string[] = [];
  for (const events of parts) {
    screens.push(screenOf(term));
    for (const { text } of events) await written(term, text);
  }
  term.dispose();
  const keyframes = parts.map((_, at) => ({
    at,
    offset: at,
    cols: COLS,
    rows: ROWS,
    screen: 0,
    length: at,
  }));
  const source = {
    drawn: 0,
    keyframes,
    ...FINISHED,
    events: async (n: number) => parts[n] ?? [],
    screen: async (n: number) => {
      source.drawn += 1;
      return n === 0 ? "" : (screens[n] ?? "");
    },
    refresh: async () => false,
    text: async () => "",
    parts: [],
  };
  return source;
}

const written = (term: Terminal, text: string) =>
  new Promise<void>((resolve) => term.write(text, resolve));

/** The rows in sight and the cursor, as an index keeps them. */
function screenOf(term: Terminal): string {
  const { baseY, cursorX, cursorY } = term.buffer.active;
  const line = (y: number) => term.buffer.active.getLine(baseY + y);
  let screen = "";
  for (let y = 0; y < ROWS; y += 1) {
    const goesOn = line(y + 1)?.isWrapped;
    screen += line(y)?.translateToString(!goesOn && !line(y)?.isWrapped) ?? "";
    if (!goesOn && y < ROWS - 1) screen += "\r\n";
  }
  const place = (x: number) => `\x1b[${cursorY + 1};${x + 1}H`;
  if (cursorX < COLS) return screen + place(cursorX);
  // The next character begins a row: the last one is drawn again.
  const last = line(cursorY)?.getCell(COLS - 1);
  const wide = last?.getWidth() === 0;
  const drawn = wide ? line(cursorY)?.getCell(COLS - 2) : last;
  return screen + place(wide ? COLS - 2 : COLS - 1) + (drawn?.getChars() || " ");
}

/** Where a text comes into sight first: looked at after each event, on one terminal. */
async function seen(parts: Event[][], wanted: string): Promise<[number, number] | null> {
  const term = new Terminal({ cols: COLS, rows: ROWS, scrollback: 99, allowProposedApi: true });
  const shows = (from: number): boolean => {
    let line = "";
    for (let y = from; y < term.buffer.active.baseY + ROWS; y += 1) {
      const [row, next] = [term.buffer.active.getLine(y), term.buffer.active.getLine(y + 1)];
      if (!row?.isWrapped) line = "";
      for (let x = 0; row && x < COLS; x += 1) {
        const cell = row.getCell(x);
        const isLast = x === COLS - 1 && cell?.getCode() === 0;
        const isLeft = isLast && next?.getCell(0)?.getWidth() === 2;
        if (cell?.getWidth() !== 0 && !(isLeft && next?.isWrapped)) line += cell?.getChars() || " ";
      }
      if (!next?.isWrapped) line = line.trimEnd();
      if (line.toLowerCase().includes(wanted)) return true;
    }
    return false;
  };
  let was = false;
  try {
    for (const [part, events] of parts.entries()) {
      for (const [n, { text }] of events.entries()) {
        const from = term.buffer.active.baseY;
        await written(term, text);
        if (!was && shows(from)) return [part, n];
        was = shows(term.buffer.active.baseY);
      }
    }
    return null;
  } finally {
    term.dispose();
  }
}

async function found(parts: Event[][], text: string): Promise<[number, number] | null> {
  const hit = await search(await recorded(parts), text, null, () => false, none);
  return hit && [hit.part, hit.event];
}

test("a text that is in sight for one event is found, whatever comes right behind it", async () => {
  const gone = ["$ ", "need", "le", "\r\x1b[K", "$ "].map((text) => event(text, 1));
  assert.deepEqual(await found([gone], "needle"), [0, 2]);
  const painted = ["\x1b[H\x1b[2J", "needle", "\x1b[2J", "other"].map((text) => event(text, 1));
  assert.deepEqual(await found([painted], "needle"), [0, 1]);
});

test("a text that comes back after it scrolled away is found again", async () => {
  const parts = [["needle\r\n", "\r\n".repeat(9), "needle\r\n"].map((text) => event(text))];
  const source = await recorded(parts);
  const first = await search(source, "needle", null, () => false, none);
  assert.equal(first?.event, 0);
  const second = await search(source, "needle", first, () => false, none);
  assert.equal(second?.event, 2);
});

test("the way back from another screen brings nothing that scrolled away before", async () => {
  const texts = ["needle\r\n", "\r\n".repeat(9), "\x1b[?1049h", "vi", "\x1b[?1049l"];
  const parts = [texts.map((text) => event(text))];
  const source = await recorded(parts);
  const first = await search(source, "needle", null, () => false, none);
  const second = await search(source, "needle", first, () => false, none);
  assert.deepEqual([first?.event, second?.event], [0, 0]);
});

test("parts of plain output are not drawn unless they have the text", async () => {
  const lines = (n: number) => [event(`\x1b[3${n}mline ${n}\x1b[0m\r\n\x1b[2Kat ${n}-\r`)];
  const source = await recorded([0, 1, 2, 3, 4, 5].map(lines));
  assert.equal(await search(source, "nowhere", null, () => false, none), null);
  assert.equal(source.drawn, 1);
  assert.deepEqual((await search(source, "at 4-", null, () => false, none))?.part, 4);
  assert.equal(source.drawn, 3);
});

test("a stretch of a recording is searched and no more, and together they find it", async () => {
  const lines = (n: number) => [event(`line ${n}\r\n`)];
  const source = await recorded([0, 1, 2, 3, 4, 5].map(lines));
  const looked = new Set<number>();
  const { events } = source;
  source.events = (n) => {
    looked.add(n);
    return events(n);
  };
  const within = (from: number, to: number) =>
    search(source, "line 4", null, () => false, none, { from, to });
  assert.equal(await within(0, 2), null);
  assert.deepEqual([...looked].sort(), [0, 1]);
  assert.equal(await within(2, 4), null);
  assert.equal((await within(4, 6))?.part, 4);
  assert.equal(await within(5, 99), null);
  assert.deepEqual([...looked].sort(), [0, 1, 2, 3, 4, 5]);
});

test("parts that paint the screen and lack a letter of the text are not drawn", async () => {
  const painted = (n: number) => [event(`\x1b[2J\x1b[2;1Hpage ${n}\x1b[H`)];
  const { write } = Terminal.prototype;
  let writes = 0;
  Terminal.prototype.write = function (this: Terminal, ...given: Parameters<typeof write>) {
    writes += 1;
    return write.apply(this, given);
  };
  try {
    const parts = [0, 1, 2].map(painted);
    const source = await recorded(parts);
    writes = 0;
    // The letters of control sequences are not on the screen.
    for (const text of ["pages", "Hope", "J"])
      assert.equal(await search(source, text, null, () => false, none), null);
    assert.equal(writes, 9, "of each part its first screen is drawn, and no more");
    assert.equal((await search(source, "PAGE 2", null, () => false, none))?.part, 2);
    assert.ok(writes > 1);
  } finally {
    Terminal.prototype.write = write;
  }
});

test("a letter that was on the screen before a part, or becomes one, is one of it", async () => {
  // A sign of Kelvin is a k in lower case.
  const texts = ["\x1b[2;1Hzebra\x1b[H", "\x1b[4Cs\x1b[2;6Hs\x1b[H", "\x1b[3H\u212a"];
  const parts = texts.map((text) => [event(text)]);
  assert.deepEqual(await found(parts, "zebras"), [1, 0]);
  assert.deepEqual(await found(parts, "k"), [2, 0]);
});

test("of output that moves the cursor elsewhere nothing is known", () => {
  const told = (...texts: string[]): Told => {
    const rows = new PlainRows("needle");
    rows.start({ cols: COLS, col: 0, rows: [], before: "" });
    return rows.read(texts.map((text) => event(text)));
  };
  assert.equal(told("a\x1b]0;needle\x07b\x1b[?2004h", "\x1b[1", "mc"), "absent");
  assert.equal(told("nee", "\x1b[3", "1mdle"), "maybe");
  const up = ["\x1b[A", "\x1b[2J", "\x1bc", "\x9b1A", "\x1b7", "\x0b"];
  for (const other of [...up, "\x0e", "\x1b(0", "\x1b[5b", "\x1b[4h", "\x1b[?7l"])
    assert.equal(told(`a${other}`), "unknown", JSON.stringify(other));
  assert.equal(told("\uac00\rx"), "unknown");
  const rows = new PlainRows("a");
  rows.start({ cols: COLS, col: 0, rows: [], before: "" });
  assert.equal(rows.read([event("20x5", 0, "r")]), "unknown");
  assert.equal(rows.read([event("b")]), "unknown");
});

test("the search finds what a terminal shows that is looked at after each event", async () => {
  const ends = ["\r", "\n", "\r\n", "\b", "\t", "\x1b[K", "\x1b[1K", "\x1b[2K"];
  const plain = [...ends, "ab", "ba", "a", "b", "\x1b[31m", "abababababa", " ", "\uac00b"];
  const moves = ["\x1b[A", "\x1b[2J", "\x1b[H", "\x1b[P", "\x1b[C"];
  const other = [...moves, "\x1b[?1049h", "\x1b[?1049l", "\x1b[2;3r", "\x1b[4h", "\x1b[4l"];
  let seed = 7;
  const next = (most: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % most;
  };
  let [hits, misses] = [0, 0];
  for (let round = 0; round < 1500; round += 1) {
    // A screen is handed on without its modes: only rounds of one part set some.
    const few = round % 2 === 0 ? plain : [...plain, ...other];
    const parts = Array.from({ length: few === plain ? 3 : 1 }, () =>
      Array.from({ length: 1 + next(6) }, () =>
        event(Array.from({ length: 1 + next(4) }, () => few[next(few.length)]).join("")),
      ),
    );
    const wanted = ["bab", "aab", "b b", "bb", "a\uac00b"][round % 5] ?? "";
    const [is, should] = [await found(parts, wanted), await seen(parts, wanted)];
    const texts = parts.map((one) => one.map(({ text }) => text));
    assert.deepEqual(is, should, JSON.stringify([wanted, texts]));
    if (is) hits += 1;
    else misses += 1;
  }
  assert.ok(hits > 300 && misses > 300, `${hits} hits, ${misses} misses`);
});
