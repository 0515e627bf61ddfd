// Recordings as the player reads them: blocks, lines, sizes, times, the search.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { bounded, clock, find, members, parse, plain, sizeOf, textOf, upTo } from "../src/playback/recording.ts";

/** A block as the gateway writes one. */
function block(text: string): Uint8Array {
  const member = gzipSync(text, { level: 1 });
  member.set([4, 255], 8);
  return member;
}

const HEADER = '{"version":2,"width":80,"height":24,"timestamp":1}\n';
const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

test("a recording of several blocks is read as one text, and cut where a block is not whole", async () => {
  const [one, two] = [block(HEADER), block('[1.0,"o","é"]\n')];
  assert.equal(members(joined(one, two)).length, 2);
  const all = await textOf(joined(one, two));
  assert.deepEqual(all, { text: `${HEADER}[1.0,"o","é"]\n`, whole: true });
  for (const cut of [1, 9, two.length - 11]) {
    assert.deepEqual(await textOf(joined(one, two.subarray(0, -cut))), { text: HEADER, whole: false });
  }
});

test("lines that are no events are counted, seals are passed over, time never runs back", () => {
  const lines = ['[2,"o","a"]', '[1,"o","b"]', '[3,"z","seal"]', "[4]", '[-1,"o","x"]', "}{", '["1","o","x"]'];
  const recording = parse(HEADER + lines.join("\n"));
  assert.deepEqual(recording?.events, [
    { at: 2, code: "o", text: "a" },
    { at: 2, code: "o", text: "b" },
  ]);
  assert.equal(recording?.unreadable, 4);
  assert.equal(parse("not a header\n"), null);
  assert.equal(parse("null\n"), null);
});

test("no size that a recording names is beyond the bound", () => {
  assert.deepEqual(sizeOf("0x0"), { cols: 80, rows: 24 });
  assert.deepEqual(sizeOf("65535x65535"), { cols: 500, rows: 200 });
  assert.deepEqual(sizeOf("x"), { cols: 80, rows: 24 });
  assert.deepEqual(sizeOf("120x40"), { cols: 120, rows: 40 });
  assert.deepEqual(bounded(Number.NaN, Infinity), { cols: 80, rows: 24 });
});

test("a time names the events at or before it", () => {
  const events = [0, 1, 1, 5].map((at) => ({ at, code: "o", text: "" }));
  assert.deepEqual([0, 1, 4.9, 5, 9].map((at) => upTo(events, at)), [1, 3, 3, 4, 4]);
  assert.equal(upTo([], 3), 0);
});

test("the search looks at output without its control sequences", () => {
  const events = [
    { at: 0, code: "m", text: "error" },
    { at: 1, code: "o", text: "\x1b[31mEr\x1b[0mror\r\n" },
    { at: 2, code: "o", text: "\x1b]52;c;error\x07\x1b]8;;javascript:error\x1b\\link" },
  ];
  assert.equal(find(events, "error", 0), 1);
  assert.equal(find(events, "error", 2), -1);
  assert.equal(plain(events[2]?.text ?? ""), "link");
});

test("a time reads as a clock", () => {
  assert.deepEqual([0, 61.9, 3723].map(clock), ["0:00", "1:01", "1:02:03"]);
});
