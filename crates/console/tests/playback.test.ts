// Recordings as the player reads them: blocks, lines, sizes, times, the search.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { readTable, tableAt } from "../src/playback/index_file.ts";
import { type Hit, search } from "../src/playback/search.ts";
import type { Source } from "../src/playback/source.ts";
import { programs } from "../src/playback/programs.ts";
import {
  bounded,
  clock,
  lastAt,
  members,
  parse,
  plain,
  sizeOf,
  textOf,
  upTo,
} from "../src/playback/recording.ts";
import { FINISHED } from "./finished.ts";

/** A block as the gateway writes one. */
function block(text: string): Uint8Array {
  const member = gzipSync(text, { level: 1 });
  member.set([4, 255], 8);
  return member;
}

const HEADER = '{"version":2,"width":80,"height":24,"timestamp":1}\n';
const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

test("blocks are read as one text, which is cut where a block is not whole", async () => {
  const [one, two] = [block(HEADER), block('[1.0,"o","é"]\n')];
  assert.equal(members(joined(one, two)).length, 2);
  const all = await textOf(joined(one, two));
  assert.deepEqual(all, { text: `${HEADER}[1.0,"o","é"]\n`, whole: true });
  for (const cut of [1, 9, two.length - 11]) {
    assert.deepEqual(await textOf(joined(one, two.subarray(0, -cut))), {
      text: HEADER,
      whole: false,
    });
  }
});

test("lines that are no events are counted, seals are passed over, time never runs back", () => {
  const lines = [
    '[2,"o","a"]',
    '[1,"o","b"]',
    '[3,"z","seal"]',
    "[4]",
    '[-1,"o","x"]',
    "}{",
    '["1","o","x"]',
  ];
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
  assert.deepEqual(
    [0, 1, 4.9, 5, 9].map((at) => upTo(events, at)),
    [1, 3, 3, 4, 4],
  );
  assert.equal(upTo([], 3), 0);
  assert.deepEqual(
    [0, 1, 4.9, 9].map((at) => lastAt(events, at)),
    [0, 2, 2, 3],
  );
  assert.equal(lastAt([{ at: 2 }], 1), 0);
});

test("output loses its control sequences when it is saved as text", () => {
  assert.equal(plain("\x1b]52;c;error\x07\x1b]8;;javascript:error\x1b\\link\x1b[31m!"), "link!");
});

/** A recording of these parts, each with a screen to begin with. */
function shown(parts: { screen?: string; output: string[] }[]): Source {
  const keyframes = parts.map((_, at) => ({
    at,
    offset: at,
    cols: 20,
    rows: 5,
    screen: 0,
    length: 0,
  }));
  const events = (n: number) =>
    parts[n]?.output.map((text, at) => ({ at: n + at, code: "o", text })) ?? [];
  return {
    keyframes,
    ...FINISHED,
    events: async (n) => events(n),
    screen: async (n) => parts[n]?.screen ?? "",
    refresh: async () => false,
    text: async () => "",
    parts: [],
  };
}

test("of events that are drawn at once the search names the one with the text", async () => {
  const text = ["a", "b", "needle", "\r\n".repeat(9), "c"];
  const events = text.map((text) => ({ at: 1, code: "o", text }));
  const source = { ...shown([{ output: [] }]), events: async () => events };
  const hit = await search(
    source,
    "needle",
    null,
    () => false,
    () => undefined,
  );
  assert.deepEqual([hit?.event, hit?.at], [2, 1]);
});

test("the search finds words that were typed around, wrapped, scrolled away", async () => {
  const source = shown([
    {
      output: [
        "ne\x1b[31med\x1b[0mle\r\n",
        "worr\x1b[Dldly",
        "\r\n".repeat(9),
        "x".repeat(15) + "Far away",
        "\x1b[2J",
      ],
    },
    {
      screen: "kept in sight",
      output: [" and more", "\x1b[2J\x1b[Hhidden\rshown!\r\n", "top\r\n" + "\r\n".repeat(30)],
    },
  ]);
  const none = () => undefined;
  const find = async (text: string, from: Hit | null = null) => {
    const hit = await search(source, text, from, () => false, none);
    return hit && [hit.part, hit.event];
  };
  assert.deepEqual(await find("needle"), [0, 0]);
  assert.deepEqual(await find("worldly"), [0, 1]);
  assert.deepEqual(await find("worrldly"), null);
  assert.deepEqual(await find("far AWAY"), [0, 3]);
  assert.deepEqual(await find("hidden"), null);
  assert.deepEqual(await find("shown!"), [1, 1]);
  assert.deepEqual(await find("top"), [1, 2]);
  assert.deepEqual(await find("kept in sight"), null);
  assert.deepEqual(await find("needle", { part: 0, event: 0, at: 0 }), [0, 0]);
});

