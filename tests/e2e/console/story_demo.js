// Somebody opens the link that a gateway's server has made: signs in by a click, types into a shell
// and reads the answer. The link signs nobody in again.
//
// Environment: TOWLINE_LINK, TOWLINE_DEVICE (id), TOWLINE_CHROMIUM; HOME with a certificate database
// that knows the gateway's CA.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const { TOWLINE_LINK: LINK, TOWLINE_DEVICE: DEVICE } = process.env;
const SECRET = LINK.split("/").pop();

story(async (page, context) => {
  step("the link shows whom it signs in, and nothing happens before a click");
  await page.goto(LINK);
  const button = page.locator('button:text-is("Sign in as admin")');
  await button.waitFor();
  assert.deepEqual(await context.cookies(), []);
  assert.ok(!page.url().includes(SECRET), "the secret stays in the address");
  await axe(page, "sign-in link");

  step("the same link with another name signs nobody in");
  const other = await context.newPage();
  await other.goto(LINK.replace("/admin/", "/root/"));
  await other.click('button:text-is("Sign in as root")');
  await other.locator(".trouble", { hasText: "signs nobody in" }).waitFor();
  await other.close();

  step("a click signs in; a shell answers");
  await button.click();
  await page.locator(`[data-device="${DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("echo sum-$((6 * 7))");
  await terminal.sees("sum-42");
  await terminal.type("exit");
  await terminal.is("ended");

  step("the link was used: it signs nobody in, and leaves the sign-in that there is alone");
  const again = await context.newPage();
  await again.goto(LINK);
  await again.click('button:text-is("Sign in as admin")');
  await again.locator(".trouble", { hasText: "signs nobody in" }).waitFor();
  await again.click("text=Sign in another way");
  await again.locator("h1", { hasText: "Devices" }).waitFor();

  step("neither history nor storage has the secret");
  const kept = await again.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!kept.includes(SECRET));
  await page.goBack();
  assert.ok(!page.url().includes(SECRET));
});
