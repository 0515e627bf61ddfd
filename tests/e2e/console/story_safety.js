// What a browser must not be tricked into, and what it may lack: frames, replayed and fixed sign-ins,
// two users of one browser; no clipboard, no WebGL, 200 % zoom, a phone's screen, the back button.
//
// Environment: as story.js.
"use strict";

const assert = require("assert");
const https = require("https");
const http = require("http");
const WebSocket = require("ws");
const { call, eventually, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const ORIGIN = env.TOWLINE_ORIGIN;
const CONSOLE = `${ORIGIN}/console/`;
const JSON_TYPE = "application/x-amz-json-1.1";

/** The code of the answer to a request without a browser. */
function codeOf(headers, body = "{}") {
  const { hostname, port } = new URL(ORIGIN);
  const options = { hostname, port, method: "POST", path: "/", headers, agent: false };
  return new Promise((resolve, reject) => {
    const sent = https.request(options, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve(JSON.parse(text).__type ?? "done"));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function cookieOf(context) {
  const [cookie] = await context.cookies();
  return `${cookie.name}=${cookie.value}`;
}

/** Whose sign-in a cookie is, or why it is none. */
function holderOf(cookie) {
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.GetSignIn" };
  return codeOf({ ...headers, Origin: ORIGIN, Cookie: cookie });
}

async function signOut(page) {
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
}

story(async (page, context, forgive) => {
  const ann = await replayed(page);
  await fixed(page, context, ann);
  await twoUsers(page, context, ann);
  await leftAttached(page, context, ann);
  await framed(context, forgive);
  await without(context);
  await told(page, context);
  await fields(page);
  await back(page);
  await reloaded(page);
  await small(page);
});

async function replayed(page) {
  step("a sign-in request that was overheard makes no sign-in, not even at once");
  const sent = page.waitForRequest((one) => one.headers()["x-amz-target"] === "Towline.CreateSignIn");
  await signIn(page);
  const headers = await (await sent).allHeaders();
  const names = Object.keys(headers).filter((name) => !name.startsWith(":"));
  const same = Object.fromEntries(names.map((name) => [name, headers[name]]));
  delete same["cookie"];
  same["host"] = new URL(ORIGIN).host;
  assert.equal(await codeOf(same), "InvalidSignatureException");
  await call(page, "Towline.CreatePrincipal", { PrincipalName: "ann" });
  const made = await call(page, "Towline.CreateAccessKey", { PrincipalName: "ann" });
  return made.AccessKey;
}

async function fixed(page, context, ann) {
  step("a sign-in that somebody put into the browser before is void after the user's own");
  await signOut(page);
  await signIn(page, ann.AccessKeyId, ann.SecretAccessKey);
  const planted = await cookieOf(context);
  const [{ name, domain, value }] = await context.cookies();
  await signOut(page);
  await signIn(page, ann.AccessKeyId, ann.SecretAccessKey);
  const known = await cookieOf(context);
  assert.notEqual(known, planted, "each sign-in has a new id");
  assert.equal(await holderOf(planted), "ExpiredTokenException");
  // The page does not know of a cookie that comes from elsewhere: the form is there.
  const left = "towline.terminal.somebody.screen.x";
  await page.evaluate((left) => sessionStorage.setItem(left, "a screen"), left);
  await context.clearCookies();
  await page.reload();
  await page.locator('input[name="key"]').waitFor();
  assert.equal(await page.evaluate((left) => sessionStorage.getItem(left), left), null);
  const kept = known.slice(known.indexOf("=") + 1);
  await context.addCookies([
    { name, value: kept, domain, path: "/", secure: true, httpOnly: true, sameSite: "Strict" },
  ]);
  await page.fill('input[name="key"]', env.TOWLINE_KEY);
  await page.fill('input[name="secret"]', env.TOWLINE_SECRET);
  await page.click('button[type="submit"]');
  await page.locator(".who", { hasText: "Signed in as admin" }).waitFor();
  assert.notEqual(await cookieOf(context), known);
  assert.equal(await holderOf(known), "ExpiredTokenException");
  assert.equal(await holderOf(`${name}=${value.slice(0, -4)}AAAA`), "UnrecognizedClientException");
}

async function twoUsers(page, context, ann) {
  step("two users of one browser: a page of the first does nothing as the second");
  // A page that asks for nothing by itself, and so does not learn of the sign-out.
  await page.click("nav >> text=Audit");
  await page.locator("[data-event]").first().waitFor();
  const other = await context.newPage();
  // A tab that does not tell the others, as one of another window's process that was stopped.
  await other.addInitScript(() => {
    window.BroadcastChannel = class {
      postMessage() {}
    };
  });
  await other.goto(CONSOLE);
  await other.locator(".who", { hasText: "Signed in as admin" }).waitFor();
  await signOut(other);
  await signIn(other, ann.AccessKeyId, ann.SecretAccessKey);
  await page.click("nav >> text=Policies");
  await page.locator(".notice", { hasText: "signed in as ann now" }).waitFor();
  await page.locator(".who", { hasText: "Signed in as ann" }).waitFor();
  await signOut(other);
  await other.close();
  await page.reload();
  await page.locator('input[name="key"]').waitFor();
}

async function leftAttached(page, context, ann) {
  step("a shell whose user's sign-in has ended is not typed into by the next user of the browser");
  await page.addInitScript(() => {
    const Before = window.WebSocket;
    window.WebSocket = class extends Before {
      constructor(...words) {
        super(...words);
        if (String(words[0]).includes("/console/events")) window.events = this;
      }
    };
  });
  const terminal = new Terminal(page);
  const shell = async () => {
    await signIn(page);
    await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
    await terminal.is("connected");
  };
  await shell();
  const SessionId = await page.locator(".pane.active").getAttribute("data-session");
  await context.clearCookies(); // the page asks for nothing, and does not learn of it
  const other = await context.newPage();
  await signIn(other, ann.AccessKeyId, ann.SecretAccessKey);
  await page.locator(".notice", { hasText: "signed in as ann now" }).waitFor();
  assert.equal(await page.locator(".pane").count(), 0);
  const stored = await page.evaluate(() => JSON.stringify(sessionStorage));
  assert.ok(!stored.includes(SessionId), stored);
  await signOut(other);
  await page.locator('input[name="key"]').waitFor();
  await other.close();
  step("a page that shows a shell hears of the end of its sign-in; the shell goes on");
  await shell();
  await call(page, "AmazonSSM.TerminateSession", { SessionId });
  await context.clearCookies();
  await page.evaluate(() => window.events.close()); // as the gateway does
  await page.locator('input[name="key"]').waitFor();
  await terminal.type("echo goes-on-$((40+2))");
  await terminal.sees("goes-on-42");
  await terminal.type("exit");
  await terminal.is("ended");
}

async function framed(context, forgive) {
  step("another site's page cannot show the console in a frame");
  const server = http.createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><title>evil</title><iframe src="${CONSOLE}"></iframe>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await eventually("Chromium says that it refused the frame", () => forgive(/frame/i) > 0);
  for (const frame of page.frames()) assert.equal(await frame.locator("input, #app").count(), 0);
  await page.close();
  server.close();
}

async function without(context) {
  const page = await context.newPage();
  await signIn(page);
  await page.close();
  for (const clipboard of ["no clipboard", "no right to the clipboard"]) {
    await withoutIt(context, clipboard);
  }
}

async function withoutIt(context, clipboard) {
  step(`without WebGL, and with ${clipboard}, a shell works`);
  const page = await context.newPage();
  await page.addInitScript((clipboard) => {
    const before = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return String(kind).startsWith("webgl") ? null : before.call(this, kind, ...more);
    };
    const refused = () => Promise.reject(new DOMException("denied", "NotAllowedError"));
    const value = clipboard === "no clipboard" ? undefined : { writeText: refused, readText: refused };
    Object.defineProperty(navigator, "clipboard", { value });
  }, clipboard);
  await page.goto(CONSOLE);
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("echo sum-$((6*7))");
  await terminal.sees("sum-42");
  await page.locator(".xterm-screen").dblclick({ position: { x: 20, y: 10 } });
  await page.keyboard.press("Control+Shift+C");
  await page.keyboard.press("Control+Shift+V");
  await terminal.type("echo still-$((1+1))");
  await terminal.sees("still-2");
  await terminal.type("exit");
  await terminal.is("ended");
  await page.close();
}

/** What becomes of a stream of events with these headers. */
function stream(headers) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${ORIGIN.replace("https:", "wss:")}/console/events`, { headers });
    socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
    socket.on("open", () => (socket.close(), resolve(101)));
    socket.on("error", (error) => resolve(error.message));
  });
}

async function told(page, context) {
  step("changes are told to all tabs by one websocket, which another page cannot open");
  await page.goto("about:blank");
  const streams = [];
  const count = (one) => one.on("websocket", (socket) => streams.push(socket.url()));
  count(page);
  const tabs = [await context.newPage(), await context.newPage()];
  for (const tab of tabs) {
    count(tab);
    await tab.goto(CONSOLE);
    await tab.locator(".row[data-device]").first().waitFor();
  }
  await eventually("the stream is open", async () => streams.length === 1);
  const cookie = await cookieOf(context);
  assert.equal(await stream({ Origin: ORIGIN, Cookie: cookie }), 101);
  assert.equal(await stream({ Origin: "https://evil.example", Cookie: cookie }), 403);
  assert.equal(await stream({ Cookie: cookie }), 403);
  assert.equal(await stream({ Origin: ORIGIN }), 403);
  const renamed = async (name) => {
    const begun = Date.now();
    await call(page, "Towline.RenameDevice", { InstanceId: env.TOWLINE_DEVICE, Name: name });
    await tabs[1].bringToFront();
    await tabs[1].locator(".row[data-device]", { hasText: name }).waitFor();
    assert.ok(Date.now() - begun < 20_000, "sooner than a page asks in turns");
  };
  await page.goto(CONSOLE);
  await page.locator(".row[data-device]").first().waitFor();
  // A tab that was told asks again only after a minute.
  await tabs[1].reload();
  await tabs[1].locator(".row[data-device]").first().waitFor();
  await renamed("told-once");
  step("another tab goes on when the one with the websocket is closed");
  await tabs[0].close();
  await eventually("a stream is open again", async () => streams.length === 2);
  await renamed("told-twice");
  await tabs[1].close();
}

async function fields(page) {
  step("no field but those of the sign-in offers its content to the next user of the browser");
  const device = env.TOWLINE_DEVICE;
  for (const name of ["", "run", "executed", "access", "policies", `files/${device}`, `device/${device}`]) {
    await page.goto(`${CONSOLE}#/${name}`);
    await page.locator("main input").first().waitFor();
    const kept = await page.locator("main input").evaluateAll((inputs) =>
      inputs
        .filter(({ type }) => ["text", "search", "number"].includes(type))
        .map((input) => (input.focus(), input.autocomplete)),
    );
    assert.ok(kept.every((word) => word === "off"), `${name}: ${kept}`);
  }
}

async function back(page) {
  step("the back button leads through pages, and back from a shell to the list");
  await page.goto(CONSOLE);
  await page.locator("h1", { hasText: "Devices" }).waitFor();
  await page.click("nav >> text=Sessions");
  await page.locator("h1", { hasText: "Sessions" }).waitFor();
  await page.click("nav >> text=Audit");
  await page.locator("h1", { hasText: "Audit" }).waitFor();
  await page.goBack();
  await page.locator("h1", { hasText: "Sessions" }).waitFor();
  await page.goBack();
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  const terminal = new Terminal(page);
  await terminal.is("connected");
  await terminal.type("export KEPT=still");
  await page.goBack();
  await page.locator(".own a").click();
  await terminal.is("connected");
  await terminal.type("echo $KEPT-there; exit");
  await terminal.is("ended");
}

/** Milliseconds from the click to the reload: before, while and after a shell is opened. */
const MOMENTS = [0, 20, 60, 150, 400];

async function reloaded(page) {
  step("a reload at any moment of a shell's opening leads to a shell that works");
  for (const moment of MOMENTS) {
    await page.goto(CONSOLE);
    await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
    await page.waitForTimeout(moment);
    await page.reload();
    const terminal = new Terminal(page);
    await terminal.is("connected");
    await page.reload();
    await terminal.is("connected");
    await terminal.type(`echo after-$((${moment}+1)).`);
    await terminal.sees(`after-${moment + 1}.`);
    await terminal.type("exit");
    await terminal.is("ended");
  }
}

/** The longest name and tags that a device takes, with no place to break them. */
async function named(page) {
  const { TOWLINE_DEVICE: InstanceId } = env;
  await call(page, "Towline.RenameDevice", { InstanceId, Name: "W".repeat(256) });
  const tag = (key) => ({ Key: key.repeat(120), Value: "W".repeat(256) });
  const Tags = ["a", "b", "c"].map(tag);
  await call(page, "AmazonSSM.AddTagsToResource", { ResourceType: "ManagedInstance", ResourceId: InstanceId, Tags });
}

/** Words of ours that are broken, and fields that are wider than their place. */
function untidy(page) {
  return page.evaluate(() => {
    const found = [];
    for (const one of document.querySelectorAll("main :is(input, select, textarea, button)")) {
      const [own, place] = [one, one.parentElement].map((each) => each.getBoundingClientRect());
      const isOut = own.width > 0 && own.right > place.right + 1;
      if (isOut) found.push(`${one.name || one.textContent} sticks out`);
    }
    const heads = "th[scope=col]:not(:has(.unseen))";
    const ours = `${heads}, .wide button, .wide .button, .own .button, .filters button, h2, .status`;
    for (const one of document.querySelectorAll(`main :is(${ours})`)) {
      const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        for (const { 0: word, index } of texts.currentNode.data.matchAll(/[A-Za-z]{2,20}(?![\w-])/g)) {
          const range = document.createRange();
          range.setStart(texts.currentNode, index);
          range.setEnd(texts.currentNode, index + word.length);
          const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
          if (lines.size > 1) found.push(`${word} is broken`);
        }
      }
    }
    return found;
  });
}

