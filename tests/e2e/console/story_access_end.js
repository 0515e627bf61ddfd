// A user works in a shell under access that was granted for a time: a bar above the terminal says when it
// ends. It moves with an extension, and is no part of the output.
//
// Environment: that of story.js without TOWLINE_NAME; TOWLINE_TEMPORARY_{KEY,SECRET,TOKEN} of the access,
// TOWLINE_REQUEST, its id; TOWLINE_ENDS, when sessions end with it. Asks for: `ends in SECONDS`, `extend`.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { ask, eventually, picture, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
const AFTER = env.TOWLINE_ENDS ? "this session ends with it" : "this session goes on";

story(async (page) => {
  await signedIn(page);
  const terminal = new Terminal(page);
  await warned(page, terminal);
  if (env.TOWLINE_ENDS) await over(page, terminal);
  else await after(page, terminal);
});

async function signedIn(page) {
  step("the credentials of the access sign in");
  await page.goto(CONSOLE);
  await page.fill('input[name="key"]', env.TOWLINE_TEMPORARY_KEY);
  await page.fill('input[name="secret"]', env.TOWLINE_TEMPORARY_SECRET);
  await page.click("summary");
  await page.fill('input[name="token"]', env.TOWLINE_TEMPORARY_TOKEN);
  await page.click('button[type="submit"]');
  await page.locator(".who").waitFor();
}

/** The bar says this. */
async function says(page, text) {
  const bar = page.locator(`.access-end[data-request="${env.TOWLINE_REQUEST}"]`);
  let last = "";
  await eventually(`the bar says ${text}`, async () => {
    last = (await bar.count()) > 0 ? await bar.textContent() : "";
    return last.includes(text);
  }).catch((error) => {
    throw new Error(`${error.message}; it says ${JSON.stringify(last)}`);
  });
}

async function warned(page, terminal) {
  step("a shell: the bar says when the access ends, and what becomes of the session");
  await page.goto(`${CONSOLE}#/shell/${env.TOWLINE_DEVICE}/pump`);
  await terminal.is("connected");
  await says(page, `Granted access ends in 15 min; ${AFTER}.`);
  assert.equal(await page.locator(".notices").getAttribute("role"), "status");
  await axe(page, "access ends");
  await picture(page, "access-ends");
  await page.click("text=한국어");
  await says(page, "승인된 액세스가 15분 후에 끝납니다");
  await axe(page, "access ends, Korean");
  await page.click("text=English");
  await ask("ends in 240");
  await says(page, `ends in 4 min; ${AFTER}`);

  step("a reload keeps it; a phone's screen shows it whole");
  await page.reload();
  await terminal.is("connected");
  await says(page, `ends in 4 min; ${AFTER}`);
  await page.setViewportSize({ width: 360, height: 640 });
  const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok((await wider()) <= 0, `wider by ${await wider()} pixels`);
  await page.setViewportSize({ width: 1100, height: 700 });

  step("an extension takes the bar away; a nearer end brings it back");
  await ask("extend");
  await page.locator(".access-end").waitFor({ state: "detached" });
  await ask("ends in 50");
  await says(page, `ends in 1 min; ${AFTER}`);
  const link = page.locator(".access-end a");
  assert.equal(await link.getAttribute("href"), `#/access?request=${env.TOWLINE_REQUEST}`);
}

async function after(page, terminal) {
  step("after the end the session goes on, and no new one opens");
  await ask("ends in 0");
  await says(page, "Granted access has ended; this session goes on.");
  await axe(page, "access has ended");
  await terminal.type("echo after-$((40+2))");
  await terminal.sees("after-42");
  assert.ok(!(await terminal.all()).includes("Granted access"), "the bar is no output");
}

async function over(page, terminal) {
  step("the session ends with the access, and says so");
  await ask("ends in 0");
  await terminal.is("ended");
  await page.locator("text=the access that was granted for it has ended").first().waitFor();
  await axe(page, "a session that ended with its access");
}
