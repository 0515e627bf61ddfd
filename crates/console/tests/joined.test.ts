// A recording of several gateways as the player reads it: times, places, gaps, growth, the file.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Joined } from "../src/playback/joined.ts";
import { lastAt } from "../src/playback/recording.ts";
import { search } from "../src/playback/search.ts";
import { Kept, type Source } from "../src/playback/source.ts";
import { verdictOf } from "../src/playback/verified.tsx";

/** A part: output at these seconds, and a keyframe in its middle. */
function part(name: string, from: number, texts: string[], change: Partial<Source> = {}): Source {
  const events = texts.map((text, n) => ({ at: from + n, code: "o", text }));
  const half = Math.ceil(events.length / 2);
  const gap = { at: from, code: "m", text: "gap: in the part before" };
  const frame = { offset: 0, cols: 80, rows: 24, screen: 0, length: 0 };
  return {
    keyframes: [
      { ...frame, at: 0 },
      { ...frame, at: from + half },
    ],
    end: from + texts.length - 1,
    markers: from > 0 ? [gap] : [],
    markersLeftOut: 1,
    bytes: 10,
    whole: true,
    finished: true,
    unreadable: 2,
    events: async (n) => (n === 0 ? events.slice(0, half) : events.slice(half)),
    screen: async (n) => (n === 0 ? "" : `${name} in the middle`),
    refresh: async () => false,
    text: async () => `header of ${name}\n${texts.map((text) => `${text}\n`).join("")}`,
    parts: [{ name, isHere: true }],
    ...change,
  };
}

function joined(...sources: (Source | null)[]): Joined {
  const all = new Joined({ kept: new Kept(), left: 0 });
  all.take(sources.map((source, n) => ({ name: n === 0 ? "s" : `s.${n + 1}`, source })));
  return all;
}

const ONE = part("one", 0, ["a", "b", "c", "d"]);
const TWO = part("two", 10, ["e", "f", "g", "h"]);

test("moments of all parts are found, each in its own part", async () => {
  const all = joined(ONE, TWO);
  assert.deepEqual(
    all.keyframes.map(({ at, begins }) => [at, begins]),
    [
      [0, false],
      [2, false],
      [10, true],
      [12, false],
    ],
  );
  assert.equal(all.end, 13);
  // Between the parts the last screen of the first one is shown.
  assert.equal(lastAt(all.keyframes, 9), 1);
  const texts = await Promise.all([0, 1, 2, 3, 4].map((n) => all.events(n)));
  assert.deepEqual(
    texts.map((events) => events.map((event) => event.text).join("")),
    ["ab", "cd", "ef", "gh", ""],
  );
  assert.equal(await all.screen(3), "two in the middle");
  assert.deepEqual([all.bytes, all.unreadable, all.markersLeftOut, all.whole], [20, 4, 2, true]);
});

test("a part that is missing is a gap with its number, and the others are played", async () => {
  const last = joined(ONE, TWO, null);
  assert.deepEqual(
    last.markers.map(({ at, text }) => [at, text]),
    [
      [10, "gap: in the part before"],
      [13, "gap: part 3 of the recording is missing"],
    ],
  );
  assert.equal(lastAt(last.keyframes, last.end), 3, "the end shows the last screen");
  const first = joined(null, TWO);
  assert.equal(first.markers[0]?.text, "gap: part 1 of the recording is missing");
  assert.equal(first.keyframes[0]?.at, 0);
  assert.deepEqual(
    first.parts.map(({ name, isHere }) => [name, isHere]),
    [
      ["s", false],
      ["s.2", true],
    ],
  );
  assert.deepEqual(joined(null).keyframes, []);
});

test("time does not run back where two parts meet", async () => {
  const early = part("two", 2, ["e", "f", "g", "h"]);
  const all = joined(ONE, early);
  const times = all.keyframes.map(({ at }) => at);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  assert.deepEqual(
    (await all.events(2)).map(({ at }) => at),
    [3, 3],
  );
  assert.equal(all.markers[0]?.at, 3);
});

test("the search goes through all parts, one by one", async () => {
  const all = joined(part("one", 0, ["nee", "x"]), part("two", 10, ["dle", "needle"]));
  const find = (text: string) =>
    search(
      all,
      text,
      null,
      () => false,
      () => undefined,
    );
  assert.equal((await find("needle"))?.at, 11);
  assert.equal((await find("needxdle")), null);
});

test("a file of all parts has one header", async () => {
  assert.equal(await joined(ONE, TWO).text(), "header of one\na\nb\nc\nd\ne\nf\ng\nh\n");
});

test("a recording grows at its last part alone, and is finished when that is", async () => {
  let asked = 0;
  const grows = part("two", 10, ["e"], {
    finished: false,
    refresh: async () => {
      asked += 1;
      return true;
    },
  });
  const all = joined(ONE, grows);
  assert.equal(all.finished, false);
  assert.equal(await all.refresh(), true);
  assert.equal(asked, 1);
  assert.equal(joined(ONE, TWO).finished, true);
  assert.equal(await joined(ONE, TWO).refresh(), false);
});

test("what was read is kept for all parts together, the youngest first", async () => {
  const kept = new Kept();
  const reads: string[] = [];
  const read = (name: string) =>
    kept.of(name, async () => {
      reads.push(name);
      return [];
    });
  for (const name of ["a", "b", "c", "d", "e", "f", "a", "g", "a", "b"]) await read(name);
  assert.deepEqual(reads, ["a", "b", "c", "d", "e", "f", "g", "b"]);
});

test("the check of a recording is that of all its parts", () => {
  const whole = { State: "Whole", Checked: 9, Size: 9, Lines: 5, Gaps: 1 };
  assert.match(verdictOf([whole]), /^Verified: all 5 records.*1 gap\b/);
  assert.match(verdictOf([whole, whole]), /^Verified: all 10 records.*2 gaps.*2 gateways recorded/);
  assert.match(verdictOf([whole, { ...whole, State: "SoFar" }]), /^Verified so far: 10 records/);
  const faulty = { State: "Faulty", Checked: 9, Size: 9, Fault: "record 3 was changed" };
  assert.equal(verdictOf([faulty]), "NOT verified: record 3 was changed.");
  assert.equal(verdictOf([whole, faulty]), "NOT verified: part 2: record 3 was changed.");
  const silent = /^A further part may be missing: .* b\. It is NOT verified\. Verified/;
  assert.match(verdictOf([whole], ["b"]), silent);
  assert.match(verdictOf([null, whole]), /^Only 1 of 2 parts .* the others are NOT verified/);
});