async function isTidy(page, name) {
  await page.waitForLoadState("networkidle");
  const found = await untidy(page);
  assert.deepEqual(found, [], `${name}: ${found.join("; ")}`);
}

async function small(page) {
  await page.setViewportSize({ width: 1280, height: 800 });
  step("1280 pixels: no field lies over another one, and no word of ours is broken");
  const wide = ["", "sessions", "sessions?state=History", "access", "policies", "health", "audit"];
  for (const name of wide) {
    await page.goto(`${CONSOLE}#/${name}`);
    await page.locator("main h1").waitFor();
    await isTidy(page, name || "devices");
  }
  await named(page);
  const one = ["device", "files"].map((name) => `${name}/${env.TOWLINE_DEVICE}`);
  const pages = ["", "sessions", "executed", "run", "enroll", "access", "policies", "health", "audit", ...one];
  const pixels = { "200 % zoom of 1100 by 700": [550, 350], "a phone": [360, 640] };
  for (const [what, [width, height]] of Object.entries(pixels)) {
    step(`${what}: no page is wider than the screen`);
    await page.setViewportSize({ width, height });
    for (const name of pages) {
      await page.goto(`${CONSOLE}#/${name}`);
      await page.locator("main h1").waitFor();
      const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok((await wider()) <= 0, `${name || "devices"} is wider by ${await wider()} pixels`);
      await isTidy(page, name || "devices");
    }
    await page.goto(`${CONSOLE}#/shell/${env.TOWLINE_DEVICE}`);
    const terminal = new Terminal(page);
    await terminal.is("connected");
    await terminal.type("echo fits-$((40+2))");
    await terminal.sees("fits-42");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the terminal's page is wider by ${wide} pixels`);
    await terminal.type("exit");
    await terminal.is("ended");
  }
}
