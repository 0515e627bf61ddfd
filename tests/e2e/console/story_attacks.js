// A clumsy person and a hostile one: questions that cross each other, clicks and keys that come twice,
// a question that is open when the page, the user or the session changes, composed characters,
// connections that end at once, a file that shrinks under an upload, a disk that is full at either end,
// a reload in a copy, names of files that steer, rights that are taken away while the page is open.
//
// Environment: that of story.js without TOWLINE_NAME; TOWLINE_SHARED, a folder that both ends see.
"use strict";

const assert = require("assert");
const { existsSync, readFileSync, readdirSync, statSync, writeFileSync } = require("fs");
const { ask, call, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
const FILES = `${CONSOLE}#/files/${env.TOWLINE_DEVICE}?path=`;

story(async (page, context) => {
  await signIn(page);
  await crossed(page);
  await twice(page);
  await terminated(page);
  await composed(page);
  await left(page);
  await uploaded(page);
  await full(page);
  await reloaded(page);
  await named(page);
  await closed(context);
  await anotherUser(page, context);
});

const dialog = (page, text) => page.locator("dialog", { hasText: text });

/** Opens a shell by its button. */
async function shell(page) {
  await page.goto(CONSOLE);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  return terminal;
}

/** Pastes lines into the terminal, as the keyboard would. */
function paste(page, text) {
  return page.evaluate((text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    document.querySelector(".xterm-helper-textarea").dispatchEvent(event);
  }, text);
}

async function crossed(page) {
  step("another user asks for the seat while a question is open: it waits, and takes no click meant for the first");
  const told = [];
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => told.push(payload.toString("latin1"))),
  );
  const terminal = await shell(page);
  await paste(page, "echo pasted-$((40+2))\necho more\n");
  await dialog(page, "Paste 2 lines?").waitFor();
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await ask(`join ${session}`);
  await eventually("the page has heard of bob", async () => told.some((text) => text.includes("user/bob")));
  await page.waitForTimeout(200); // what must not happen would happen now
  assert.equal(await page.locator("dialog").count(), 1);
  await dialog(page, "Paste 2 lines?").getByRole("button", { name: "Paste" }).click();
  await dialog(page, "bob asks to type").getByRole("button", { name: "Keep it" }).click();
  await terminal.sees("echo more");
  await terminal.type(""); // a shell that knows pasted text from typed text waits for Enter
  await terminal.sees("pasted-42");
  await terminal.is("connected");
  await terminal.type("exit");
  await terminal.is("ended");
}

async function twice(page) {
  step("a second click, and Enter that is pressed twice or held, answer no question that came between");
  const terminal = await shell(page);
  const [first, second] = [dialog(page, "Paste 2 lines?"), dialog(page, "Paste 3 lines?")];
  const button = first.getByRole("button", { name: "Paste" });
  for (const answered of [
    () => button.dblclick(),
    async () => {
      await page.waitForTimeout(500); // a question that has just come takes no key
      await page.evaluate(() => {
        const at = performance.now(); // the second question has just come, however slow the keys are
        performance.now = () => at;
      });
      await page.keyboard.press("Enter");
      await second.waitFor();
      await page.keyboard.press("Enter");
    },
    async () => {
      await page.waitForTimeout(500);
      for (let held = 0; held < 20; held += 1) {
        await page.keyboard.down("Enter");
        await page.waitForTimeout(30);
      }
      await page.keyboard.up("Enter");
    },
  ]) {
    await paste(page, "echo two\ntrue\n");
    await paste(page, "echo three\ntrue\nfalse\n");
    await first.waitFor();
    await answered();
    await second.waitFor();
    await page.waitForTimeout(100); // what must not happen would happen now
    assert.equal(await second.count(), 1, "the second question was answered by a press for the first");
    await page.evaluate(() => delete performance.now); // the clock goes on
    await page.keyboard.press("Escape");
    await second.waitFor({ state: "detached" });
  }
  await page.keyboard.press("Enter");
  await page.click('button:text-is("End")');
  await terminal.is("ended");
}