test("a time reads as a clock", () => {
  assert.deepEqual([0, 61.9, 3723].map(clock), ["0:00", "1:01", "1:02:03"]);
});

const frame = (at: number, offset: number) => ({
  at,
  offset,
  cols: 80,
  rows: 65535,
  screen: 24,
  length: 9,
});
const table = (change: object = {}) => ({
  bytes: 900,
  end: 3_500_000,
  keyframes: [frame(0, 0), frame(1_000_000, 300)],
  markers: [{ at: 2_000_000, text: "<b>ls</b>" }],
  ...change,
});
const read = (value: object) => readTable(new Uint8Array(gzipSync(JSON.stringify(value))));

test("an index says where drawing can begin; sizes are bounded and times are seconds", async () => {
  const index = await read(table());
  assert.deepEqual(index?.keyframes[1], {
    at: 1,
    offset: 300,
    cols: 80,
    rows: 200,
    screen: 24,
    length: 9,
  });
  assert.deepEqual([index?.end, index?.markers], [3.5, [{ at: 2, code: "m", text: "<b>ls</b>" }]]);
  const head = new Uint8Array(24);
  head.set(new TextEncoder().encode("TWLINDX1"));
  head.set([0, 1], 8);
  head.set([7], 16);
  assert.deepEqual(tableAt(head), { from: 256, to: 263 });
  assert.equal(tableAt(head.subarray(1)), null);
});

test("an index that lies about places is none", async () => {
  for (const keyframes of [
    [frame(0, 1)],
    [],
    [frame(0, 0), frame(5, 0)],
    [frame(0, 0), frame(1, 901)],
    [frame(0, 0), frame(2, 30), frame(1, 60)],
    [frame(0, 0), { ...frame(1, 30), screen: -1 }],
    [frame(0, 0), { ...frame(1, 30), length: "9" }],
  ]) {
    assert.equal(await read(table({ keyframes })), null, JSON.stringify(keyframes));
  }
  assert.equal(await readTable(new Uint8Array(gzipSync("{"))), null);
  assert.equal(await readTable(new Uint8Array([1, 2, 3])), null);
});

test("a marker is the next program of the log with its text, and says how it ended", () => {
  const marker = (text: string, at: number) => ({ at, code: "m", text });
  const markers = [
    "command log: x",
    "$ ls -l",
    "gap: lost",
    "$ false",
    "$ ls -l",
    "$ (process 7, arguments unknown)",
  ];
  const run = (words: string[], end: object) => ({ Kind: "Command", Arguments: words, ...end });
  const log = [
    { Kind: "Begin" },
    run(["ls", "-l"], { ExitCode: 0 }),
    run(["late"], { ExitCode: 9 }),
    run(["false"], { ExitCode: 1 }),
    run(["ls", "-l"], { Signal: 15 }),
    { Kind: "Command", Pid: 7 },
  ];
  const found = programs(markers.map(marker), log);
  assert.deepEqual(
    found.map((one) => one.exitCode ?? one.signal),
    [undefined, 0, undefined, 1, 15, undefined],
  );
  assert.deepEqual(
    found.map((one) => one.failed),
    [false, false, false, true, true, false],
  );
  assert.deepEqual(
    found.map((one) => one.gap),
    [false, false, true, false, false, false],
  );
  const long = ["echo", "x".repeat(300)];
  const cut = `$ ${long.join(" ")}`.slice(0, 202);
  for (const text of [`${cut}…`, cut, `${cut}… [/bin/echo]`]) {
    assert.equal(programs([marker(text, 0)], [run(long, { ExitCode: 3 })])[0]?.exitCode, 3);
  }
  assert.equal(
    programs([marker("$ true [/usr/bin/id]", 0)], [run(["true"], { ExitCode: 0 })])[0]?.exitCode,
    0,
  );
});
