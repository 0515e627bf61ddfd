// A recording of two gateways is played as one: jumps, search, gaps, file and check go over both
// parts. Then one of the gateways is gone, and its part with it.
//
// Environment: that of story.js, without TOWLINE_NAME and TOWLINE_DEVICE; TOWLINE_SESSION. `ask kill`
// ends the gateway that has the second part.
"use strict";

const assert = require("assert");
const { readFileSync } = require("fs");
const { axe } = require("./axe.js");
const { ask, eventually, signIn, step, story } = require("./browser.js");

const env = process.env;
const ADDRESS = `${env.TOWLINE_ORIGIN}/console/#/recording/${env.TOWLINE_SESSION}`;

story(async (page) => {
  await signIn(page);
  await whole(page);
  await without(page);
});

const screen = (page) => page.locator(".recorded .xterm-rows");
const status = (page, text) => page.locator("[role=status]", { hasText: text }).waitFor();

/** Opens the recording, once its list has a gap with these words. */
async function opened(page, marker) {
  await eventually(`the recording names ${marker}`, async () => {
    await page.goto("about:blank");
    await page.goto(ADDRESS);
    await page.locator(".markers li, .player .trouble").first().waitFor();
    return (await page.locator(".markers li", { hasText: marker }).count()) === 1;
  }).catch(async (error) => {
    throw new Error(`${error.message}; the page:\n${await page.locator("main").innerText()}`);
  });
}

async function find(page, text) {
  await page.getByRole("searchbox", { name: "Search what the screen showed" }).fill(text);
  await page.getByRole("button", { name: "Find next" }).click();
}

async function whole(page) {
  step("the second part is a gap with words, behind the first one");
  await opened(page, "in the part before");
  assert.equal(await page.locator("[data-missing]").count(), 0);
  step("the search finds what either part shows");
  await find(page, "at_b42");
  await status(page, "Found at");
  await screen(page).filter({ hasText: "at_b42" }).filter({ hasNotText: "at_a42" }).waitFor();
  await find(page, "at_a42");
  await status(page, "Found at");
  await screen(page).filter({ hasText: "at_a42" }).filter({ hasNotText: "at_b42" }).waitFor();
  step("it plays from one part into the other");
  await page.getByRole("combobox", { name: "Speed" }).selectOption("32");
  await page.getByRole("button", { name: "Play", exact: true }).click();
  await screen(page).filter({ hasText: "at_b42" }).filter({ hasNotText: "at_a42" }).waitFor();
  step("the gap is a place to go to; the file has both parts, and the check looks at both");
  await page.locator(".markers button", { hasText: "in the part before" }).click();
  await screen(page).filter({ hasNotText: "at_a42" }).waitFor();
  const waits = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download as text" }).click();
  const text = readFileSync(await (await waits).path(), "utf8");
  assert.ok(text.indexOf("at_a42") >= 0 && text.indexOf("at_b42") > text.indexOf("at_a42"), text);
  await page.getByRole("button", { name: "Verify" }).click();
  await status(page, "2 gateways recorded it");
  await axe(page, "a recording of two gateways");
}

async function without(page) {
  step("the gateway with the second part is gone: the gap has its number, the first part is played");
  await ask("kill");
  await opened(page, "part 2 of the recording is missing");
  await page.locator("[data-missing]", { hasText: "Part 2 of 2" }).waitFor();
  await find(page, "at_a42");
  await status(page, "Found at");
  await screen(page).filter({ hasText: "at_a42" }).waitFor();
  await page.getByRole("button", { name: "Verify" }).click();
  await status(page, "Only 1 of 2 parts");
  await axe(page, "a recording with a part that is missing");
}