async function terminated(page) {
  step("a session that somebody else ends takes its question with it, and says who ended it");
  const terminal = await shell(page);
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await paste(page, "echo never\ntrue\n");
  await dialog(page, "Paste 2 lines?").waitFor();
  await ask(`terminate ${session}`);
  await terminal.is("ended");
  await dialog(page, "Paste 2 lines?").waitFor({ state: "detached" });
  await page.locator("[data-status]", { hasText: "somebody terminated it" }).waitFor();
  assert.ok(await page.evaluate(() => document.activeElement !== document.body), "the keyboard is nowhere");
}

async function composed(page) {
  step("characters that are composed arrive once and whole; Enter that ends a composition answers nothing");
  const terminal = await shell(page);
  await terminal.type("read -r said; echo got-$said.");
  await page.locator(".pane.active .xterm-helper-textarea").focus();
  const browser = await page.context().newCDPSession(page);
  for (const text of ["ㅎ", "하", "한"]) {
    const key = { key: "Process", windowsVirtualKeyCode: 229 };
    await browser.send("Input.dispatchKeyEvent", { type: "rawKeyDown", ...key });
    await browser.send("Input.imeSetComposition", { text, selectionStart: 1, selectionEnd: 1 });
    await browser.send("Input.dispatchKeyEvent", { type: "keyUp", ...key });
  }
  await browser.send("Input.insertText", { text: "한글" });
  await page.waitForTimeout(100); // xterm reads what was composed after the event
  await page.keyboard.press("Enter");
  await terminal.sees("got-한글.");
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await page.goto(`${CONSOLE}#/sessions`);
  await page.getByRole("button", { name: `Message to ${session}` }).click();
  const question = dialog(page, "Text for the user of the session");
  const field = question.locator("input");
  await field.fill("한");
  await field.evaluate((input) => {
    const enter = { key: "Enter", keyCode: 229, bubbles: true, cancelable: true };
    input.dispatchEvent(new KeyboardEvent("keydown", enter));
    input.dispatchEvent(new KeyboardEvent("keydown", { ...enter, keyCode: 13, isComposing: true }));
  });
  assert.equal(await question.count(), 1, "a composed character was sent as an answer");
  await field.fill("");
  await page.keyboard.press("Enter");
  assert.equal(await question.count(), 1, "nothing was sent as an answer");
  await page.keyboard.press("Escape");
  await question.waitFor({ state: "detached" });
  await browser.detach();
  await call(page, "AmazonSSM.TerminateSession", { SessionId: session });
}

async function left(page) {
  step("a question is left with Escape, and the keyboard is where it was");
  const terminal = await shell(page);
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await page.goto(`${CONSOLE}#/sessions`);
  const button = page.getByRole("button", { name: `Terminate ${session}` });
  await button.focus();
  await page.keyboard.press("Enter");
  await dialog(page, session).waitFor();
  await page.keyboard.press("Escape");
  await dialog(page, session).waitFor({ state: "detached" });
  assert.ok(await button.evaluate((one) => one === document.activeElement), "the focus is elsewhere");
  step("the back button takes a question back with its page");
  await page.keyboard.press("Enter");
  await dialog(page, session).waitFor();
  await page.goBack();
  await terminal.is("connected");
  assert.equal(await page.locator("dialog").count(), 0, "the question outlived its page");
  await terminal.type("exit");
  await terminal.is("ended");
}

async function uploaded(page) {
  step("a file that has become shorter while it is read fails with words, and ends");
  await page.goto(FILES + encodeURIComponent(`${env.TOWLINE_SHARED}/there`));
  await page.locator('input[name="files"]').waitFor();
  // What a browser gives of a file that was cut behind its first piece.
  await page.evaluate(() => {
    const { slice } = File.prototype;
    File.prototype.slice = function (from, to, ...more) {
      return from > 0 ? new Blob([]) : slice.call(this, from, to, ...more);
    };
  });
  const buffer = Buffer.alloc(600_000, "x");
  await page.setInputFiles('input[name="files"]', { name: "shrinks", mimeType: "text/plain", buffer });
  const row = page.locator('[data-transfer="shrinks"]');
  await row.locator("text=has become shorter").waitFor();
  assert.equal(await row.getAttribute("data-state"), "failed");
}

