// A person with devices at the console: edits tags and names, reads who may do what, enrolls a
// device and approves it, runs commands, copies files in both directions through a lost link.
//
// Environment: TOWLINE_ORIGIN, TOWLINE_KEY, TOWLINE_SECRET, TOWLINE_DEVICE and TOWLINE_OTHER (ids of
// `door` and `gate`), TOWLINE_SHARED (a folder that both ends see), TOWLINE_CHROMIUM.
"use strict";

const assert = require("assert");
const { statSync, readFileSync, existsSync, readdirSync } = require("fs");
const { axe } = require("./axe.js");
const { ask, eventually, picture, signIn, step, story } = require("./browser.js");

const env = process.env;
const { TOWLINE_ORIGIN: ORIGIN, TOWLINE_DEVICE: DOOR, TOWLINE_OTHER: GATE } = env;
const SHARED = env.TOWLINE_SHARED;
/** Bytes of the large file. */
const LARGE = Number(env.TOWLINE_LARGE);
/** How much the page may grow while the large file passes through it. */
const MOST_HEAP = 40_000_000;
/** How long a copy may take, milliseconds: 2 MB/s, and a minute. */
const COPIED_WITHIN = 60_000 + LARGE / 2000;

story(async (page, context) => {
  await signIn(page);
  for (const act of [searched, looked, enrolled, ran, uploaded, downloaded]) await act(page, context);
});

async function searched(page) {
  step("the gateway searches: words and a state, which stand in the address");
  const rows = page.locator(".row[data-device]");
  await eventually("both devices", async () => (await rows.count()) === 2);
  await page.fill('input[type="search"]', "DOO");
  await eventually("one device", async () => (await rows.count()) === 1);
  assert.match(page.url(), /q=DOO/);
  await page.selectOption(".tools select", "offline");
  await page.locator("text=No device matches.").waitFor();
  await page.reload();
  await page.locator("text=No device matches.").waitFor();
  await page.click("nav >> text=Devices");
  await eventually("both devices again", async () => (await rows.count()) === 2);
}

async function looked(page) {
  step("a device's page: facts, name, tags, keys, who may do what");
  await page.locator(`[data-device="${DOOR}"] .name a`).click();
  await page.locator("h1", { hasText: "door" }).waitFor();
  await page.locator('[data-state="Online"]').waitFor();
  await page.fill('input[name="name"]', "north door");
  await page.click("text=Rename");
  await page.locator("h1", { hasText: "north door" }).waitFor();
  await page.fill('textarea[name="tags"]', "site=seoul\nclass=door");
  await page.click("text=Save the tags");
  const tags = page.locator('textarea[name="tags"]');
  await eventually("the tags are stored", async () =>
    (await tags.inputValue()) === "class=door\nsite=seoul");
  await page.fill('textarea[name="tags"]', "site=seoul\nclass=door\naws:x=y");
  await page.click("text=Save the tags");
  await page.locator('[role="alert"]', { hasText: "aws:" }).waitFor();

  const keys = page.locator("section", { hasText: "Device keys" }).last();
  await keys.locator("td", { hasText: "Active" }).waitFor();
  await page.click("text=Rotate the key");
  await keys.locator("td", { hasText: "Retired" }).waitFor();
  const access = page.locator("section", { hasText: "Who may do what here" }).last();
  await access.locator("td", { hasText: "admin" }).first().waitFor();
  await page.locator("code", { hasText: `towline forward ${DOOR} 80:localhost:80` }).waitFor();
  await axe(page, "device");
  await picture(page, "device");
}

async function enrolled(page) {
  step("an activation, its line and its QR code; the device that waits is let in");
  await page.click("nav >> text=Enroll");
  await page.fill('input[name="description"]', "<b>third</b>");
  await page.check('input[name="approval"]');
  await page.click("text=Make the activation");
  await page.locator("svg.qr path").waitFor();
  await page.selectOption('select[name="format"]', "rpm");
  const line = await page.locator(".made code").textContent();
  const found = line.match(/^rpm -i \S+ && printf %s '?(\S+?)'? \| towline-agent enroll --gateway (\S+) --activation-id (\S+) /);
  assert.ok(found, line);
  const [, code, gateway, id] = found;
  assert.equal(gateway, new URL(ORIGIN).host);
  await axe(page, "enroll");
  await picture(page, "enroll");
  await ask(`enroll ${id} ${code}`);
  await page.locator("[data-key] a", { hasText: "third" }).waitFor();
  await page.click('[aria-label="Approve third"]');
  await page.locator("text=No device waits for approval.").waitFor();
  await ask("online");

  step("the activation is listed, and deleted after a question");
  const row = page.locator(`tr[data-key="${id}"]`);
  await row.locator("td", { hasText: "1/1" }).waitFor();
  const cells = await row.textContent();
  assert.ok(cells.includes("<b>third</b>"), cells);
  await row.locator("button").click();
  await page.click('dialog button:text-is("Delete")');
  await row.waitFor({ state: "detached" });
}

