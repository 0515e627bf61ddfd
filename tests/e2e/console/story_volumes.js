// A large file on the screen of a terminal.
//
// Environment: that of story.js without TOWLINE_NAME; TOWLINE_SHARED, a folder that both ends see;
// TOWLINE_VOLUME_MB, how large the file is (64), and TOWLINE_STOP_MS, how long Ctrl-C may take (5000).
"use strict";

const assert = require("assert");
const { createWriteStream } = require("fs");
const { once } = require("events");
const { clock } = require("./bench_clock.js");
const { eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const MB = Number(env.TOWLINE_VOLUME_MB ?? 64);
const STOP_MS = Number(env.TOWLINE_STOP_MS ?? 5000);
/** How much the page may hold more after the large file than before it. */
const MOST_HEAP = 40_000_000;
const ROUNDS = 5;

story(async (page, context) => {
  await context.addInitScript(clock);
  await signIn(page);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await interrupted(page, terminal);
});

/** Bytes of JavaScript that the page holds, after a collection. */
async function memory(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize = 0 } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize + backingStorageSize;
}

async function interrupted(page, terminal) {
  step(`\`cat\` of ${MB} MB: the page answers meanwhile, Ctrl-C is obeyed at once, memory is flat`);
  const path = `${env.TOWLINE_SHARED}/large`;
  const file = createWriteStream(path);
  const block = "a line of a large file that a shell prints on a screen, seventy-nine long now.\n".repeat(12_500);
  for (let mb = 0; mb < MB; mb += 1) if (!file.write(block)) await once(file, "drain");
  file.end();
  await once(file, "close");
  await terminal.type("clear");
  const before = await memory(page);
  const stops = [];
  let [longest, most] = [0, 0];
  for (let round = 1; round <= ROUNDS; round += 1) {
    await page.evaluate(() => {
      window.gaps = { last: performance.now(), longest: 0, over: false };
      const look = (now) => {
        window.gaps.longest = Math.max(window.gaps.longest, now - window.gaps.last);
        window.gaps.last = now;
        if (!window.gaps.over) requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    await terminal.type(`sh -c 'trap : INT; cat ${path}; echo stopped-$?-${round}.'`);
    await terminal.sees("seventy-nine");
    most = Math.max(most, await memory(page));
    stops.push(await stopped(page, `stopped-130-${round}.`));
    longest = Math.max(longest, await page.evaluate(() => ((window.gaps.over = true), window.gaps.longest)));
    await terminal.type("clear");
    await eventually("a clear screen", async () => !(await terminal.rows()).join("").includes("stopped"));
  }
  stops.sort((a, b) => a - b);
  const median = stops[Math.floor(ROUNDS / 2)];
  step(`  Ctrl-C: p50 ${Math.round(median)} ms, worst ${Math.round(stops.at(-1))} ms; longest time without a frame ${Math.round(longest)} ms; heap ${before} -> ${most}`);
  assert.ok(median <= STOP_MS, `Ctrl-C took ${median} ms`);
  assert.ok(most - before < MOST_HEAP, `${before} -> ${most}`);
}

/** Presses Ctrl-C; milliseconds until the screen shows that `cat` was ended by it. */
async function stopped(page, word) {
  await page.evaluate((word) => {
    window.bench.pending = window.bench.until("keydown", word, 60_000);
  }, word);
  await page.keyboard.press("Control+KeyC");
  return page.evaluate(() => window.bench.pending);
}
