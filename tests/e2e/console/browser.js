// Chromium as a test uses it: with a profile of its own that trusts the gateway's private CA, and a
// record of every policy report, script error and console error.
"use strict";

const assert = require("assert");
const { createHmac } = require("crypto");
const { mkdtempSync, rmSync } = require("fs");
const { tmpdir } = require("os");
const { join } = require("path");
const readline = require("readline");
const { chromium } = require("playwright-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PATIENCE = 60_000;
/** What Chromium itself writes about requests that a test makes fail. */
const OF_THE_NETWORK = /^(Failed to load resource: |WebSocket connection to )/;

const input = readline.createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();

/** Nothing more is asked: node may end. */
function finish() {
  input.close();
  process.stdin.destroy();
}

/** Has the test's other half do something: kill the gateway, cut the link. */
async function ask(what) {
  process.stdout.write(`ask ${what}\n`);
  const { value } = await lines.next();
  if (value !== `done ${what}`) throw new Error(`asked for ${what}, got ${value}`);
}

/** Starts Chromium; `troubles` fills with whatever must not happen. */
async function open(troubles) {
  const profile = mkdtempSync(join(tmpdir(), "towline-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.TOWLINE_CHROMIUM,
    args: FLAGS,
    env: process.env,
    viewport: { width: 1100, height: 700 },
    locale: "en-US",
    timeout: PATIENCE,
  });
  context.setDefaultTimeout(PATIENCE);
  await context.exposeFunction("towlineReport", (text) => troubles.push(text));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      const { violatedDirective, blockedURI, sourceFile, lineNumber } = event;
      window.towlineReport(`policy: ${violatedDirective} ${blockedURI} ${sourceFile}:${lineNumber}`);
    });
  });
  context.on("page", watch);
  context.pages().forEach(watch);
  function watch(page) {
    page.on("pageerror", (error) => troubles.push(`script: ${error.stack}`));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      if (!OF_THE_NETWORK.test(message.text())) troubles.push(`console: ${message.text()}`);
    });
  }
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/** Waits until `look` gives something true, `patience` milliseconds at the most. */
async function eventually(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  let last;
  while (Date.now() < end) {
    last = await look();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: not within ${patience} ms`);
}

/** Opens the console and signs in. */
async function signIn(page, key = process.env.TOWLINE_KEY, secret = process.env.TOWLINE_SECRET) {
  await page.goto(`${process.env.TOWLINE_ORIGIN}/console/`);
  await page.fill('input[name="key"]', key);
  await page.fill('input[name="secret"]', secret);
  await page.click('button[type="submit"]');
  await page.locator("h1", { hasText: "Devices" }).waitFor();
}

/** Calls an operation as the user of the page; what it answers, and with which status. */
async function attempt(page, target, body) {
  return page.evaluate(
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
}

/** The same for an operation that must succeed. */
async function call(page, target, body) {
  const answer = await attempt(page, target, body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

/** The code of a secret in base32, now (RFC 6238); `steps` of 30 s from now. */
function codeOf(secret, steps = 0) {
  const bits = [...secret].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0"));
  const bytes = bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac("sha1", Buffer.from(bytes)).update(step).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** Says on standard error what a story does next, and when. */
function step(text) {
  process.stderr.write(`-- ${(performance.now() / 1000).toFixed(1)} s: ${text}\n`);
}

/** Keeps a picture of the page, if somebody wants one. */
async function picture(page, name) {
  const folder = process.env.TOWLINE_PICTURES;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}

/** Runs a story in one browser: what must not happen fails it. */
function story(act) {
  const run = async () => {
    const troubles = [];
    const { context, close } = await open(troubles);
    try {
      // Takes troubles back that a story has made itself: how many there were.
      const forgive = (pattern) => {
        const others = troubles.filter((text) => !pattern.test(text));
        return troubles.splice(0, troubles.length, ...others).length - others.length;
      };
      await act(context.pages()[0], context, forgive);
      if (troubles.length > 0) throw new Error([...new Set(troubles)].join("\n"));
    } finally {
      await close();
    }
    process.stdout.write("well\n");
    finish();
  };
  run().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
    process.exit();
  });
}

module.exports = { ask, attempt, call, codeOf, eventually, picture, signIn, step, story };
