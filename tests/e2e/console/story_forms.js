// What a person typed or began: it stays when the sign-in ends, goes with its user, and a command
// that is sent again is the same command.
//
// Environment: that of story.js, without TOWLINE_NAME; TOWLINE_SHARED, a folder of the device.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { ask, call, eventually, signIn, step, story } = require("./browser.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
const TEXT = '{ "typed": "for a long time" }';

story(async (page, context) => {
  await page.addInitScript(() => delete window.showSaveFilePicker);
  await signIn(page);
  await sentAgain(page);
  await unsaved(page, context);
  await blanks(page);
  await downloads(page, context);
  await others(page);
});

/** The sign-in ends, as if by time. */
async function ends(page, context, act) {
  await context.clearCookies();
  await act();
  await page.locator('input[name="key"]').waitFor();
}

async function back(page, key = env.TOWLINE_KEY, secret = env.TOWLINE_SECRET) {
  await page.fill('input[name="key"]', key);
  await page.fill('input[name="secret"]', secret);
  await page.click('button[type="submit"]');
  await page.locator(".who").waitFor();
}

async function sentAgain(page) {
  step("a command that is sent again runs in the folder that it ran in");
  const sent = await call(page, "AmazonSSM.SendCommand", {
    DocumentName: "AWS-RunShellScript",
    InstanceIds: [env.TOWLINE_DEVICE],
    Parameters: { commands: ["pwd"], workingDirectory: [env.TOWLINE_SHARED] },
    TimeoutSeconds: 600,
  });
  await page.goto(`${CONSOLE}#/run/${sent.Command.CommandId}`);
  await page.locator('article.group[data-status="Success"]').waitFor();
  await page.getByRole("button", { name: "Edit and run again" }).click();
  assert.equal(await page.getByLabel("Working folder").inputValue(), env.TOWLINE_SHARED);
  await page.locator("dd", { hasText: "600" }).waitFor();
  await axe(page, "a command that is sent again");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  const group = page.locator('article.group[data-status="Success"]');
  await group.waitFor();
  assert.notEqual(page.url().split("/").pop(), sent.Command.CommandId);
  assert.equal((await group.locator("pre").first().textContent()).trim(), env.TOWLINE_SHARED);
  await page.getByRole("button", { name: "Edit and run again" }).click();
  await page.getByRole("button", { name: "New command" }).click();
  assert.equal(await page.locator('textarea[name="script"]').inputValue(), "");
}

async function unsaved(page, context) {
  step("a policy that was not saved is there again after the sign-in has ended");
  await call(page, "Towline.CreatePrincipal", { PrincipalName: "bob", PrincipalType: "User" });
  const policy = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
  await call(page, "Towline.PutPrincipalPolicy", {
    PrincipalName: "bob",
    PrincipalType: "User",
    PolicyName: "all",
    PolicyDocument: JSON.stringify(policy),
  });
  await page.goto(`${CONSOLE}#/policies/User/bob`);
  await page.getByRole("button", { name: "all", exact: true }).click();
  await page.locator("textarea.policy").fill(TEXT);
  await ends(page, context, () => page.getByRole("button", { name: "Save" }).first().click());
  await back(page);
  await page.locator("text=This text was typed earlier and is not saved.").waitFor();
  assert.equal(await page.locator("textarea.policy").inputValue(), TEXT);
  await axe(page, "a policy that was not saved");
  await page.getByRole("button", { name: "Show what the gateway has" }).click();
  assert.deepEqual(JSON.parse(await page.locator("textarea.policy").inputValue()), policy);
}

async function blanks(page) {
  step("a folder whose name ends with a blank is another one than that without");
  await page.goto(`${CONSOLE}#/files/${env.TOWLINE_DEVICE}?path=${encodeURIComponent(env.TOWLINE_SHARED)}`);
  await page.locator('a[href$="blank%2520"], a[href$="blank+"], a[href$="blank%20"]').click();
  await page.locator("td", { hasText: "behind" }).first().waitFor();
}

async function downloads(page, context) {
  step("a download whose sign-in ends on its way goes on after the next one");
  await page.goto(`${CONSOLE}#/files/${env.TOWLINE_DEVICE}?path=${encodeURIComponent(env.TOWLINE_SHARED)}`);
  await page.getByRole("button", { name: "Download large.bin" }).click();
  const row = page.locator('[data-transfer="large.bin"]');
  await eventually("some of it is here", async () => /[1-9][\d.]* MB of/.test(await row.textContent()));
  await ends(page, context, () => ask("cut"));
  await back(page);
  await row.and(page.locator('[data-state="done"]')).waitFor({ timeout: 120_000 });
}

async function others(page) {
  step("what one user typed is not shown to the next one");
  await page.goto(`${CONSOLE}#/run`);
  await page.fill('textarea[name="script"]', "echo a-secret-of-admin");
  await page.goto(`${CONSOLE}#/policies/User/bob`);
  await page.getByRole("button", { name: "all", exact: true }).click();
  await page.locator("textarea.policy").fill(TEXT);
  const key = (await call(page, "Towline.CreateAccessKey", { PrincipalName: "bob" })).AccessKey;
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await back(page, key.AccessKeyId, key.SecretAccessKey);
  await page.goto(`${CONSOLE}#/run`);
  assert.equal(await page.locator('textarea[name="script"]').inputValue(), "");
  await page.goto(`${CONSOLE}#/policies/User/bob`);
  await page.getByRole("button", { name: "all", exact: true }).click();
  await page.locator("textarea.policy").waitFor();
  assert.ok(!(await page.locator("textarea.policy").inputValue()).includes("typed"));
}
