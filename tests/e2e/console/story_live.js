// An administrator looks at sessions in the console and terminates one; its terminal finds text,
// sends keys by buttons, and shows hostile output as text; the recording is played.
//
// Environment: that of story.js, without TOWLINE_NAME.
"use strict";

const assert = require("assert");
const { readFileSync } = require("fs");
const { axe } = require("./axe.js");
const { ask, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const ORIGIN = env.TOWLINE_ORIGIN;

story(async (page, context) => {
  await signIn(page);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await tools(page, terminal);
  await hostile(page, terminal);
  await flood(page, terminal);
  await pasted(page, terminal);
  await watched(context, page, terminal);
  await joined(page, terminal);
  await opened(context);
  await played(await listed(context, page, terminal));
});

async function tools(page, terminal) {
  step("the tools: a text is found, a key is sent by a button, the font has another size");
  await terminal.type("echo needle-$((6*7))");
  await terminal.sees("needle-42");
  await page.keyboard.press("Control+Shift+KeyF");
  const find = page.getByRole("searchbox", { name: "Find in the output" });
  await find.fill("needle-42");
  assert.equal(await page.locator(".find [role=status]").textContent(), "");
  await find.fill("no such text");
  await page.locator("text=Not found.").waitFor();
  await terminal.type("cat");
  await page.getByRole("button", { name: "Ctrl-C" }).click();
  await terminal.type("echo after-$((40+2))");
  await terminal.sees("after-42");
  const rows = async () => (await terminal.rows()).length;
  const before = await rows();
  for (let times = 0; times < 6; times += 1) {
    await page.getByRole("button", { name: "Larger font" }).click();
  }
  await eventually("fewer rows", async () => (await rows()) < before);
  for (let times = 0; times < 6; times += 1) {
    await page.getByRole("button", { name: "Smaller font" }).click();
  }
  await eventually("as many rows as before", async () => (await rows()) === before);
  await page.getByRole("combobox", { name: "Theme" }).selectOption("contrast");
  const black = () =>
    page.evaluate(() => {
      const element = document.querySelector(".xterm-scrollable-element, .xterm-viewport");
      return element && getComputedStyle(element).backgroundColor;
    });
  await eventually("a black terminal", async () => (await black()) === "rgb(0, 0, 0)");
}

/** Output that must not become anything but text on this screen. */
const HOSTILE = [
  "\\033]52;c;b3duZWQ=\\007",
  "\\033]0;<img src=x onerror=window.pwned=1>\\007",
  "\\033]8;;javascript:window.pwned=1\\033\\\\link\\033]8;;\\033\\\\",
  "\\033P+q544e\\033\\\\",
  "\\033P1$r0m\\033\\\\",
  "<script>window.pwned=1</script>",
  "\\033[8;9999;9999t",
];

async function hostile(page, terminal) {
  step("hostile output is text: no markup, no clipboard, no title, no size");
  const title = await page.title();
  const rows = (await terminal.rows()).length;
  for (const text of HOSTILE) await terminal.type(`printf '${text}'`);
  await terminal.type("echo hostile-''over");
  await terminal.sees("hostile-over");
  assert.equal(await page.title(), title);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator(".xterm script, .xterm img").count(), 0);
  assert.equal((await terminal.rows()).length, rows);
}

async function flood(page, terminal) {
  step("Ctrl-C ends endless output, and the shell answers at once");
  // The command line itself does not have the word: a Ctrl-C that comes before `yes` ends nothing.
  await terminal.type(`clear; sh -c 'trap : INT; yes "flood""ing"; echo stopped-$((40+2))'`);
  await terminal.sees("flooding");
  const began = performance.now();
  await page.keyboard.press("Control+KeyC");
  await terminal.sees("stopped-42");
  step(`endless output had stopped after ${Math.round(performance.now() - began)} ms`);
  // A search looks at screens each 0.2 s (screens.ts): what is to be found stays in sight for longer,
  // by the device's own clock, which the recording has.
  await terminal.type("echo dry-$((40+2)); sleep 0.5; echo wet-$((40+3))");
  await terminal.sees("wet-43");
}