const transfer = (page, name) => page.locator(`[data-transfer="${name}"]`).last();

async function full(page) {
  step("a device whose disk is full says so, and takes the next file");
  const small = `${env.TOWLINE_SHARED}/small`;
  await page.goto(FILES + encodeURIComponent(small));
  await page.reload(); // without the file that shrinks
  await page.locator('input[name="files"]').waitFor();
  const put = (name, bytes) =>
    page.setInputFiles('input[name="files"]', { name, mimeType: "text/plain", buffer: Buffer.alloc(bytes, "x") });
  await put("large", 3_000_000);
  await transfer(page, "large").locator("text=not enough space").waitFor();
  await put("fits", 1000);
  await page.locator('[data-transfer="fits"][data-state="done"]').waitFor();
  assert.deepEqual(readdirSync(small), ["fits"], "nothing is left of the one that has no room");

  step("a browser that has no room for a download says so; with room it goes on where it was");
  writeFileSync(`${env.TOWLINE_SHARED}/there/big`, Buffer.alloc(6_000_000, "y"));
  await page.goto(FILES + encodeURIComponent(`${env.TOWLINE_SHARED}/there`));
  await page.evaluate(() => (window.showSaveFilePicker = undefined));
  const browser = await page.context().newCDPSession(page);
  const origin = env.TOWLINE_ORIGIN;
  const { usage } = await browser.send("Storage.getUsageAndQuota", { origin });
  await browser.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + 2_000_000 });
  await page.getByRole("button", { name: "Download big" }).click();
  const row = transfer(page, "big");
  await row.locator("text=no more room for the file").waitFor();
  await browser.send("Storage.overrideQuotaForOrigin", { origin });
  await browser.detach();
  await row.getByRole("button", { name: "Try big again" }).click();
  await page.locator('[data-transfer="big"][data-state="done"]').waitFor();
  assert.match(await row.textContent(), /continued at/);
  const [saved] = await Promise.all([page.waitForEvent("download"), row.locator("a[download]").click()]);
  assert.ok(readFileSync(await saved.path()).equals(Buffer.alloc(6_000_000, "y")));
}

async function reloaded(page) {
  step("a reload in an upload: the same file, chosen again, goes on where it was and is whole");
  const path = `${env.TOWLINE_SHARED}/there/half`;
  const buffer = Buffer.from(Array.from({ length: 5_000_000 }, (_, at) => String(at % 997).padStart(4, "0")).join(""));
  const file = { name: "half", mimeType: "application/octet-stream", buffer };
  await page.setInputFiles('input[name="files"]', file);
  const there = () => readdirSync(`${env.TOWLINE_SHARED}/there`);
  const parts = (name) => name.includes("half") && name !== "half";
  await eventually("part of it is there", async () =>
    there().filter(parts).some((name) => statSync(`${env.TOWLINE_SHARED}/there/${name}`).size > 1_000_000),
  );
  const leaves = (question) => question.accept();
  page.on("dialog", leaves);
  await page.reload();
  page.off("dialog", leaves);
  await page.locator('input[name="files"]').waitFor();
  assert.ok(!existsSync(path), "it was whole before the reload");
  await page.setInputFiles('input[name="files"]', file);
  await page.locator('[data-transfer="half"][data-state="done"]').waitFor();
  assert.ok(readFileSync(path).equals(buffer), "the file is another one");
  assert.match(await transfer(page, "half").textContent(), /continued at/);
  assert.deepEqual(there().filter(parts), [], "nothing is left of the first attempt");
}

