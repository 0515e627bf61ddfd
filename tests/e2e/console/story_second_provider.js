// People sign in to the console through a second real provider (nanoidp), with and without a second factor
// there; who is in no group is turned away in words.
//
// Environment: as story.js. The provider knows `ann` and `kim` of the group "ops", and `eve` of none; `kim`
// has an authenticator.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { codeOf, step, story } = require("./browser.js");

const CONSOLE = `${process.env.TOWLINE_ORIGIN}/console/`;
/** That of nano_provider.py. */
const TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/** Fills the provider's forms in. */
async function atProvider(page, person, code) {
  await page.fill('input[name="username"]', person);
  await page.fill('input[name="password"]', "x");
  await page.click('form:has(input[name="password"]) button[type="submit"]');
  if (!code) return;
  await page.fill('input[name="totp_code"]', code);
  await page.click('form:has(input[name="totp_code"]) button[type="submit"]');
}

async function signedOut(page, context) {
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await context.clearCookies();
  await page.goto("about:blank"); // what the page still does after a sign-out leads nowhere
}

story(async (page, context) => {
  // The provider's pages ask for styles of a network that is not there.
  await context.route(/^https?:\/\/(?!127\.0\.0\.1)/, (route) => route.abort());
  step("a person signs in and has the role of her group");
  await page.goto(`${CONSOLE}#/device/${process.env.TOWLINE_DEVICE}`);
  await page.click("text=Sign in with corp");
  await atProvider(page, "ann");
  await page.locator(".who", { hasText: "Signed in as ann" }).waitFor();
  assert.equal(page.url(), `${CONSOLE}#/device/${process.env.TOWLINE_DEVICE}`);
  await page.click("header a.who");
  await page.locator('main[data-proved="false"]').waitFor();
  await axe(page, "second factor, of a provider's person");
  await signedOut(page, context);

  step("a second factor at the provider counts here");
  await page.goto(`${CONSOLE}#/second-factor`);
  await page.click("text=Sign in with corp");
  await atProvider(page, "kim", codeOf(TOTP));
  await page.locator('main[data-proved="true"]').waitFor();
  await signedOut(page, context);

  step("who is in no group is turned away in words, in both colours");
  await page.goto(CONSOLE);
  await page.click("text=Sign in with corp");
  await atProvider(page, "eve");
  await page.locator("text=none of your groups gives a role here").waitFor();
  await axe(page, "turned away");
  assert.equal((await context.cookies()).filter(({ name }) => name.startsWith("__Host-towline")).length, 0);
});
