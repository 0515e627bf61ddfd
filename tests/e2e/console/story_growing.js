// The recording of a session that goes on: longer than a page holds, played from any moment; what is
// added meanwhile comes into the page.
//
// Environment: that of story.js without TOWLINE_NAME.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
/** More than 16 Mi characters: what the page holds of a recording without an index. */
const LINES = 260_000;

story(async (page, context) => {
  await signIn(page);
  const terminal = await filled(page);
  const player = await opened(page, context);
  await jumped(player);
  await grew(player, terminal);
  await ended(player, terminal);
  await foundAmongAll(player);
});

async function filled(page) {
  step(`a shell prints ${LINES} lines, and goes on`);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("echo first''-words");
  await terminal.sees("first-words");
  await terminal.type(`seq -f 'line %.0f of many lines, each of which has about seventy characters' ${LINES}; echo printed-$((40+2))`);
  await terminal.sees("printed-42");
  return terminal;
}

async function opened(page, context) {
  step("its recording has an index while the session goes on");
  const session = await page.locator(".panel:not(.behind) .pane.active").getAttribute("data-session");
  const player = await context.newPage();
  await player.goto(`${env.TOWLINE_ORIGIN}/console/#/recording/${session}`);
  await player.locator(".recorded .xterm-rows").waitFor();
  await player.locator("text=The session goes on").waitFor();
  assert.equal(await player.locator("text=Only the beginning is shown").count(), 0);
  await axe(player, "player of an open session");
  return player;
}

const seconds = (player) => player.locator(".timeline").evaluate((line) => Number(line.max));
const shown = (player) => player.locator(".recorded .xterm-rows").textContent();

async function seek(player, share) {
  const to = (await seconds(player)) * share;
  await player.locator(".timeline").evaluate((line, at) => {
    line.value = String(at);
    line.dispatchEvent(new Event("input", { bubbles: true }));
  }, to);
}

async function jumped(player) {
  step("the search finds what scrolled by in the middle; the end is behind what a page holds");
  await player.getByRole("searchbox", { name: "Search what the screen showed" }).fill(`line ${LINES / 2} of`);
  await player.getByRole("button", { name: "Find next" }).click();
  await player.locator("[role=status]", { hasText: "Found at" }).waitFor();
  await eventually("all of it is in the index", async () => {
    await seek(player, 1);
    return (await shown(player)).includes("printed-42");
  });
  await seek(player, 0);
  await eventually("the beginning", async () => !(await shown(player)).includes("printed-42"));
}

async function grew(player, terminal) {
  step("what the shell prints now is added to the open page, and a search finds it");
  const before = await seconds(player);
  await terminal.page.bringToFront();
  await terminal.type("echo later''-words");
  await terminal.sees("later-words");
  await player.bringToFront();
  await eventually("the timeline is longer", async () => (await seconds(player)) > before);
  await eventually("the words are shown", async () => {
    await seek(player, 1);
    return (await shown(player)).includes("later-words");
  });
}

async function ended(player, terminal) {
  step("the session ends: the page goes on with the index that is kept");
  await terminal.page.bringToFront();
  await terminal.type("echo last''-words; exit");
  await terminal.is("ended");
  await player.bringToFront();
  await player.locator("text=The session goes on").waitFor({ state: "detached" });
  await seek(player, 1);
  await eventually("the last words", async () => (await shown(player)).includes("last-words"));
  await seek(player, 0.5);
  await eventually("the middle", async () => /line \d+ of many/.test(await shown(player)));
}

async function foundAmongAll(player) {
  step("the search over all recordings finds the session by what its screen showed, and leads to the moment");
  await player.goto(`${env.TOWLINE_ORIGIN}/console/#/executed`);
  await player.getByLabel("Search in").selectOption({ label: "what screens showed" });
  await player.getByRole("searchbox", { name: "Words" }).fill("later-words");
  await player.getByRole("button", { name: "Search", exact: true }).click();
  const link = player.locator('tbody a[href*="recording"]');
  await link.waitFor();
  await player.locator("[role=status]", { hasText: "1 found. 1 recording looked at." }).waitFor();
  await axe(player, "search of screens");
  await link.click();
  await eventually("the words are shown", async () => (await shown(player)).includes("later-words"));
  await player.goto(`${env.TOWLINE_ORIGIN}/console/#/executed?in=screens&words=never-shown`);
  await player.locator("[role=status]", { hasText: /^0 found\. 1 recording looked at\..*(?<!Searching…)$/ }).waitFor();
  assert.equal(await player.locator("tbody a").count(), 0);
}