const LINES = 100_000;

async function pasted(page, terminal) {
  step(`${LINES} lines are pasted after a question, and arrive whole`);
  const file = `/tmp/towline-pasted-${env.TOWLINE_DEVICE}`;
  await terminal.type(`clear; stty -echo; echo ready-$((40+2)); cat > ${file}`);
  await terminal.sees("ready-42");
  const paste = () =>
    page.evaluate((lines) => {
      const data = new DataTransfer();
      const text = Array.from({ length: lines }, (_, at) => `line ${at + 1}\n`).join("");
      data.setData("text/plain", text);
      const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.querySelector(".xterm-helper-textarea").dispatchEvent(event);
    }, LINES);
  const dialog = page.locator("dialog", { hasText: "Paste 100000 lines?" });
  await paste();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await paste();
  const began = performance.now();
  await dialog.getByRole("button", { name: "Paste" }).click();
  await page.keyboard.press("Control+KeyD");
  await terminal.type(`stty echo; echo sum-$(seq -f 'line %.0f' ${LINES} | cmp - ${file} && echo same)`);
  await terminal.sees("sum-same");
  step(`${LINES} lines arrived after ${Math.round(performance.now() - began)} ms`);
  await terminal.type(`rm ${file}`);
}

async function watched(context, page, terminal) {
  step("another page watches: the screen so far, then what comes; the owner is told");
  const session = page.url().split("/").pop();
  await terminal.type("clear; echo seen-before-$((40+2))");
  await terminal.sees("seen-before-42");
  const other = await context.newPage();
  await other.goto(`${ORIGIN}/console/#/sessions`);
  const row = other.locator(`[data-session="${session}"]`);
  await row.getByRole("link", { name: "Watch" }).click();
  const viewer = new Terminal(other);
  await viewer.is("live");
  await viewer.sees("seen-before-42");
  await page.locator(".watched", { hasText: "Watched by admin" }).waitFor();
  await terminal.type("printf '\\033]8;;javascript:window.pwned=1\\033\\\\'; echo seen-after-$((40+2))");
  await viewer.sees("seen-after-42");
  assert.equal(await other.evaluate(() => window.pwned), undefined);
  await axe(other, "watch");
  await axe(page, "terminal");
  await other.close();
  await page.locator(".watched").waitFor({ state: "detached" });
}

async function joined(page, terminal) {
  step("a message stands above the terminal; another user types after consent, and loses the seat");
  const session = page.url().split("/").pop();
  await ask(`message ${session}`);
  const message = page.locator(".message", { hasText: "bob: lunch at noon" });
  await message.waitFor();
  await message.getByRole("button", { name: "Dismiss" }).click();
  await message.waitFor({ state: "detached" });
  await ask(`join ${session}`);
  const dialog = page.locator("dialog", { hasText: "bob asks to type" });
  await dialog.waitFor();
  assert.match(await dialog.textContent(), new RegExp(session), "it says for which session");
  await axe(page, "request for the seat");
  await dialog.getByRole("button", { name: "Hand it over" }).click();
  await terminal.is("takenOver");
  await ask("type");
  await terminal.sees("from-bob-42");
  await page.keyboard.type("never-kept");
  await page.getByRole("button", { name: "Take it over" }).click();
  await terminal.is("connected");
  await terminal.type("echo own-again-$((40+2))");
  await terminal.sees("own-again-42");
  const shown = (await terminal.rows()).filter((row) => row.startsWith("from-bob-42"));
  assert.equal(shown.length, 1, "what the viewer has drawn is not drawn again");
  assert.ok(!(await terminal.rows()).join("\n").includes("never-kept"));
}

