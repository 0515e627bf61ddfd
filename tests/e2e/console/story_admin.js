// An administrator at the console: reads the audit trail, exports it, and decides about a request
// for access that another user made.
//
// Environment: as story.js.
"use strict";

const assert = require("assert");
const { readFileSync } = require("fs");
const { axe } = require("./axe.js");
const { call, codeOf, picture, signIn, step, story } = require("./browser.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;

story(async (page) => {
  const key = await prepared(page);
  const id = await asked(page, key);
  await decided(page, id);
  await healthy(page);
  await ruled(page);
  await audited(page, id);
  await proved(page);
});

async function prepared(page) {
  step("the administrator makes a user who may ask for access");
  await signIn(page);
  await call(page, "Towline.CreatePrincipal", { PrincipalName: "ann" });
  const allowed = { Effect: "Allow", Action: ["ssm:StartAccessRequest"], Resource: "*" };
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [allowed] });
  const put = { PrincipalName: "ann", PolicyName: "ask", PolicyDocument: policy };
  await call(page, "Towline.PutPrincipalPolicy", put);
  const made = await call(page, "Towline.CreateAccessKey", { PrincipalName: "ann" });
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  return made.AccessKey;
}

async function asked(page, key) {
  step("the list of requests is refused to her, with action, resource and reason");
  await signIn(page, key.AccessKeyId, key.SecretAccessKey);
  await page.goto(`${CONSOLE}#/access?device=${env.TOWLINE_DEVICE}`);
  const refusal = page.locator(".refusal");
  await refusal.waitFor();
  assert.match(await refusal.textContent(), /towline:ListAccessRequests.*On\*.*do not allow/s);
  step("she asks for access to the device that the address names");
  await axe(page, "access, refused");
  assert.equal(await page.inputValue('input[name="device"]'), env.TOWLINE_DEVICE);
  await page.fill('input[name="reason"]', "<b>disk</b> is full");
  await page.locator("main form button").click();
  const told = page.locator('[role="status"]', { hasText: "waits for a decision" });
  await told.waitFor();
  const [id] = (await told.textContent()).match(/oi-[0-9a-f]{12}/);
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  return id;
}

async function decided(page, id) {
  step("the administrator approves the request, and takes the access back");
  await signIn(page);
  await page.click("nav >> text=Access requests");
  const row = page.locator(`[data-request="${id}"]`);
  await row.waitFor();
  const text = await row.textContent();
  assert.ok(text.includes("<b>disk</b> is full"), text);
  await axe(page, "access");
  await row.locator('button:text-is("Approve for an hour")').focus();
  await page.keyboard.press("Enter");
  await page.locator(`[data-request="${id}"][data-state="Approved"]`).waitFor();
  assert.match(await row.textContent(), /(60|59) min/);
  step("it is extended by an hour, with the keyboard");
  const extended = page.waitForResponse((response) => (response.request().postData() ?? "").includes('"Extend"'));
  await row.locator('button', { hasText: "Extend by an hour" }).focus();
  await page.keyboard.press("Enter");
  assert.equal((await extended).status(), 200);
  await row.locator('button:text-is("Revoke")').click();
  await page.locator(`[data-request="${id}"][data-state="Revoked"]`).waitFor();
  assert.equal(await row.locator("button").count(), 0);
}

async function healthy(page) {
  step("the state of the gateway: ready, its devices, its certificate");
  await page.click("nav >> text=Health");
  await page.locator('[data-ready="true"]').waitFor();
  await page.locator('[data-key="active"]').waitFor();
  assert.match(await page.locator("main").textContent(), /Certificate valid until/);
  await picture(page, "health");
  await axe(page, "health");
}

