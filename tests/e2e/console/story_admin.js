// An administrator at the console: reads the audit trail, exports it, and decides about a request
// for access that another user made.
//
// Environment: as story.js.
"use strict";

const assert = require("assert");
const { readFileSync } = require("fs");
const { axe } = require("./axe.js");
const { signIn, step, story } = require("./browser.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;

/** Calls an operation as the user of the page. */
async function call(page, target, body) {
  const answer = await page.evaluate(
    async ([target, body]) => {
      const post = async (target, body, csrf) => {
        const type = "application/x-amz-json-1.1";
        const headers = { "Content-Type": type, "X-Amz-Target": target, "X-Towline-Csrf": csrf };
        const response = await fetch("/", { method: "POST", headers, body: JSON.stringify(body) });
        return { status: response.status, body: await response.json() };
      };
      const { CsrfToken } = (await post("Towline.GetSignIn", {}, "")).body;
      return post(target, body, CsrfToken);
    },
    [target, body],
  );
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

story(async (page) => {
  const key = await prepared(page);
  const id = await asked(page, key);
  await decided(page, id);
  await audited(page, id);
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
  await row.locator('button:text-is("Revoke")').click();
  await page.locator(`[data-request="${id}"][data-state="Revoked"]`).waitFor();
  assert.equal(await row.locator("button").count(), 0);
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
  await page.locator('[role="status"]', { hasText: "2 events are shown" }).waitFor();
  await page.locator("summary").first().click();
  assert.ok((await page.locator("pre").first().textContent()).includes(id));
  const waits = page.waitForEvent("download");
  await page.click("text=Export as JSON");
  const exported = JSON.parse(readFileSync(await (await waits).path(), "utf8"));
  assert.deepEqual(exported.map((event) => event.eventName), Array(2).fill("ApproveAccessRequest"));
  step("a phone's screen: nothing is wider than the page");
  await page.setViewportSize({ width: 360, height: 640 });
  const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok((await wider()) <= 0, `wider by ${await wider()} pixels`);
}
