// What nobody has asked for is not done: a link opens nothing by itself, old output is not answered
// again, letters that are typed early arrive, a ninth terminal ends none.
//
// Environment: that of story.js, without TOWLINE_NAME; TOWLINE_SHARED, a folder of the device.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { call, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
const LOOKUP_EVENTS = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
const MOST = 8;

story(async (page, context) => {
  await signIn(page);
  await linked(page, context);
  await filed(page, context);
  await joined(page, context);
  await early(page);
  await answered(page, context);
  await ninth(page, context);
});

const sessions = async (page) => (await call(page, "AmazonSSM.DescribeSessions", { State: "Active" })).Sessions;

/** Opens an address in a new tab, as a link in a mail does. */
async function follow(context, address) {
  const tab = await context.newPage();
  await tab.goto(`${CONSOLE}#/${address}`);
  return tab;
}

async function linked(page, context) {
  step("a link to a shell opens none: the page names the device as the gateway does, and asks");
  const tab = await follow(context, `shell/${env.TOWLINE_DEVICE}/harmless?user=nobody`);
  await tab.locator("h1", { hasText: "Open a shell on pump" }).waitFor();
  await tab.locator("text=You came by a link.").waitFor();
  assert.equal(await tab.getByLabel("User on the device").inputValue(), "nobody");
  await axe(tab, "a link to a shell");
  assert.deepEqual(await sessions(page), []);
  step("a reload of it opens none either");
  await tab.reload();
  await tab.locator("h1", { hasText: "Open a shell on pump" }).waitFor();
  assert.deepEqual(await sessions(page), []);
  step("the user opens it, and a reload returns to it unasked");
  await tab.getByLabel("User on the device").fill("");
  await tab.getByRole("button", { name: "Open", exact: true }).click();
  const terminal = new Terminal(tab);
  await terminal.is("connected");
  await tab.reload();
  await terminal.is("connected");
  assert.equal((await sessions(page)).length, 1);
  await terminal.type("exit");
  await terminal.is("ended");
  await tab.close();
}

async function filed(page, context) {
  step("a link to files reads none; after a click it does, and so does a reload");
  const tab = await follow(context, `files/${env.TOWLINE_DEVICE}?path=${encodeURIComponent(env.TOWLINE_SHARED)}`);
  await tab.locator("text=You came by a link.").waitFor();
  await axe(tab, "a link to files");
  assert.deepEqual(await sessions(page), []);
  await tab.getByRole("button", { name: "Show" }).click();
  await tab.locator("text=The folder is empty.").waitFor();
  await tab.reload();
  await tab.locator("text=The folder is empty.").waitFor();
  await tab.close();
}

async function joined(page, context) {
  step("a link to the seat of a session asks nobody for it");
  const asked = async () => {
    const attribute = { AttributeKey: "EventName", AttributeValue: "JoinSession" };
    return (await call(page, LOOKUP_EVENTS, { LookupAttributes: [attribute] })).Events.length;
  };
  const before = await asked();
  const tab = await follow(context, "join/somebody-0123456789abcdefg");
  await tab.locator("h1", { hasText: "somebody-0123456789abcdefg" }).waitFor();
  await axe(tab, "a link to a seat");
  assert.equal(await asked(), before);
  await tab.getByRole("button", { name: "Ask to type" }).click();
  await new Terminal(tab).is("gone");
  assert.equal(await asked(), before + 1);
  await tab.close();
}

async function early(page) {
  step("what is typed while the shell opens arrives");
  let go;
  const typed = new Promise((resolve) => (go = resolve));
  await page.route(`${env.TOWLINE_ORIGIN}/`, async (route) => {
    if (route.request().headers()["x-amz-target"] === "AmazonSSM.StartSession") await typed;
    await route.continue();
  });
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("echo early-$((40+2))");
  await page.keyboard.press("Enter");
  go();
  const terminal = new Terminal(page);
  await terminal.sees("early-42");
  await page.unroute(`${env.TOWLINE_ORIGIN}/`);
}

async function answered(page, context) {
  step("another browser returns to the session: what its output asked for is not answered again");
  const terminal = new Terminal(page);
  await terminal.type("clear; printf '\\033[6n\\033[c'; cat");
  const answers = async (one) => (await one.rows()).join("").match(/\^\[\[/g)?.length ?? 0;
  await eventually("both are answered", async () => (await answers(terminal)) === 2);
  const session = page.url().split("/").pop();
  await page.goto(`${CONSOLE}#/`);
  const tab = await follow(context, `terminal/${session}`);
  const again = new Terminal(tab);
  await again.is("connected");
  await again.type("");
  await again.type("over");
  await again.sees("over\n".repeat(2));
  assert.equal(await answers(again), 2, (await again.rows()).join("\n"));
  step("what is asked for from now on is answered");
  await tab.keyboard.press("Control+KeyD");
  await again.type("clear; printf '\\033[6n'; cat");
  await eventually("it is answered", async () => (await answers(again)) === 1);
  await tab.keyboard.press("Control+KeyC");
  await again.type("exit");
  await again.is("ended");
  await tab.close();
}

async function ninth(page, context) {
  step(`a page of ${MOST} terminals takes no further one, and none of them is left`);
  const tab = await context.newPage();
  const terminal = new Terminal(tab);
  const open = async () => {
    await tab.goto(`${CONSOLE}#/`);
    await tab.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  };
  for (let count = 1; count <= MOST; count += 1) {
    await open();
    await eventually(`${count} terminals`, async () => (await tab.locator(".pane").count()) === count);
    await terminal.is("connected");
  }
  const before = tab.url();
  await open();
  await tab.locator(".notice", { hasText: `This page holds ${MOST} terminals` }).waitFor();
  await terminal.is("connected");
  assert.equal(await tab.locator(".pane").count(), MOST);
  assert.equal(tab.url(), before, "the address names the terminal that is typed into");
  assert.equal((await sessions(page)).length, MOST);
  await axe(tab, "a full page");
  step("who leaves while a terminal changes its state gets to the page that was asked for");
  await tab.evaluate(() => {
    location.hash = "#/sessions";
    dispatchEvent(new Event("online")); // terminals connect anew, and say so
  });
  await tab.locator("h1", { hasText: "Sessions" }).waitFor();
}