async function ran(page) {
  step("a command for devices by tags: previewed, followed, grouped by equal output");
  await page.click("nav >> text=Run command");
  await page.fill('textarea[name="script"]', "echo '<i>same</i>'");
  await page.fill('input[name="tags"]', "site=seoul");
  await page.locator("text=2 devices get it, 2 of them are online.").waitFor();
  await page.click('button:text-is("Run")');
  await page.locator('p[data-status="Success"]').waitFor();
  const group = page.locator("article.group");
  await group.locator("pre", { hasText: "<i>same</i>" }).waitFor();
  assert.equal(await group.count(), 1);
  assert.match(await group.locator("h3").textContent(), /^2 devices · Success · status 0$/);
  await axe(page, "command");
  await picture(page, "command");
  await page.click("text=한국어");
  await group.locator("h3", { hasText: "장치 2대 · 성공 · 상태 0" }).waitFor();
  await page.click("text=English");
  const first = group.locator("button", { hasText: "Whole output" }).first();
  await first.click();
  await group.locator("pre.whole", { hasText: "<i>same</i>" }).waitFor();

  step("one device fails: again on those that failed");
  await page.click("text=Edit and run again");
  const fails = `${SHARED}/fails-once`;
  await page.fill('textarea[name="script"]', `mkdir ${fails} || { rmdir ${fails}; exit 3; }`);
  await page.fill('input[name="concurrency"]', "1");
  await page.fill('input[name="errors"]', "5");
  await page.click('button:text-is("Run")');
  await page.locator('p[data-status="Failed"]').waitFor();
  await page.locator("article h3", { hasText: "1 device · Failed · status 3" }).waitFor();
  await page.click("text=Again on the 1 that failed");
  await page.locator("text=1 device gets it").waitFor();
  await page.click('button:text-is("Run")');
  await page.locator('p[data-status="Success"]').waitFor();

  step("a command that runs is cancelled");
  await page.click("text=Back to Run Command");
  await page.fill('textarea[name="script"]', "sleep 600");
  await page.click('button:text-is("Run")');
  await page.locator('p[data-status="InProgress"]').waitFor();
  await page.click("text=Cancel the command");
  await page.locator('p[data-status="Cancelled"]').waitFor();

  step("devices are chosen in the list, and a command gets them as its targets");
  await page.goto(`${ORIGIN}/console/#/?q=site%3Dseoul`);
  await page.getByRole("checkbox", { name: "Choose north door" }).check();
  await page.locator("text=1 device chosen").waitFor();
  await axe(page, "chosen devices");
  await page.getByRole("button", { name: "Choose all 2 found" }).click();
  await page.getByRole("group", { name: "Chosen devices" }).getByRole("link", { name: "Run command" }).click();
  await page.locator("text=2 devices get it, 2 of them are online.").waitFor();
  const ids = await page.inputValue('input[name="ids"]');
  assert.deepEqual(ids.split(", ").sort(), [DOOR, GATE].sort());
}

/** Bytes that scripts of the page hold, after a collection. */
async function heap(page) {
  const client = await page.context().newCDPSession(page);
  await client.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize = 0 } = await client.send("Runtime.getHeapUsage");
  await client.detach();
  return usedSize + backingStorageSize;
}

/** Looks at the heap until the transfer is done; the most that was seen. */
async function watched(page, name, act) {
  const row = page.locator(`[data-transfer="${name}"]`).last();
  const state = () => row.getAttribute("data-state", { timeout: 5000 }).catch(() => "");
  let [most, last] = [0, ""];
  await eventually(`${name} is copied`, async () => {
    const now = await state();
    if (now === "failed") throw new Error(await row.textContent());
    if (now === "moves") {
      most = Math.max(most, await heap(page));
      await act?.(row);
    }
    last = await row.textContent();
    return now === "done";
  }, COPIED_WITHIN).catch((error) => {
    throw new Error(`${error.message}; it says: ${last}`);
  });
  return most;
}

