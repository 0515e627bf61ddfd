// A person at the console: signs in, finds a device, works in its shell through lost links, a killed
// gateway and a reload, leaves, returns, ends the shell and signs out.
//
// Environment: TOWLINE_ORIGIN, TOWLINE_KEY, TOWLINE_SECRET, TOWLINE_DEVICE (id), TOWLINE_NAME,
// TOWLINE_CHROMIUM; HOME with a certificate database that knows the gateway's CA.
"use strict";

const assert = require("assert");
const { createHash } = require("crypto");
const https = require("https");
const WebSocket = require("ws");
const { axe } = require("./axe.js");
const { ask, eventually, picture, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const ORIGIN = env.TOWLINE_ORIGIN;
const JSON_TYPE = "application/x-amz-json-1.1";

/** Fills in the form and sends it. */
async function submit(page, secret) {
  await page.fill('input[name="key"]', env.TOWLINE_KEY);
  await page.fill('input[name="secret"]', secret);
  await page.click('button[type="submit"]');
}

/** A request without a browser. */
function request(headers, body = "{}") {
  const { hostname, port } = new URL(ORIGIN);
  const options = { hostname, port, method: "POST", path: "/", headers, agent: false };
  return new Promise((resolve, reject) => {
    const sent = https.request(options, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function code(answer) {
  return `${answer.status} ${JSON.parse(answer.text).__type}`;
}

/** What becomes of a websocket with this origin. */
function websocket(path, origin) {
  return new Promise((resolve) => {
    const url = ORIGIN.replace("https:", "wss:") + path;
    const socket = new WebSocket(url, ["towline.stream.1"], origin ? { origin } : {});
    socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
    socket.on("open", () => (socket.close(), resolve(101)));
    socket.on("error", (error) => resolve(error.message));
  });
}

story(async (page, context) => {
  await signedInWithAWrongClock(context);
  const cookie = await signedIn(context, page);
  await listed(page);
  const terminal = new Terminal(page);
  await typed(page, terminal);
  await cutAndKilled(page, terminal);
  await reloaded(context, page, terminal);
  await takenWhileAway(context, page, terminal);
  await pasted(page, terminal);
  const csrf = await strangers(page, cookie);
  const renewed = await expired(context, page, terminal, { cookie, csrf });
  await leftAndEnded(page, terminal);
  await signedOut(context, page, renewed);
});

async function signedInWithAWrongClock(context) {
  for (const hours of [24, -24]) await signedInAt(context, hours);
}

async function signedInAt(context, hours) {
  step(`a computer whose clock is wrong by ${hours} hours signs in`);
  const page = await context.newPage();
  await page.addInitScript((hours) => {
    const Right = Date;
    const now = () => Right.now() + hours * 3_600_000;
    window.Date = class extends Right {
      constructor(...parts) {
        super(...(parts.length > 0 ? parts : [now()]));
      }
      static now() {
        return now();
      }
    };
  }, hours);
  await page.goto(ORIGIN + "/console/");
  const text = await page.textContent("body");
  if (text.includes("without the web console")) throw new Error(text);
  await submit(page, env.TOWLINE_SECRET);
  await page.locator(".row[data-device]").first().waitFor();
  step("an activation of one hour ends in an hour, by the gateway's clock");
  const made = page.waitForRequest((one) => one.headers()["x-amz-target"] === "AmazonSSM.CreateActivation");
  await page.click("nav >> text=Enroll");
  await page.fill('input[name="hours"]', "1");
  await page.click("text=Make the activation");
  const left = JSON.parse((await made).postData()).ExpirationDate - Date.now() / 1000;
  assert.ok(left > 3500 && left < 3700, `it ends in ${left} seconds`);
  await page.locator("svg.qr path").waitFor();
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await page.close();
}

async function signedIn(context, page) {
  step("the gateway's address leads to the console; a wrong secret is refused");
  await page.goto(ORIGIN + "/");
  assert.equal(page.url(), ORIGIN + "/console/");
  await axe(page, "sign-in");
  await picture(page, "sign-in");
  await submit(page, "wrong" + env.TOWLINE_SECRET.slice(5));
  await page.locator('[role="alert"]', { hasText: "refused" }).waitFor();
  assert.deepEqual(await context.cookies(), []);

  step("the right secret signs in; the cookie is out of reach of scripts and other sites");
  await submit(page, env.TOWLINE_SECRET);
  await page.locator(".row[data-device]").first().waitFor();
  const [cookie, ...more] = await context.cookies();
  assert.equal(more.length, 0);
  assert.match(cookie.name, /^__Host-towline-[0-9a-f]{16}$/);
  const { path, httpOnly, secure, sameSite } = cookie;
  const want = { path: "/", httpOnly: true, secure: true, sameSite: "Strict" };
  assert.deepEqual({ path, httpOnly, secure, sameSite }, want);
  assert.equal(await page.evaluate(() => document.cookie), "");
  const stored = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]));
  assert.ok(!stored.includes(env.TOWLINE_SECRET), stored);
  return `${cookie.name}=${cookie.value}`;
}

async function listed(page) {
  step("a device name that is markup is text; the search finds by id");
  const row = page.locator(`[data-device="${env.TOWLINE_DEVICE}"]`);
  assert.ok((await row.textContent()).includes(env.TOWLINE_NAME));
  assert.equal(await row.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  await page.fill('input[type="search"]', "no such device");
  await page.locator("text=No device matches.").waitFor();
  await page.fill('input[type="search"]', env.TOWLINE_DEVICE.slice(0, 12));
  await row.waitFor();

  step("English and Korean, light and dark");
  await page.click("text=한국어");
  await page.locator("h1", { hasText: "장치" }).waitFor();
  await page.click("text=English");
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  const light = await colour();
  await picture(page, "devices-light");
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await colour(), light);
  await picture(page, "devices-dark");
  await axe(page, "devices");
}

async function typed(page, terminal) {
  step("a shell: typed, read, of the right size from the first line on");
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  await terminal.is("connected");
  await terminal.type("stty size; echo sum-$((6*7)); export KEPT=still; echo 한글-$LANG");
  await terminal.sees("sum-42");
  await terminal.sees("한글-");
  const rows = (await terminal.rows()).length;
  assert.match((await terminal.rows()).join("\n"), new RegExp(`^${rows} \\d+`, "m"));
  await axe(page, "terminal");
  step("titles and links of the device steer nothing");
  const before = await page.title();
  await terminal.type("printf '\\033]0;owned\\007\\033]8;;javascript:window.pwned=1\\033\\\\press\\033]8;;\\033\\\\\\n'; echo title-$((40+2))");
  await terminal.sees("title-42");
  assert.equal(await page.title(), before);
}

const LOOP = (name, count) =>
  `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo ${name}$i.; sleep 0.02; done; echo ${name}-''over`;

async function cutAndKilled(page, terminal) {
  step("five cuts and a killed gateway in a running loop: no line is lost or doubled");
  await terminal.type(LOOP("line", 400));
  for (let cut = 1; cut <= 5; cut += 1) {
    await terminal.sees(`line${cut * 20}.`);
    await ask("cut");
  }
  await terminal.sees("line150.");
  await ask("kill");
  await terminal.is("reconnecting");
  await page.locator("text=Reconnecting since").waitFor();
  await terminal.type("echo typed-''once");
  await page.locator("text=bytes of input are kept").waitFor();
  await picture(page, "reconnecting");
  await ask("start");
  await terminal.is("connected");
  await terminal.sees("line-over");
  await terminal.sees("typed-once");
  await terminal.hasEachOnce("line", 400);
  const once = (await terminal.all()).match(/typed-once/g);
  assert.equal(once.length, 1, "what was typed meanwhile was executed once");
}

async function reloaded(context, page, terminal) {
  step("a reload in the middle of output: the same screen, and each line once");
  await terminal.type(LOOP("more", 300));
  await terminal.sees("more60.");
  await page.reload();
  await terminal.sees("more-over");
  await terminal.hasEachOnce("more", 300);
  await terminal.hasEachOnce("line", 400);
  await terminal.type("echo $KEPT-there");
  await terminal.sees("still-there");

  step("a second tab does not take the session without being asked to");
  const other = await context.newPage();
  await other.goto(page.url());
  const second = new Terminal(other);
  await second.is("elsewhere");
  step("it watches meanwhile, and what is typed into it goes nowhere");
  await second.sees("still-there");
  await other.locator(".status", { hasText: "in another tab. You are watching." }).waitFor();
  await other.locator(".xterm-helper-textarea").focus();
  await other.keyboard.type("typed-in-vain");
  await terminal.type("echo se''en");
  await second.sees("seen");
  assert.equal(await terminal.status(), "connected");
  await other.click("text=Take it over");
  await second.is("connected");
  await terminal.is("elsewhere");
  await second.type("echo mean''while");
  await second.sees("meanwhile");
  await terminal.sees("meanwhile");
  await other.close();
  await page.click("text=Take it over");
  await terminal.is("connected");
  await terminal.sees("meanwhile");
  assert.ok(!(await terminal.all()).includes("typed-in-vain"));
}

async function takenWhileAway(context, page, terminal) {
  step("another browser takes the session while this one is offline: this page watches, and takes nothing back unasked");
  const network = await context.newCDPSession(page);
  const offline = (offline) =>
    network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await offline(true);
  await ask("cut");
  await terminal.is("reconnecting");
  await page.keyboard.type("never-sent");
  const other = await context.newPage();
  // Another browser does not share the lock.
  await other.addInitScript(() => {
    navigator.locks.request = (_name, options, act) => (act ?? options)();
  });
  await other.goto(page.url());
  const second = new Terminal(other);
  await second.is("connected");
  await second.type("echo from-''another");
  await second.sees("from-another");
  await page.bringToFront();
  await offline(false);
  await terminal.is("takenOver");
  await page.locator(".status", { hasText: "Another client had this session meanwhile. 10 bytes" }).waitFor();
  await terminal.sees("from-another");
  step("nor does a reload");
  await page.reload();
  await terminal.is("takenOver");
  await terminal.sees("from-another");
  await second.type("echo st''ays");
  await second.sees("stays");
  await terminal.sees("stays");
  await page.click("text=Take it over");
  await terminal.is("connected");
  await terminal.type("echo $KEPT-seated");
  await terminal.sees("still-seated");
  assert.ok(!(await terminal.all()).includes("never-sent"));
  await second.is("takenOver");
  await other.close();
  await network.detach();
}

async function pasted(page, terminal) {
  step("more than one line is pasted after a question");
  const paste = (text) =>
    page.evaluate((text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      const event = { clipboardData, bubbles: true, cancelable: true };
      const target = document.querySelector(".xterm-helper-textarea");
      target.dispatchEvent(new ClipboardEvent("paste", event));
    }, text);
  await paste("echo not-''pasted\necho at-''all\n");
  await page.locator("dialog", { hasText: "Paste 2 lines?" }).waitFor();
  await page.click("dialog >> text=Cancel");
  step("what a shell would execute is never pasted without a question, nor beside its marks");
  await paste("echo not-''pasted\x1b[201~\r");
  await page.locator("dialog", { hasText: "Paste 1 line?" }).waitFor();
  await page.click("dialog >> text=Cancel");
  await paste("echo one-''pasted\necho two-''pasted\n");
  await page.locator('dialog button:text-is("Paste")').click();
  await terminal.sees("pasted");
  await page.keyboard.press("Enter");
  await terminal.sees("two-pasted");
  assert.ok(!(await terminal.all()).includes("not-pasted"));

  step("a paste of 1.2 MB through links that are cut in it arrives whole");
  const lines = Array.from({ length: 20_000 }, (_, at) => String(at).padStart(59, "0")).join("\n") + "\n";
  await terminal.type(`stty -echo; echo ready-$((40+2)); head -c ${lines.length} | sha256sum; stty echo`);
  await terminal.sees("ready-42");
  await paste(lines);
  await page.locator('dialog button:text-is("Paste")').click();
  for (let cut = 0; cut < 3; cut += 1) {
    await ask("cut");
    await terminal.is("connected");
  }
  await terminal.sees(createHash("sha256").update(lines).digest("hex"));
}

async function strangers(page, cookie) {
  step("another site's page does nothing with the cookie, the header or a websocket");
  const target = "AmazonSSM.DescribeInstanceInformation";
  const answer = await page.evaluate(
    async ([target, type]) => {
      const headers = { "Content-Type": type, "X-Amz-Target": target };
      const response = await fetch("/", { method: "POST", headers, body: "{}" });
      return { status: response.status, text: await response.text() };
    },
    [target, JSON_TYPE],
  );
  assert.match(code(answer), /^400 .*UnrecognizedClientException$/);
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.GetSignIn", Cookie: cookie };
  const ours = await request({ ...headers, Origin: ORIGIN });
  assert.equal(ours.status, 200, ours.text);
  const csrf = JSON.parse(ours.text).CsrfToken;
  for (const origin of [{}, { Origin: "https://evil.example" }, { Origin: "null" }]) {
    assert.match(code(await request({ ...headers, ...origin })), /AccessDeniedException$/);
    const listing = { ...headers, ...origin, "X-Amz-Target": target, "X-Towline-Csrf": csrf };
    assert.match(code(await request(listing)), /AccessDeniedException$/);
  }
  const path = "/v1/data-channel/somebody-00000000000000001";
  assert.equal(await websocket(path, "https://evil.example"), 403);
  assert.equal(await websocket(path, ORIGIN), 101);
  assert.equal(await websocket(path, null), 101);
  return csrf;
}

async function expired(context, page, terminal, { cookie, csrf }) {
  step("a sign-in that ends leaves the open shell alone; a new attach needs a new one");
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.DeleteSignIn", Cookie: cookie };
  const voided = await request({ ...headers, Origin: ORIGIN, "X-Towline-Csrf": csrf });
  assert.equal(voided.status, 200, voided.text);
  await terminal.type("echo $KEPT-attached");
  await terminal.sees("still-attached");
  await ask("cut");
  await terminal.is("needsSignIn");
  await submit(page, env.TOWLINE_SECRET);
  await terminal.is("connected");
  await terminal.type("echo $KEPT-after");
  await terminal.sees("still-after");
  const [renewed] = await context.cookies();
  assert.notEqual(`${renewed.name}=${renewed.value}`, cookie);
  return `${renewed.name}=${renewed.value}`;
}

async function leftAndEnded(page, terminal) {
  step("left, listed, returned to, ended");
  await page.click("text=Detach");
  await page.locator(".own a").click();
  await terminal.is("connected");
  await terminal.type("echo $KEPT-running");
  await terminal.sees("still-running");
  await page.click('button:text-is("End")');
  await terminal.is("ended");
  await page.click("text=Back to the devices");
  await page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`).click();
  await terminal.is("connected");
  await terminal.type("exit 7");
  await terminal.is("ended");
  await page.locator("text=status 7").waitFor();
  await page.click("text=Back to the devices");
}

async function signedOut(context, page, cookie) {
  step("signed out: the cookie is worth nothing any more, and nothing is left in the browser");
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  assert.deepEqual(await context.cookies(), []);
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.GetSignIn", Cookie: cookie };
  assert.match(code(await request({ ...headers, Origin: ORIGIN })), /ExpiredTokenException$/);
  await page.goBack();
  await page.locator('input[name="key"]').waitFor();
  assert.equal(await page.locator(".row[data-device]").count(), 0);
  await eventually("the sign-in page stays", async () => (await page.locator(".sign-in").count()) === 1);
}