async function named(page) {
  step("files whose names have a line break, or look like a way out of the folder, are copied as they are");
  const names = ["two\nlines", "..%2f..%2fetc", "\u202egnp.exe", "-rf", "a;b`c$(d)"];
  for (const name of names) writeFileSync(`${env.TOWLINE_SHARED}/there/${name}`, name);
  await page.reload();
  await page.evaluate(() => (window.showSaveFilePicker = undefined));
  await page.locator("tbody tr").nth(names.length - 1).waitFor();
  for (const name of names) {
    const at = await page.locator("tbody tr").evaluateAll(
      (rows, name) => rows.findIndex((row) => row.dataset.key === name),
      name,
    );
    assert.ok(at >= 0, `no row of ${JSON.stringify(name)}`);
    const row = page.locator("tbody tr").nth(at);
    await row.getByRole("button").click();
    const link = page.locator(".transfers li").last().locator("a[download]");
    const [saved] = await Promise.all([page.waitForEvent("download"), link.click()]);
    assert.doesNotMatch(saved.suggestedFilename(), /[/\n\u202e]/);
    assert.equal(readFileSync(await saved.path(), "utf8"), name);
  }
}

async function closed(context) {
  step("a websocket that ends at each message is not asked for without a pause, and the shell returns");
  const page = await context.newPage();
  await page.addInitScript(() => {
    const Before = window.WebSocket;
    window.made = 0;
    window.WebSocket = class extends Before {
      constructor(...words) {
        super(...words);
        if (!String(words[0]).includes("/console/events")) window.made += 1;
        this.addEventListener("message", () => window.closes && this.close());
      }
    };
  });
  const terminal = await shell(page);
  await terminal.type("export KEPT=kept");
  await page.evaluate(() => ([window.closes, window.made] = [true, 0]));
  await terminal.type("echo once");
  await page.waitForTimeout(4000);
  const made = await page.evaluate(() => ((window.closes = false), window.made));
  assert.ok(made > 1 && made <= 12, `${made} connections in four seconds`);
  await terminal.is("connected");
  await terminal.type("echo $KEPT-$((40+2)); exit");
  await terminal.is("ended");
  await page.close();
}

async function anotherUser(page, context) {
  step("a question of one user is not answered by the next one of the same browser");
  await call(page, "Towline.CreatePrincipal", { PrincipalName: "ann" });
  const { AccessKey } = await call(page, "Towline.CreateAccessKey", { PrincipalName: "ann" });
  const statement = { Effect: "Allow", Action: "ssm:Describe*", Resource: "*" };
  const document = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  const put = { PrincipalName: "ann", PolicyName: "sees", PolicyDocument: document };
  await call(page, "Towline.PutPrincipalPolicy", put);
  await shell(page);
  const session = await page.locator(".pane.active").getAttribute("data-session");
  await page.goto(`${CONSOLE}#/sessions`);
  await page.getByRole("button", { name: `Terminate ${session}` }).click();
  await dialog(page, session).waitFor();
  const other = await context.newPage();
  // A tab that does not tell the others.
  await other.addInitScript(() => {
    window.BroadcastChannel = class {
      postMessage() {}
      close() {}
    };
  });
  // What the page asks for by itself in between gets no answer: it would hear that nobody is signed
  // in, and ask for nothing more.
  const unanswered = [`${env.TOWLINE_ORIGIN}/`, (route) => route.abort()];
  await page.route(...unanswered);
  await other.goto(CONSOLE);
  await other.click("text=Sign out");
  await other.locator('input[name="key"]').waitFor();
  await signIn(other, AccessKey.AccessKeyId, AccessKey.SecretAccessKey);
  await page.unroute(...unanswered);
  await page.locator(".notice", { hasText: "signed in as ann now" }).waitFor();
  assert.equal(await page.locator("dialog").count(), 0, "the question is still open");

  step("rights that are taken away while the page is open: it says so, and what it showed is marked as old");
  const row = page.locator(`[data-device="${env.TOWLINE_DEVICE}"]`);
  await row.waitFor();
  await ask("refuse");
  await page.fill('input[type="search"]', "a");
  await page.locator(".refusal", { hasText: "ssm:DescribeInstanceInformation" }).waitFor();
  await page.locator(".remark", { hasText: "What is shown is from" }).waitFor();
  await other.close();
}