async function opened(context) {
  step("a shell with options: a reason; a document that there is not is refused and asked again");
  const page = await context.newPage();
  await page.goto(`${ORIGIN}/console/#/shell/${env.TOWLINE_DEVICE}/device?ask=1`);
  await page.getByLabel("Document").fill("No-Such-Document");
  await page.getByRole("button", { name: "Open" }).click();
  const terminal = new Terminal(page);
  await terminal.is("failed");
  await page.getByRole("alert").waitFor();
  await axe(page, "refused shell");
  await page.getByLabel("Document").fill("");
  await page.getByLabel("Reason").fill("a test of reasons");
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await terminal.is("connected");
  await terminal.type("exit");
  await terminal.is("ended");
  await page.close();
}

async function listed(context, page, terminal) {
  step("the list of sessions shows it; filters stand in the address");
  const session = page.url().split("/").pop();
  const other = await context.newPage();
  await other.goto(`${ORIGIN}/console/#/sessions`);
  const row = other.locator(`[data-session="${session}"]`);
  await row.waitFor();
  assert.match(await row.textContent(), /Connected/);
  await other.getByLabel("Device (id)").fill("mi-00000000000000000");
  await other.getByRole("button", { name: "Show" }).click();
  await other.locator("text=No session matches.").waitFor();
  assert.match(other.url(), /device=mi-0/);
  await other.goBack();
  await row.waitFor();

  step("terminated after a question; the terminal says so, the history shows why");
  await row.getByRole("button", { name: "Terminate" }).click();
  await other.locator("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await terminal.status(), "connected");
  await row.getByRole("button", { name: "Terminate" }).click();
  await other.locator("dialog").getByRole("button", { name: "Terminate" }).click();
  await terminal.is("ended");
  await other.locator("[role=status]", { hasText: "is terminated" }).waitFor();
  await other.getByLabel("State").selectOption("History");
  await other.getByRole("button", { name: "Show" }).click();
  await row.filter({ hasText: "terminated by arn:" }).waitFor();
  const ended = other.getByLabel("End reason");
  await ended.selectOption({ label: "idle for too long" });
  await other.getByRole("button", { name: "Show" }).click();
  await other.locator("text=No session matches.").waitFor();
  assert.match(other.url(), /end=idle/);
  await ended.selectOption({ label: "terminated" });
  await other.getByRole("textbox", { name: "Document" }).fill("no-such-document");
  await other.getByRole("button", { name: "Show" }).click();
  await other.locator("text=No session matches.").waitFor();
  await other.getByRole("textbox", { name: "Document" }).fill("");
  await other.getByRole("button", { name: "Show" }).click();
  await row.waitFor();
  await axe(other, "sessions");
  await other.setViewportSize({ width: 360, height: 640 });
  const wide = await other.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `the page is ${wide} pixels wide on a screen of 360`);
  await row.getByRole("link", { name: "Recording" }).click();
  return other;
}

async function played(page) {
  step("the recording of the ended session: the search jumps to a text, the timeline goes back");
  const screen = page.locator(".recorded .xterm-rows");
  const search = page.getByRole("searchbox", { name: "Search what the screen showed" });
  await search.waitFor();
  await axe(page, "player");
  await search.fill("dry-42");
  await page.getByRole("button", { name: "Find next" }).click();
  await page.locator("[role=status]", { hasText: "Found at" }).waitFor();
  await screen.filter({ hasText: "dry-42" }).waitFor();
  await search.fill("needle-42");
  await page.getByRole("button", { name: "Find next" }).click();
  await screen.filter({ hasText: "needle-42" }).filter({ hasNotText: "dry-42" }).waitFor();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  const waits = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download as cast" }).click();
  const cast = readFileSync(await (await waits).path(), "utf8");
  assert.ok(JSON.parse(cast.split("\n")[0]).version === 2 && cast.includes("needle-42"));
  await page.close();
}
