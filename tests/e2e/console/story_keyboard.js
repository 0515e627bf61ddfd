// A person without a pointer: signs in, opens a shell, leaves the terminal, runs a command, asks for
// access and decides, plays a recording. Nothing is clicked in this story.
//
// Environment: that of story.js without TOWLINE_NAME.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { eventually, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
/** Steps of Tab after which something is held to be out of reach. */
const MOST_TABS = 120;

story(async (page) => {
  await signedIn(page);
  const session = await shell(page);
  await command(page);
  await access(page);
  await recording(page, session);
  await others(page);
});

/** What has the keyboard: its name, and whether a person sees that. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent;
    const { outlineStyle } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return {
      name: (label || element.textContent || "").trim(),
      isMarked: outlineStyle !== "none" || element.tagName === "INPUT",
      isSeen: box.bottom > 0 && box.top < innerHeight,
    };
  });
}

/** Presses Tab until something with this name has the keyboard. */
async function reach(page, name, key = "Tab") {
  const seen = [];
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    await page.keyboard.press(key);
    const now = await focused(page);
    if (!now) continue;
    seen.push(now.name.slice(0, 30));
    assert.ok(now.name, `something without a name has the keyboard behind ${seen.at(-2)}`);
    if (now.name !== name && !(name instanceof RegExp && name.test(now.name))) continue;
    assert.ok(now.isMarked && now.isSeen, `${now.name} has the keyboard, and nobody sees it`);
    return;
  }
  throw new Error(`the keyboard does not reach ${name}: ${seen.join(" | ")}`);
}

async function act(page, name, key) {
  await reach(page, name, key);
  await page.keyboard.press("Enter");
}

/** Goes to a page by the navigation, from wherever the keyboard is. */
async function go(page, name, heading = name) {
  await act(page, name, "Shift+Tab");
  await page.locator("main h1", { hasText: heading }).waitFor();
  assert.match(await page.title(), new RegExp(`^${name} - `), "the title names the page");
}

async function signedIn(page) {
  step("sign-in");
  await page.goto(CONSOLE);
  await page.locator('input[name="key"]').waitFor();
  await reach(page, "Access key ID");
  await page.keyboard.type(env.TOWLINE_KEY);
  await reach(page, "Secret access key");
  await page.keyboard.type(env.TOWLINE_SECRET);
  await page.keyboard.press("Enter");
  await page.locator("h1", { hasText: "Devices" }).waitFor();
}

async function shell(page) {
  step("a shell: the terminal has the keyboard, and lets it go");
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).waitFor();
  await act(page, /^Open a shell on /);
  const terminal = new Terminal(page);
  await terminal.is("connected");
  const isIn = () => page.evaluate(() => document.activeElement.matches(".xterm-helper-textarea"));
  await eventually("the terminal has the keyboard", isIn);
  await page.keyboard.type("echo typed-$((40+2))\n");
  await terminal.sees("typed-42");
  await page.keyboard.press("Tab");
  assert.ok(await isIn(), "Tab is a key of the shell");
  await page.keyboard.press("Control+Shift+KeyF");
  await eventually("the search has the keyboard", async () => (await focused(page))?.name === "Find in the output");
  await page.keyboard.press("Escape");
  assert.ok(await isIn(), "Escape leads back to the terminal");
  await page.keyboard.press("Control+Shift+KeyF");
  await reach(page, "Ctrl-C");
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await act(page, "End");
  await terminal.is("ended");
  await act(page, "Back to the devices");
  await page.locator("main h1", { hasText: "Devices" }).waitFor();
  step("a page that comes has the keyboard when what had it is gone");
  await eventually("the page has it", () => page.evaluate(() => document.activeElement.matches("main, main *")));
  return session;
}

async function command(page) {
  step("a command on the device");
  await go(page, "Run command");
  await reach(page, /^Script/);
  await page.keyboard.type("echo ran-$((40+2))");
  await reach(page, "Devices by ID");
  await page.keyboard.type(env.TOWLINE_DEVICE);
  await act(page, "Run");
  await page.locator("pre", { hasText: "ran-42" }).waitFor();
}

async function access(page) {
  step("access is asked for");
  await go(page, "Access requests");
  await reach(page, /^Device/);
  await page.keyboard.type(env.TOWLINE_DEVICE);
  await reach(page, /^Reason/);
  await page.keyboard.type("pump 7 leaks");
  await page.keyboard.press("Enter");
  await page.locator("text=pump 7 leaks").first().waitFor();
}

async function recording(page, session) {
  step("the recording is found, played and searched");
  await go(page, "Sessions");
  await reach(page, /^State/);
  await page.keyboard.press("End");
  await act(page, "Show");
  await act(page, `Recording of ${session}`);
  await page.locator(".timeline").waitFor();
  await act(page, "Play");
  await page.locator(".recorded .xterm-rows", { hasText: "typed-42" }).waitFor();
  await reach(page, "Position");
  await page.keyboard.press("Home");
  await page.locator(".recorded .xterm-rows").filter({ hasNotText: "typed-42" }).waitFor();
  await reach(page, "Search what the screen showed");
  await page.keyboard.type("typed-42\n");
  await page.locator("[role=status]", { hasText: "Found at" }).waitFor();
}

async function others(page) {
  step("with colours of the user and less motion, nothing is lost");
  await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
  await axe(page, "a recording, forced colours");
  await page.goto(`${CONSOLE}#/shell/${env.TOWLINE_DEVICE}`);
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await page.keyboard.press("Control+Shift+Enter");
  await eventually("two tabs", async () => (await page.getByRole("tab").count()) === 2);
  await terminal.is("connected");
  const border = await page.locator('[aria-selected="true"]').evaluate((tab) => getComputedStyle(tab).borderTopWidth);
  assert.equal(border, "3px", "the tab in front is told by more than its background");
  const blinks = () => page.locator(".pane.active .xterm-cursor-blink").count();
  assert.equal(await blinks(), 0, "the cursor blinks");
}
