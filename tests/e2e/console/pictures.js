// Pictures of the main pages for docs/console.md.
//
// Environment: that of story.js without TOWLINE_NAME; TOWLINE_OTHER, a second device; TOWLINE_PICTURES,
// the folder.
"use strict";

const { eventually, picture, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;

story(async (page) => {
  await page.setViewportSize({ width: 960, height: 500 });
  await page.emulateMedia({ colorScheme: "light" });
  await signIn(page);
  await terminals(page);
  await devices(page);
  await device(page);
  await command(page);
  await recording(page);
  await health(page);
});

async function terminals(page) {
  step("two shells beside each other, one of them searched");
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("export PS1='door:~$ '; clear; grep -E '^(NAME|VERSION)=' /etc/os-release");
  await page.getByRole("button", { name: "Split right" }).click();
  await terminal.is("connected");
  await terminal.type("export PS1='door:~$ '; clear; for i in 1 2 3; do printf '\\033[32mready\\033[0m line %s\\n' $i; done");
  await terminal.sees("line 3");
  await picture(page, "terminals");
  for (let left = 2; left > 0; left -= 1) {
    await page.locator(".pane.active").getByRole("button", { name: "End" }).click();
    await terminal.is("ended");
    await page.locator(".pane.active .bar button").last().click();
  }
}

async function devices(page) {
  step("the list of devices, in both colour schemes");
  await page.locator(".row[data-device]").nth(1).waitFor();
  await picture(page, "devices");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture(page, "devices-dark");
  await page.emulateMedia({ colorScheme: "light" });
}

async function device(page) {
  step("a device");
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] .name a`).click();
  await page.locator("h1", { hasText: "door" }).waitFor();
  await page.waitForLoadState("networkidle");
  await picture(page, "device");
}

async function command(page) {
  step("a command on both devices");
  await page.goto(`${CONSOLE}#/run`);
  await page.fill('textarea[name="script"]', "grep ^VERSION= /etc/os-release");
  await page.fill('input[name="tags"]', "site=seoul");
  await page.locator("text=2 devices get it").waitFor();
  await page.click('button:text-is("Run")');
  await page.locator('p[data-status="Success"]').waitFor();
  await page.locator("article.group pre").first().waitFor();
  await picture(page, "command");
}

async function recording(page) {
  step("the recording of a shell that has ended");
  await page.goto(`${CONSOLE}#/sessions?state=History`);
  await page.getByRole("link", { name: "Recording" }).first().click();
  const rows = page.locator(".recorded .xterm-rows");
  await rows.waitFor();
  await page.setViewportSize({ width: 960, height: 570 });
  const timeline = page.locator(".timeline");
  await eventually("the end of the recording", async () => {
    await timeline.focus();
    await page.keyboard.press("End");
    return (await rows.textContent()).includes("line 3") || (await rows.textContent()).includes("VERSION");
  });
  await picture(page, "recording");
  await page.setViewportSize({ width: 960, height: 500 });
}

async function health(page) {
  step("the state of the gateway");
  await page.goto(`${CONSOLE}#/health`);
  await page.locator("main dl, main table").first().waitFor();
  await picture(page, "health");
}