async function uploaded(page) {
  step("a folder is listed; a large file is uploaded with flat memory, through a lost link");
  await page.goto(`${ORIGIN}/console/#/files/${DOOR}?path=${encodeURIComponent(SHARED)}`);
  await page.locator('td:has-text("large.bin")').first().waitFor();
  await page.goto(`${ORIGIN}/console/#/files/${DOOR}?path=${encodeURIComponent(SHARED + "/there")}`);
  await page.locator('input[name="files"]').waitFor();
  const before = await heap(page);
  const begun = performance.now();
  await page.setInputFiles('input[name="files"]', `${SHARED}/large.bin`);
  let cut = false;
  const most = await watched(page, "large.bin", async () => {
    if (cut) return;
    cut = true;
    await ask("cut");
  });
  step(`  ${Math.round(LARGE / 1000 / (performance.now() - begun))} MB/s, heap ${before} -> ${most}`);
  assert.ok(cut, "the upload was seen on its way");
  assert.ok(most - before < MOST_HEAP, `${before} -> ${most}`);
  await ask("same large.bin there/large.bin");
  await axe(page, "files");
  await picture(page, "files");

  step("an upload that is stopped goes on where it was");
  await page.setInputFiles('input[name="files"]', {
    name: "again.bin",
    mimeType: "application/octet-stream",
    buffer: readFileSync(`${SHARED}/large.bin`).subarray(0, 45_000_000),
  });
  const row = page.locator('[data-transfer="again.bin"]');
  await eventually("part of it is there", async () => {
    const parts = readdirSync(`${SHARED}/there`).filter((name) => name.endsWith("part"));
    return parts.some((name) => statSync(`${SHARED}/there/${name}`).size > 2_000_000);
  });
  await row.locator("button", { hasText: "Stop" }).click();
  await row.locator("text=stopped").waitFor();
  assert.ok(!existsSync(`${SHARED}/there/again.bin`), "it was stopped on its way");
  await row.locator("button", { hasText: "Try again" }).click();
  await watched(page, "again.bin");
  assert.match(await row.textContent(), /continued at/);
  assert.equal(statSync(`${SHARED}/there/again.bin`).size, 45_000_000);

  step("a folder is uploaded with what is in it; a refusal is in the device's words");
  await page.setInputFiles('input[name="folder"]', `${SHARED}/tree`);
  await watched(page, "tree/a.txt");
  await watched(page, "tree/inner/empty");
  await ask("same tree/a.txt there/tree/a.txt");
  assert.equal(statSync(`${SHARED}/there/tree/inner/empty`).size, 0);
  await page.goto(`${ORIGIN}/console/#/files/${DOOR}?path=${encodeURIComponent("/proc/nothing")}`);
  await page.locator("text=Nothing is at this path.").waitFor();
  await page.setInputFiles('input[name="files"]', `${SHARED}/tree/a.txt`);
  await page.locator('[data-transfer="a.txt"][data-state="failed"]').waitFor();
}

async function downloaded(page) {
  step("it is downloaded into a private file, checked, and saved by a link");
  const path = `${SHARED}/there/large.bin`;
  await page.evaluate(() => (window.showSaveFilePicker = undefined));
  await page.goto(`${ORIGIN}/console/#/files/${GATE}?path=${encodeURIComponent(path)}`);
  const before = await heap(page);
  await page.click('[aria-label="Download large.bin"]');
  const begun = performance.now();
  const most = await watched(page, "large.bin");
  step(`  ${Math.round(LARGE / 1000 / (performance.now() - begun))} MB/s, heap ${before} -> ${most}`);
  assert.ok(most - before < MOST_HEAP, `${before} -> ${most}`);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click("text=Save large.bin")]);
  await saved.saveAs(`${SHARED}/back.bin`);
  await ask("same large.bin back.bin");

  step("a file that the user chooses is written without a private copy");
  await page.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) => {
      const root = await navigator.storage.getDirectory();
      return root.getFileHandle(`chosen-${suggestedName}`, { create: true });
    };
  });
  await page.goto(`${ORIGIN}/console/#/files/${GATE}?path=${encodeURIComponent(`${SHARED}/tree`)}`);
  await page.click('[aria-label="Download a.txt"]');
  await page.locator('[data-transfer="a.txt"][data-state="done"]').waitFor();
  const text = await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    return (await (await root.getFileHandle("chosen-a.txt")).getFile()).text();
  });
  assert.equal(text, "a\n");
}
