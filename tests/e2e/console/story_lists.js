// A list of thousands of devices: any place of it is shown, the count stays, the search finds all.
//
// Environment: TOWLINE_ORIGIN, TOWLINE_KEY, TOWLINE_SECRET, TOWLINE_CHROMIUM; TOWLINE_DEVICES, how many
// there are: `dev-000000` and on, by id.
"use strict";

const assert = require("assert");
const { axe } = require("./axe.js");
const { eventually, signIn, step, story } = require("./browser.js");

const DEVICES = Number(process.env.TOWLINE_DEVICES);
const ROW = 44;

story(async (page) => {
  await signIn(page);
  await counted(page);
  const ids = await walked(page);
  await jumped(page, ids);
  await searched(page);
  await typed(page);
});

/** What the rows in sight say: number in the list, id. */
function rows(page) {
  return page.locator(".row[data-device]").evaluateAll((all) =>
    all.map((row) => [Number(row.getAttribute("aria-rowindex")) - 2, row.dataset.device]),
  );
}

const scroll = (page, to) => page.locator(".list").evaluate((list, top) => (list.scrollTop = top), to * ROW);

/** Goes to a row, and gives the rows that are then in the page. */
async function at(page, row) {
  await scroll(page, row);
  await eventually(`row ${row} is shown`, async () => (await rows(page)).some(([n]) => n === row)).catch(async (error) => {
    const { scrollTop, scrollHeight } = await page.locator(".list").evaluate(({ scrollTop, scrollHeight }) => ({ scrollTop, scrollHeight }));
    const shown = (await rows(page)).map(([n]) => n);
    throw new Error(`${error.message}; it shows ${shown[0]} to ${shown.at(-1)}, ${scrollTop} of ${scrollHeight} pixels`);
  });
  return rows(page);
}

async function counted(page) {
  step(`${DEVICES} devices: the list has a row for each, and some in the page`);
  await page.locator("[role=status]", { hasText: `${DEVICES} devices` }).waitFor();
  assert.equal(await page.locator(".list").getAttribute("aria-rowcount"), String(DEVICES + 1));
  const height = await page.locator(".list").evaluate((list) => list.scrollHeight);
  assert.ok(Math.abs(height - (DEVICES + 1) * ROW) < ROW, `${height} pixels`);
  assert.ok((await rows(page)).length < 100);
  await axe(page, "a long list of devices");
}

async function walked(page) {
  step("scrolled through, screen by screen, across the requests: each row once, in one order");
  const seen = new Map();
  for (let row = 0; row < 700; row += 12) {
    for (const [n, id] of await at(page, row)) {
      assert.equal(seen.get(n) ?? id, id, `row ${n}`);
      seen.set(n, id);
    }
  }
  const ids = Array.from(seen.values());
  assert.equal(new Set(ids).size, ids.length);
  for (let row = 0; row < 700; row += 1) assert.ok(seen.has(row), `row ${row} was never shown`);
  return seen;
}

async function jumped(page, ids) {
  step("a jump to the end, beyond what was read; and back");
  const last = await at(page, DEVICES - 1);
  assert.equal(last.at(-1)[0], DEVICES - 1);
  assert.ok(!new Set(ids.values()).has(last.at(-1)[1]));
  const middle = await at(page, Math.floor(DEVICES / 2));
  assert.ok(middle.length < 100);
  const [[row, id]] = await at(page, 300);
  assert.equal(ids.get(row), id);
  step("what was chosen stays chosen out of sight");
  const box = page.locator(`[data-device="${id}"] input`);
  await box.check();
  await at(page, 5000);
  await page.locator("[aria-label=\"Chosen devices\"]").waitFor();
  await at(page, row);
  assert.ok(await box.isChecked());
}

async function searched(page) {
  step("a search from the middle of the list begins at its first row");
  await at(page, 4000);
  await page.fill('input[type="search"]', "dev-00599");
  await eventually("ten devices", async () => (await rows(page)).length === 10);
  assert.equal((await rows(page))[0][0], 0);
  await page.fill('input[type="search"]', "");
  await page.locator("[role=status]", { hasText: `${DEVICES} devices` }).waitFor();
  await eventually("the first rows again", async () => (await rows(page))[0]?.[0] === 0);
}

async function typed(page) {
  step("an answer that comes while somebody types takes nothing out of the field");
  const field = page.locator('input[type="search"]');
  await field.fill("");
  await page.locator("[role=status]", { hasText: `${DEVICES} devices` }).waitFor();
  const [held, isSearch] = [[], (one) => one.headers()["x-amz-target"] === "Towline.SearchDevices"];
  await page.route("**/*", async (route) => {
    if (isSearch(route.request())) await new Promise((release) => held.push(release));
    await route.continue().catch(() => undefined); // a newer question has taken its place
  });
  await field.press("d");
  await eventually("the first letter is asked about", async () => held.length > 0);
  // Letters come faster than the page asks about them, until the answer is here and a little longer.
  let [text, answered] = ["d", false];
  const answer = page.waitForResponse((one) => isSearch(one.request())).then(() => (answered = true));
  held.splice(0).forEach((release) => release());
  for (let left = 10; left > 0 && text.length < 200; left -= answered ? 1 : 0) {
    await page.keyboard.press("x");
    text += "x";
  }
  await answer;
  assert.equal(await field.inputValue(), text);
  held.splice(0).forEach((release) => release());
  await page.unroute("**/*");
  await page.locator("text=No device matches.").waitFor();
}
