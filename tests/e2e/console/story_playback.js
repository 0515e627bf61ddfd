// A long recording is played: from any moment, by link, by search and by marker.
//
// Environment: that of story.js, without TOWLINE_NAME and TOWLINE_DEVICE; TOWLINE_SESSION, and
// TOWLINE_MOMENTS, the number of moments in its recording, a hundredth of a second each; TOWLINE_MIB,
// its output.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { eventually, picture, signIn, step, story } = require("./browser.js");

const env = process.env;
const MOMENTS = Number(env.TOWLINE_MOMENTS);
const MIB = Number(env.TOWLINE_MIB);
const ADDRESS = `${env.TOWLINE_ORIGIN}/console/#/recording/${env.TOWLINE_SESSION}`;
const SEEKS = 50;
/** How long a search or a check of a recording of 1 GiB may take on a busy machine. */
const PATIENCE_MS = 600_000;

story(async (page) => {
  await signIn(page);
  await linked(page);
  await axe(page, "player of a long recording");
  await seeks(page);
  await played(page);
  await found(page);
  await verified(page);
  await searched(page);
  await picture(page, "playback");
});

/** Goes to a moment by the timeline; milliseconds until the screen shows it. */
function seek(page, moment) {
  return page.evaluate(
    ([at, wanted]) =>
      new Promise((resolve, reject) => {
        const timeline = document.querySelector(".timeline");
        const recorded = document.querySelector(".recorded");
        const began = performance.now();
        const look = () => {
          if (recorded.textContent.includes(wanted)) resolve(performance.now() - began);
          else if (performance.now() - began > 30_000) reject(new Error(`no ${wanted} on the screen`));
          else requestAnimationFrame(look);
        };
        timeline.value = String(at);
        timeline.dispatchEvent(new Event("input", { bubbles: true }));
        look();
      }),
    [moment / 100 + 0.005, `now-${moment}-`],
  );
}

/** Bytes of JavaScript that the page holds, after a collection. */
async function memory(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

async function linked(page) {
  step("a link to a moment shows that moment");
  const moment = Math.floor(MOMENTS / 200) * 100;
  await page.goto(`${ADDRESS}?t=${moment / 100}`);
  await page.locator(".recorded .xterm-rows", { hasText: `now-${moment}-` }).waitFor();
  step("a reload shows it again, also while it plays");
  await page.reload();
  await page.locator(".recorded .xterm-rows", { hasText: `now-${moment}-` }).waitFor();
  await page.getByRole("button", { name: "Play", exact: true }).click();
  await page.reload();
  await page.locator(".recorded .xterm-rows", { hasText: `now-${moment}-` }).waitFor();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator(".recorded img").count(), 0);
  assert.equal(await page.getByText("Only the beginning is shown").count(), 0);
}

async function seeks(page) {
  step(`${SEEKS} jumps anywhere in ${MOMENTS} moments`);
  await seek(page, 0);
  const before = await memory(page);
  const took = [];
  for (let n = 0; n < SEEKS; n += 1) {
    // Anywhere, the same places in each run.
    const moment = Math.floor((((n * 0.6180339887) % 1) * 0.98 + 0.01) * MOMENTS);
    took.push(await seek(page, moment));
  }
  took.sort((a, b) => a - b);
  const p95 = took[Math.ceil(SEEKS * 0.95) - 1];
  const grown = (await memory(page)) - before;
  step(`a jump: p50 ${took[SEEKS / 2].toFixed(0)} ms, p95 ${p95.toFixed(0)} ms; ${grown >> 10} KiB more memory`);
  assert.ok(grown < 24 * 1024 * 1024, `the page grew by ${grown} bytes`);
  const most = Number(env.TOWLINE_SEEK_MS ?? 2000);
  assert.ok(p95 <= most, `a jump takes ${p95} ms`);
}

async function played(page) {
  step("it plays on across keyframes, and a key pauses it");
  await seek(page, 100);
  await page.getByRole("combobox", { name: "Speed" }).selectOption("8");
  await page.getByRole("button", { name: "Play", exact: true }).click();
  const shown = async () => {
    const rows = await page.locator(".recorded .xterm-rows").textContent();
    return Number(rows.match(/now-(\d+)-/)?.[1] ?? 0);
  };
  await eventually("ten more seconds of the recording", async () => (await shown()) > 1100);
  await page.locator(".recorded").focus();
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Play", exact: true }).waitFor();
  const paused = await shown();
  await page.keyboard.press("ArrowLeft");
  await eventually("five seconds earlier", async () => (await shown()) < paused - 400);
}

async function found(page) {
  step("the search goes to a text in a later part; a marker goes to its moment");
  const moment = Math.floor(MOMENTS * 0.05) + 400;
  const near = await search(page, `now-${moment}-`, "Found at");
  await page.locator(".recorded .xterm-rows", { hasText: `now-${moment}-` }).waitFor();
  await page.getByRole("button", { name: "program-0" }).click();
  await page.locator(".recorded .xterm-rows", { hasText: "now-0-" }).waitFor();
  step("a text that is nowhere is looked for in all of it");
  const before = await memory(page);
  const far = await search(page, `now-${MOMENTS}-`, "did not show");
  const grown = (await memory(page)) - before;
  const speed = (MIB * 1000) / far;
  step(
    `a search: ${speed.toFixed(1)} MiB/s, ${(far / 1000).toFixed(1)} s through ${MIB} MiB; ${grown >> 10} KiB more memory`,
  );
  step(`  ${near.toFixed(0)} ms up to moment ${moment}`);
  assert.ok(grown < 24 * 1024 * 1024, `the page grew by ${grown} bytes`);

  step("a search says where it is, and is stopped");
  await page.getByRole("button", { name: "Find next" }).click();
  await page.locator("[role=status]", { hasText: /Searching at .* of / }).waitFor();
  await page.getByRole("button", { name: "Stop the search" }).click();
  await page.getByRole("button", { name: "Find next" }).waitFor();
  assert.equal(await page.locator("form.tools [role=status]").textContent(), "");
  await search(page, `now-${moment}-`, "Found at");
}

/** Searches for a text; milliseconds until the page says this of it. */
async function search(page, text, says) {
  const field = page.getByRole("searchbox", { name: "Search what the screen showed" });
  const began = performance.now();
  await field.fill(text);
  await page.getByRole("button", { name: "Find next" }).click();
  await page.locator("[role=status]", { hasText: says }).waitFor({ timeout: PATIENCE_MS });
  return performance.now() - began;
}

async function verified(page) {
  step("the gateway checks the seals, as `towline verify` does, and the page says what it checked");
  await page.getByRole("button", { name: "Verify" }).click();
  const sealed = page.locator("[role=status]", { hasText: "records are as they were sealed" });
  await sealed.waitFor({ timeout: PATIENCE_MS });
}

async function searched(page) {
  step("programs of all sessions are searched");
  await page.goto(`${env.TOWLINE_ORIGIN}/console/#/executed`);
  await page.getByRole("searchbox").fill("no-such-program");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.locator("[role=status]", { hasText: "0 found." }).waitFor();
  await axe(page, "search of programs");
  await page.setViewportSize({ width: 360, height: 640 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `the page is ${wide} pixels wide on a screen of 360`);
}
