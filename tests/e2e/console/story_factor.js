// A user makes one-time codes in the console, and policies want a fresh second factor: the page asks in a
// dialog, makes the same request again, and leaves it where the user gives no code.
//
// Environment: that of story.js without TOWLINE_NAME, for a user who needs a fresh second factor for
// sessions.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { codeOf, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;

/** The step of the last code that was given: a code is used once. */
let last = 0;

/**
 * A code that was not given before and will be taken: of the step before this one, this one or the
 * next. One of the step before is not given in the last seconds in which it is taken.
 */
async function given(secret) {
  const now = () => Date.now() / 30_000;
  const oldest = Math.floor(now() + 1 / 3) - 1;
  last = Math.max(last + 1, oldest);
  await eventually("the code's time has come", () => last <= Math.floor(now()) + 1);
  return codeOf(secret, last - Math.floor(now()));
}

story(async (page, context) => {
  await signIn(page);
  const secret = await made(page);
  await listed(page, secret);
  await anew(page);
  await opened(page, secret);
  await inAnotherTab(page, context);
});

/** Looks at a page in both languages. */
async function inBoth(page, name) {
  await axe(page, name);
  await page.click("text=한국어");
  await axe(page, `${name}, Korean`);
  await page.click("text=English");
}

async function made(page) {
  step("the page of one-time codes, in each of its states");
  await page.click("header a.who");
  await page.locator('main[data-factor="none"]').waitFor();
  await inBoth(page, "second factor, none");
  await page.click("text=Create one-time codes");
  await page.locator("svg.qr").waitFor();
  await inBoth(page, "second factor, created");
  const secret = await page.locator(".secret code").textContent();
  const enable = async (code) => {
    await page.fill('form[data-form="enable"] input', code);
    await page.keyboard.press("Enter");
  };
  await enable("000000");
  await page.locator('[role="alert"]', { hasText: "MultiFactorAuthentication failed" }).waitFor();
  await inBoth(page, "second factor, a wrong code");
  await enable(await given(secret));
  await page.locator('main[data-factor="enabled"][data-proved="false"]').waitFor();
  assert.equal(await page.locator(".secret").count(), 0, "the secret is not shown any more");
  await inBoth(page, "second factor, enabled");
  return secret;
}

async function listed(page, secret) {
  step("a list is refused: the question, left with Escape, leaves the refusal and a button");
  await page.evaluate(() => (location.hash = "#/sessions"));
  const dialog = page.locator("dialog", { hasText: "A second factor is needed" });
  await dialog.waitFor();
  step("a reload in the question asks again; the back button takes it back");
  await page.reload();
  await dialog.waitFor();
  await page.goBack();
  await page.locator('main[data-factor="enabled"]').waitFor();
  assert.equal(await dialog.count(), 0);
  await page.goForward();
  await dialog.waitFor();
  await axe(page, "the question for a code");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const refusal = page.locator(".refusal", { hasText: "ssm:DescribeSessions" });
  await refusal.waitFor();
  await inBoth(page, "refused, a second factor would help");

  step("a wrong code is refused in words, and proves nothing");
  await refusal.getByRole("button", { name: "Prove" }).click();
  await dialog.locator("input").fill("000000");
  await dialog.getByRole("button", { name: "Prove" }).click();
  await page.locator(".trouble", { hasText: "MultiFactorAuthentication failed" }).waitFor();
  assert.equal(await page.locator("main table").count(), 0);

  step("the right one, typed with a space and Enter, shows the list");
  await refusal.getByRole("button", { name: "Prove" }).click();
  const code = await given(secret);
  await dialog.locator("input").fill(`${code.slice(0, 3)} ${code.slice(3)}`);
  await page.keyboard.press("Enter");
  await page.locator("main h1", { hasText: "Sessions" }).waitFor();
  await refusal.waitFor({ state: "detached" });
}

async function anew(page) {
  step("a new sign-in has proved nothing; the question in Korean");
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await signIn(page);
  await page.click("text=한국어");
  await page.evaluate(() => (location.hash = "#/sessions"));
  const dialog = page.locator("dialog", { hasText: "2단계 인증이 필요합니다" });
  await dialog.waitFor();
  await axe(page, "the question for a code, Korean");
  await dialog.getByRole("button", { name: "취소" }).click();
  await page.locator(".refusal").waitFor();
  await page.click("text=English");
}

async function opened(page, secret) {
  step("a shell: one question, one code, and the shell opens");
  await page.goto(CONSOLE);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const dialog = page.locator("dialog", { hasText: "A second factor is needed" });
  await dialog.locator("input").fill(await given(secret));
  await page.keyboard.press("Enter");
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("echo proved-$((40+2))");
  await terminal.sees("proved-42");
  assert.equal(await dialog.count(), 0);
  await terminal.type("exit");
  await terminal.is("ended");
}

async function inAnotherTab(page, context) {
  step("another tab of the browser has it proved, too");
  const other = await context.newPage();
  await other.goto(`${CONSOLE}#/sessions`);
  await other.locator("main h1", { hasText: "Sessions" }).waitFor();
  await other.getByRole("status").first().waitFor({ state: "attached" });
  assert.equal(await other.locator("dialog").count(), 0);
  assert.equal(await other.locator(".refusal").count(), 0);
  await other.close();
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
}
