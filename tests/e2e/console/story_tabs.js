// Several shells in one page: tabs and splits by keyboard and by buttons; a reload in the middle of
// output returns to all of them by position.
//
// Environment: that of story.js, without TOWLINE_NAME.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { ask, eventually, picture, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const { TOWLINE_DEVICE: DEVICE } = process.env;
const LINES = 200;

story(async (page, context) => {
  await signIn(page);
  await page.locator(`[data-device="${DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await opened(page, terminal);
  await reloaded(page);
  await small(page);
  await left(page, terminal);
  await signedOut(page);
  await signedOutElsewhere(page, context);
});

/** The loop of a shell: its lines carry its name. */
const loop = (name) =>
  `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo ${name}$i.; sleep 0.02; done; echo ${name}-''over`;

const tabs = (page) => page.getByRole("tab");
const panes = (page) => page.locator(".panel:not(.behind) .pane");

async function opened(page, terminal) {
  step("a split by a button, another by the keyboard, a tab by the keyboard: each is a session");
  await terminal.type("export NAME=first");
  await page.getByRole("button", { name: "Split right" }).click();
  await eventually("two beside each other", async () => (await panes(page).count()) === 2);
  await terminal.is("connected");
  await terminal.type("export NAME=second");
  await page.keyboard.press("Control+Shift+KeyO");
  await eventually("three in the tab", async () => (await panes(page).count()) === 3);
  await terminal.is("connected");
  await terminal.type("export NAME=third; echo third-$((6*7))");
  await terminal.sees("third-42");
  await axe(page, "splits");
  await page.keyboard.press("Control+Shift+Enter");
  await eventually("a second tab", async () => (await tabs(page).count()) === 2);
  await terminal.is("connected");
  await terminal.type("export NAME=fourth");
  const sessions = await page.locator(".pane").evaluateAll((all) => all.map((one) => one.dataset.session));
  assert.equal(new Set(sessions).size, 4, sessions.join(" "));

  step("the keyboard goes through tabs and splits; what is typed goes to one shell alone");
  await page.keyboard.press("Control+Shift+ArrowLeft");
  await terminal.type("echo $NAME-$((40+2))");
  await terminal.sees("third-42");
  await page.keyboard.press("Control+Shift+ArrowUp");
  await terminal.type("echo $NAME-$((40+3))");
  await terminal.sees("second-43");
  await panes(page).first().locator(".screen").click();
  await terminal.type("echo $NAME-$((40+4))");
  await terminal.sees("first-44");
  await tabs(page).first().focus();
  await page.keyboard.press("ArrowRight");
  await tabs(page).nth(1).and(page.locator('[aria-selected="true"]:focus')).waitFor();
  await terminal.type("echo $NAME-$((40+5))");
  await terminal.sees("fourth-45");
  await axe(page, "tabs");
}

async function reloaded(page) {
  step("a reload in the middle of the output of all shells: each line once, in each of them");
  const sessions = await page.locator(".pane").evaluateAll((all) => all.map((one) => one.dataset.session));
  const all = sessions.map((session) => new Terminal(page, `.pane[data-session="${session}"]`));
  for (const [at, one] of all.entries()) {
    await show(page, sessions[at]);
    await one.type(loop(`s${at}x`));
    await one.sees(`s${at}x10.`);
  }
  await page.reload();
  await eventually("two tabs again", async () => (await tabs(page).count()) === 2);
  await ask("cut");
  for (const [at, one] of all.entries()) {
    await one.is("connected");
    await one.sees(`s${at}x-over`);
    await one.hasEachOnce(`s${at}x`, LINES);
  }
  assert.equal(await panes(page).count(), 1, "the tab that was in front is in front");
  assert.equal(page.url().split("/").pop(), sessions[3], "the address names the shell in front");
  await picture(page, "tabs");
}

/** Brings a session to the front, and types into it. */
async function show(page, session) {
  const tab = await page
    .locator(`.panel:has(.pane[data-session="${session}"])`)
    .getAttribute("aria-labelledby");
  await page.locator(`#${tab}`).click();
  await page.locator(`.pane[data-session="${session}"] .xterm-helper-textarea`).focus();
}

async function small(page) {
  step("a phone's screen: the terminals of a tab stand below each other, and nothing is too wide");
  await page.setViewportSize({ width: 360, height: 740 });
  await tabs(page).first().click();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is wider by ${wide} pixels`);
  const boxes = await panes(page).evaluateAll((all) =>
    all.map((one) => one.getBoundingClientRect()).map(({ left, top }) => [left, Math.round(top)]),
  );
  assert.equal(new Set(boxes.map(([left]) => left)).size, 1, JSON.stringify(boxes));
  assert.equal(new Set(boxes.map(([, top]) => top)).size, 3, JSON.stringify(boxes));
  await axe(page, "splits on a phone");
  await page.setViewportSize({ width: 1100, height: 700 });
}

async function left(page, terminal) {
  step("a shell that ends is closed, one is detached; another page and back finds the others");
  await terminal.type("exit");
  await terminal.is("ended");
  await page.locator(".pane.active").getByRole("button", { name: "Close" }).first().click();
  await eventually("two in the tab", async () => (await panes(page).count()) === 2);
  await page.click("nav >> text=Sessions");
  await page.locator("h1", { hasText: "Sessions" }).waitFor();
  await page.goBack();
  await eventually("two in the tab again", async () => (await panes(page).count()) === 2);
  await terminal.is("connected");
  await page.locator(".panel:not(.behind) .pane.active").getByRole("button", { name: "Detach" }).click();
  await eventually("one in the tab", async () => (await panes(page).count()) === 1);
  await terminal.is("connected");
  await page.click("header >> text=Towline");
  await page.locator(".own li").nth(2).waitFor();
  await page.goBack();
  await eventually("two tabs still", async () => (await tabs(page).count()) === 2);
}

async function signedOut(page) {
  step("signed out with the shells ended: none is left on the device or in the browser");
  for (const pane of await page.locator(".pane").all()) {
    await pane.locator('[data-status="connected"]').waitFor({ state: "attached" });
  }
  await page.click("text=Sign out");
  await page.locator("dialog").getByRole("button").first().click();
  await page.locator('input[name="key"]').waitFor();
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  await signIn(page);
  await eventually("only the detached shell is left", async () => (await page.locator(".own li").count()) === 1);
}

async function signedOutElsewhere(page, context) {
  step("signed out in another tab: no screen of the user stays in this one, and nothing is stored");
  await page.locator(`[data-device="${DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("echo private-$((40+2))");
  await terminal.sees("private-42");
  const other = await context.newPage();
  await other.goto(`${process.env.TOWLINE_ORIGIN}/console/`);
  await other.click("text=Sign out");
  // The terminal of the other tab is asked about here.
  await other.locator("dialog", { hasText: "1 shell is open in this browser" }).waitFor();
  await other.getByRole("button", { name: "End", exact: true }).click();
  await other.locator('input[name="key"]').waitFor();
  await page.bringToFront();
  await page.locator('input[name="key"]').waitFor();
  await eventually("no terminal is left", async () => (await page.locator(".pane").count()) === 0);
  assert.ok(!(await page.content()).includes("private-42"));
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  assert.equal(new URL(page.url()).hash, "#/", "the next user is not asked to return to it");

  step("a sign-in in one tab is that of the others; the shell that was to be ended has ended");
  await signIn(other);
  await page.locator("h1", { hasText: "Devices" }).waitFor();
  await page.locator(".own li").first().waitFor();
  assert.equal(await page.locator(".own li").count(), 1, "the detached shell is the only one");
}
