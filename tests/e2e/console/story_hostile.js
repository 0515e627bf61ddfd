// Hostile text on every page: what the API, the agent and the files of a device take is given to them,
// then each page is looked at. Nothing may become markup, run, open, or steer a terminal.
//
// Environment: that of story.js without TOWLINE_NAME; TOWLINE_SHARED, a folder that both ends see.
"use strict";

const assert = require("assert");
const { mkdirSync, writeFileSync } = require("fs");
const { join } = require("path");
const { ask, attempt, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const CONSOLE = `${env.TOWLINE_ORIGIN}/console/`;
const DEVICE = env.TOWLINE_DEVICE;

/** Markup, control sequences, directions of writing, and much of one word. */
const CORPUS = {
  markup: `<img src=x onerror=window.pwned=1><svg/onload=window.pwned=1><script>window.pwned=1</script>`,
  attribute: `"' onfocus=window.pwned=1 autofocus x="`,
  address: `javascript:window.pwned=1`,
  template: "{{constructor.constructor('window.pwned=1')()}}${window.pwned=1}{name}",
  // The last one asks for the title, as if it had been typed.
  title: "\x1b]0;owned\x07\x1b]2;owned\x07\x1b[21t",
  clipboard: "\x1b]52;c;b3duZWQ=\x07",
  link: "\x1b]8;;javascript:window.pwned=1\x1b\\press\x1b]8;;\x1b\\",
  c1: "\u009b31mred\u009d0;owned\u009c\u0090q\u009c",
  bidi: "\u202egnp.exe\u2066\u2067abc",
  zalgo: "e\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308".repeat(20),
  long: "w".repeat(4000),
};
const ALL = Object.values(CORPUS);
/** All of it in one line, of so many characters. */
const line = (most) => ALL.join(" ").slice(0, most);

let accepted = 0;

/** Gives a text of the corpus to an operation; what it refuses it has refused. */
async function give(page, target, body) {
  const { status, body: answer } = await attempt(page, target, body);
  assert.ok(status === 200 || status === 400, `${target}: ${status} ${JSON.stringify(answer)}`);
  if (status === 200) accepted += 1;
  return status === 200 ? answer : null;
}

story(async (page, context) => {
  const moved = await guarded(page, context);
  await signIn(page);
  const files = planted();
  await given(page);
  const session = await printed(page, context);
  await commanded(page);
  const look = (address, waits) => looked(page, moved, address, waits);
  await everyPage(page, look, { session, files });
  await refused(page, moved);
});

/** Sees to it that the attempt to leave the page, to open a window or to write the clipboard shows. */
async function guarded(page, context) {
  const moved = [];
  page.on("dialog", (dialog) => (moved.push(dialog.message()), dialog.dismiss()));
  context.on("page", (other) => moved.push(`a window: ${other.url()}`));
  await context.addInitScript(() => {
    window.open = (address) => (window.pwned = `open ${address}`);
    const clipboard = { writeText: async (text) => (window.pwned = `clipboard ${text}`) };
    Object.defineProperty(navigator, "clipboard", { value: clipboard });
  });
  return moved;
}

function planted() {
  step("files and folders with such names");
  const folder = join(env.TOWLINE_SHARED, "hostile");
  mkdirSync(folder);
  const names = ALL.map((text) => text.replace(/[/\0]/g, "_").slice(0, 60));
  for (const name of names) writeFileSync(join(folder, name), "x");
  mkdirSync(join(folder, "<b onclick=window.pwned=1>folder"));
  return folder;
}

async function given(page) {
  step("names, tags, reasons, descriptions, policies, and requests that are refused for the audit trail");
  const instances = [{ Key: "InstanceIds", Values: [DEVICE] }];
  const tagged = { ResourceType: "ManagedInstance", ResourceId: DEVICE };
  for (const text of [line(250), ...ALL]) {
    const cut = (most) => text.slice(0, most);
    await give(page, "AmazonSSM.StartAccessRequest", { Reason: cut(250), Targets: instances });
    await give(page, "AmazonSSM.CreateActivation", { IamRole: "towline", Description: cut(200) });
    const begun = await give(page, "AmazonSSM.StartSession", { Target: DEVICE, Reason: cut(250) });
    if (begun) await give(page, "AmazonSSM.TerminateSession", { SessionId: begun.SessionId });
    // What follows may be taken only where it is harmless; each is a line of the audit trail.
    await give(page, "AmazonSSM.StartSession", { Target: cut(100) });
    await give(page, "AmazonSSM.AddTagsToResource", { ...tagged, Tags: [{ Key: cut(60), Value: cut(200) }] });
    await give(page, "Towline.CreatePrincipal", { PrincipalName: cut(60) });
    const document = { Name: cut(60), Content: cut(500), DocumentType: "Session" };
    await give(page, "AmazonSSM.CreateDocument", document);
    await give(page, "Towline.GetRecording", { SessionId: cut(90) });
    const client = { ClientId: cut(60), ClientSecret: "x", NameClaim: cut(60) };
    await give(page, "Towline.CreateIdentityProvider", { ProviderName: cut(60), Issuer: "https://id.example", ...client });
    await give(page, "Towline.CreateIdentityProvider", { ProviderName: "corp", Issuer: `https://id.example/${cut(60)}`, ...client });
    await give(page, "Towline.GetSignInRequest", { UserCode: cut(9) });
    await give(page, "Towline.ApproveAccessRequest", { AccessRequestId: cut(15), Decision: "Approve" });
  }
  // The device keeps the name that its own agent gave it.
  for (const text of [CORPUS.markup, CORPUS.title, CORPUS.bidi]) {
    await give(page, "Towline.RenameDevice", { InstanceId: DEVICE, Name: text.slice(0, 128) });
  }
  await give(page, "Towline.CreatePrincipal", { PrincipalName: "eve" });
  const statement = { Sid: "x", Effect: "Allow", Action: "ssm:StartSession", Resource: `arn:aws:ssm:*:*:*${CORPUS.markup}` };
  const document = JSON.stringify({ Version: "2012-10-17", Id: CORPUS.markup, Statement: [statement] });
  const put = { PrincipalName: "eve", PolicyName: "hostile", PolicyDocument: document };
  await give(page, "Towline.PutPrincipalPolicy", put);
  // Texts that control the terminals of others are refused.
  assert.ok(accepted > 20, `only ${accepted} texts were taken`);
  step(`  ${accepted} texts were taken`);
}

/** A word for printf's %b: control characters as octal numbers, those of C1 as single bytes. */
function printable(text) {
  const octal = (c) => `\\0${c.charCodeAt(0).toString(8)}`;
  const escaped = text.replaceAll("'", "").replaceAll("\\", "\\\\");
  return `'${escaped.replace(/[\x00-\x1f\x7f-\x9f]/g, octal)}'`;
}

/** The corpus, but for its longest, as a program prints it. */
const PRINT = `printf '%b\\n' ${ALL.slice(0, -1).map(printable).join(" ")}`;

async function printed(page, context) {
  step("a shell with such output, such programs and a message; another one beside it");
  await page.goto(CONSOLE);
  await page.locator(`[data-device="${DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  const title = await page.title();
  await terminal.type("PS1='$ '; clear");
  await terminal.type(PRINT);
  await terminal.sees("press");
  await terminal.type(`/bin/echo '<img src=x onerror=window.pwned=1>' '\u202etxt' ; /bin/ls '<script>window.pwned=1</script>'`);
  await terminal.sees("No such file");
  await terminal.type("printf '\\033c'; echo alive-$((40+2))");
  await terminal.sees("alive-42");
  assert.ok(!(await terminal.all()).includes("]lowned"), "the title was typed into the shell");
  assert.equal(await page.title(), title);
  const session = await page.locator(".panel:not(.behind) .pane.active").getAttribute("data-session");
  await ask(`message ${session}`);
  await page.locator("text=onerror=window.pwned=1").first().waitFor();
  await clean(page, "terminal");
  const watcher = await context.newPage();
  await watcher.goto(`${CONSOLE}#/watch/${session}`);
  await watcher.locator(".xterm-rows", { hasText: "alive-42" }).waitFor();
  await clean(watcher, "watch");
  await watcher.close();
  await terminal.type(PRINT);
  await terminal.type("exit");
  await terminal.is("ended");
  return session;
}

async function commanded(page) {
  step("a command with such a comment, script and output");
  await give(page, "AmazonSSM.SendCommand", {
    DocumentName: "AWS-RunShellScript",
    InstanceIds: [DEVICE],
    Comment: line(100),
    Parameters: { commands: [PRINT, `${PRINT} >&2`, "exit 3"] },
  });
  await give(page, "AmazonSSM.SendCommand", {
    DocumentName: "AWS-RunShellScript",
    Targets: [{ Key: `tag:${CORPUS.markup.slice(0, 50)}`, Values: [CORPUS.bidi] }],
    Parameters: { commands: ["true"] },
  });
}

/** Nothing of the corpus is an element, an attribute that runs, or an address that runs. */
async function clean(page, name) {
  const found = await page.evaluate(() => {
    const bad = [];
    const known = "img, iframe, object, embed, script, base, form[action], svg:not(.qr)";
    for (const one of document.querySelectorAll(`body :is(${known})`)) {
      if (one.tagName === "SCRIPT" && one.src.startsWith(location.origin)) continue;
      bad.push(one.outerHTML.slice(0, 200));
    }
    for (const one of document.querySelectorAll("body *")) {
      for (const { name, value } of one.attributes) {
        const runs = /^(href|src|xlink:href|formaction)$/.test(name) && /^\s*(javascript|data|vbscript):/i.test(value);
        if (name.startsWith("on") || runs) bad.push(`${one.tagName} ${name}=${value.slice(0, 100)}`);
      }
    }
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) bad.push(`the page is wider than the screen by ${wide} pixels`);
    return { bad, pwned: window.pwned };
  });
  assert.deepEqual(found, { bad: [], pwned: undefined }, `${name}: ${JSON.stringify(found)}`);
  assert.doesNotMatch(await page.title(), /owned/);
}

async function looked(page, moved, address, waits) {
  await page.goto(`${CONSOLE}#/${address}`);
  await page.locator("main h1").first().waitFor();
  await page.locator(waits).first().waitFor();
  await clean(page, address || "devices");
  // What the pointer finds.
  for (const width of [1100, 360]) {
    await page.setViewportSize({ width, height: 700 });
    await clean(page, `${address || "devices"}, ${width} pixels wide`);
  }
  await page.setViewportSize({ width: 1100, height: 700 });
  const { pathname, origin } = new URL(page.url());
  assert.equal(origin + pathname, CONSOLE, "the page was left");
  assert.deepEqual(moved.filter((what) => !what.includes("about:blank") && !what.includes("#/watch/")), []);
}

async function everyPage(page, look, { session, files }) {
  step("each page shows it as text");
  const markup = "text=onerror=window.pwned";
  await look("", markup);
  await look(`?q=${encodeURIComponent(CORPUS.markup)}`, ".tools [role=status]");
  await look(`device/${DEVICE}`, markup);
  await look("sessions?state=History", "table");
  await look(`sessions?state=History&owner=${encodeURIComponent(CORPUS.markup)}`, "main");
  await look(`recording/${session}`, ".recorded .xterm-rows");
  await played(page);
  await look(`recording/${encodeURIComponent(CORPUS.markup)}`, ".trouble");
  await look(`executed?words=${encodeURIComponent("onerror")}`, "tbody td");
  await look(`executed?in=screens&words=${encodeURIComponent("alive-42")}`, "tbody td");
  await look("run", markup);
  await page.locator("main a", { hasText: "onerror" }).first().click();
  await eventually("the output is there", async () => (await page.locator("pre, code", { hasText: "press" }).count()) > 0);
  await clean(page, "a command");
  await look("enroll", markup);
  await look(`files/${DEVICE}?path=${encodeURIComponent(files)}`, markup);
  await look(`files/${DEVICE}?path=${encodeURIComponent(`/${CORPUS.markup}`)}`, "main");
  await look("access", markup);
  const query = encodeURIComponent(CORPUS.markup);
  await look(`access?device=${query}&request=${query}`, markup);
  await look("second-factor", "main");
  await page.click("text=Create one-time codes");
  await page.locator("svg.qr").waitFor();
  await clean(page, "one-time codes");
  await page.fill('form[data-form="enable"] input', CORPUS.markup.slice(0, 8));
  await page.keyboard.press("Enter");
  await page.locator('[role="alert"]').first().waitFor();
  await clean(page, "one-time codes, refused");
  await look("sign-in-request", 'input[name="code"]');
  await page.fill('input[name="code"]', "<img/>ab");
  await page.keyboard.press("Enter");
  await page.locator('[role="alert"]').first().waitFor();
  await clean(page, "a sign-in request, refused");
  await look("policies", "text=eve");
  await look("policies/user/eve", "main");
  await look("health", "main");
  await look("audit", "[data-event]");
  await look(`audit?name=${encodeURIComponent(CORPUS.markup)}`, "main");
  await page.goto(`${CONSOLE}#/${encodeURIComponent(CORPUS.markup)}`);
  await page.locator("text=There is no such page").waitFor();
  await clean(page, "no such page");
}

async function played(page) {
  step("the recording is played to its end: it draws, and steers nothing");
  await page.locator(".timeline").evaluate((timeline) => {
    timeline.value = timeline.max;
    timeline.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.locator(".recorded .xterm-rows", { hasText: "alive-42" }).waitFor();
  await page.locator(".markers", { hasText: "onerror" }).waitFor();
  await clean(page, "a recording");
}

async function refused(page, moved) {
  step("errors of the device and of the gateway are shown as text");
  await page.goto(`${CONSOLE}#/shell/${encodeURIComponent(CORPUS.markup)}/${encodeURIComponent(CORPUS.markup)}`);
  await page.locator("text=onerror").first().waitFor();
  await clean(page, "a shell that is refused");
  step("so do the pages of a sign-in");
  await page.goto(`${CONSOLE}#/${encodeURIComponent(CORPUS.markup)}`);
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await clean(page, "sign-in");
  for (const text of ALL) {
    const word = encodeURIComponent(text.slice(0, 400));
    for (const path of [
      `/console/sign-in/${word}`,
      `/console/sign-in/corp?to=${word}&role=${word}`,
      `/sign-in/start?provider=${word}&redirect=http%3A%2F%2F127.0.0.1%3A9%2F&challenge=${"x".repeat(43)}&state=${word}`,
      `/sign-in/callback?code=${word}&state=${word}`,
      `/sign-in/callback/${word}?code=${word}&state=${word}`,
      `/sign-in/callback?error=${word}&error_description=${word}&state=${word}&iss=${word}`,
    ]) {
      const response = await page.goto(env.TOWLINE_ORIGIN + path);
      // 429: so many sign-ins that failed are throttled, which is a page, too.
      assert.ok([400, 403, 404, 429].includes(response.status()), `${response.status()} ${path}`);
      await clean(page, path);
    }
  }
  await page.goto(`${CONSOLE}?${encodeURIComponent(CORPUS.markup)}#/sign-in-link/${encodeURIComponent(CORPUS.markup)}/x`);
  await page.locator("main, form").first().waitFor();
  await clean(page, "a link that is none");
  assert.equal(moved.filter((what) => what.includes("evil")).length, 0);
}