async function ruled(page) {
  step("a user is made, with a key whose secret is shown once");
  await page.click("nav >> text=Policies");
  await page.locator('[data-key="admin"]').waitFor();
  await picture(page, "policies");
  await axe(page, "policies");
  await page.fill('form[data-create="User"] input[name="name"]', "bob");
  await page.click("text=Create the user");
  await page.click('[data-key="bob"] a');
  await page.click("text=Create an access key");
  const secret = page.locator(".secret");
  await secret.waitFor();
  assert.match(await secret.textContent(), /AKIA[A-Z0-9]{16}/);
  await page.click("text=I have stored it");
  assert.equal(await secret.count(), 0);

  step("the checker's message points into the text of a policy");
  await page.fill('input[name="policy"]', "look");
  await page.click("text=Write a policy");
  const area = page.locator("textarea.policy");
  const text = await area.inputValue();
  const wrong = text.replace("ssm:DescribeInstanceInformation", "nothing");
  await area.fill(wrong);
  await page.click('button:text-is("Save")');
  await page.locator(".trouble", { hasText: "Statement[0].Action" }).waitFor();
  await page.locator("text=/At line \\d+, column \\d+/").waitFor();
  const at = await area.evaluate((area) => area.value.slice(area.selectionStart).slice(0, 9));
  assert.equal(at, '"nothing"');
  await axe(page, "policy, refused");
  await area.fill(text);
  await page.click('button:text-is("Save")');
  await page.locator('[role="status"]', { hasText: "Saved." }).waitFor();

  step("a request is tried against the stored policies");
  await page.goBack();
  const attempt = page.locator('form[data-try="request"]');
  await attempt.locator('input[name="principal"]').fill("bob");
  await attempt.locator('input[name="action"]').fill("ssm:DescribeInstanceInformation");
  await attempt.locator("button").click();
  await page.locator('[data-decision="Allowed"]').waitFor();
  await attempt.locator('input[name="action"]').fill("ssm:StartSession");
  await attempt.locator("button").click();
  await page.locator('[data-decision="ImplicitlyDenied"]').waitFor();

  step("a key is disabled, the user is deleted after a question");
  await page.click('[data-key="bob"] a');
  await page.click('button:text-is("Disable")');
  await page.locator('button:text-is("Enable")').waitFor();
  await page.click("text=Delete bob");
  await page.click('dialog button:text-is("Delete")');
  await page.locator('[data-key="admin"]').waitFor();
  await page.locator('[data-key="bob"]').waitFor({ state: "detached" });
}

async function audited(page, id) {
  step("the trail shows the decision and the refusal, and is exported as shown");
  await page.click("nav >> text=Audit");
  await page.locator("[data-event]").first().waitFor();
  await axe(page, "audit");
  await page.selectOption("select", "EventName");
  await page.fill('input[name="value"]', "ListAccessRequests");
  await page.click("text=Look up");
  await page.locator("[data-event] .bad", { hasText: "AccessDenied" }).first().waitFor();
  await page.fill('input[name="value"]', "ApproveAccessRequest");
  await page.click("text=Look up");
  await page.locator('[role="status"]', { hasText: "3 events are shown" }).waitFor();
  await page.locator("summary").first().click();
  assert.ok((await page.locator("pre").first().textContent()).includes(id));
  const waits = page.waitForEvent("download");
  await page.click("text=Export as JSON");
  const exported = JSON.parse(readFileSync(await (await waits).path(), "utf8"));
  assert.deepEqual(exported.map((event) => event.eventName), Array(3).fill("ApproveAccessRequest"));
  step("a phone's screen: nothing is wider than the page");
  await page.setViewportSize({ width: 360, height: 640 });
  const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok((await wider()) <= 0, `wider by ${await wider()} pixels`);
}

async function proved(page) {
  step("one-time codes are made by a QR code and enabled by a first code");
  await page.click("header a.who");
  await page.locator('main[data-factor="none"]').waitFor();
  await page.click("text=Create one-time codes");
  await page.locator("svg.qr").waitFor();
  const secret = await page.locator(".secret code").textContent();
  await axe(page, "second factor");
  const send = async (form, code) => {
    await page.fill(`form[data-form="${form}"] input`, code);
    await page.click(`form[data-form="${form}"] button`);
  };
  await send("enable", "000000");
  await page.locator(".trouble, .refusal", { hasText: "MultiFactorAuthentication failed" }).waitFor();
  await send("enable", codeOf(secret, -1));
  await page.locator('main[data-factor="enabled"][data-proved="false"]').waitFor();

  step("a code proves the second factor for this sign-in, and removes it");
  await send("prove", codeOf(secret));
  await page.locator('main[data-proved="true"]').waitFor();
  await send("remove", codeOf(secret, 1));
  await page.locator('main[data-factor="none"]').waitFor();
}
