// A person signs in to the console through an identity provider, and is tricked into nothing: replayed
// and mixed-up answers, forms, addresses of others. What she hangs on goes, and she is signed out.
//
// Environment: as story.js. The provider knows `ann` of the group `ops` and `eve` of none.
"use strict";

const assert = require("assert");
const { spawn, spawnSync } = require("child_process");
const { mkdtempSync } = require("fs");
const https = require("https");
const { tmpdir } = require("os");
const { join } = require("path");
const readline = require("readline");
const { axe } = require("./axe.js");
const { ask, call, eventually, picture, signIn, step, story } = require("./browser.js");

const { TOWLINE_ORIGIN: ORIGIN, TOWLINE_DEVICE: DEVICE } = process.env;
const CONSOLE = `${ORIGIN}/console/`;
const CALLBACK = `${ORIGIN}/sign-in/callback/corp`;
const JSON_TYPE = "application/x-amz-json-1.1";

/** A request without a browser: status and text. */
function request(method, path, headers, body) {
  const { hostname, port } = new URL(ORIGIN);
  const options = { hostname, port, method, path, headers, agent: false };
  return new Promise((resolve, reject) => {
    const sent = https.request(options, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Whether a cookie still signs somebody in. */
async function isGood({ name, value }) {
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.GetSignIn", Origin: ORIGIN };
  const answer = await request("POST", "/", { ...headers, Cookie: `${name}=${value}` }, "{}");
  return answer.status === 200;
}

/** The cookies of the gateway: the provider is on the same host. */
async function ours(context) {
  return (await context.cookies()).filter(({ name }) => name.startsWith("__Host-towline"));
}

/** Fills the provider's forms in: who it is, then consent. */
async function atProvider(page, person) {
  await page.fill('input[name="login"]', person);
  await page.fill('input[name="password"]', "x");
  await page.click('button[type="submit"]');
  await page.locator('input[name="prompt"][value="consent"]').waitFor({ state: "attached" });
  await page.click('button[type="submit"]');
}

async function signedIn(page, person) {
  await page.click("text=Sign in with corp");
  await atProvider(page, person);
  await page.locator(".who", { hasText: `Signed in as ${person}` }).waitFor();
}

story(async (page, context) => {
  const answer = await signedInThere(page, context);
  await replayed(page, context, answer);
  await mixedUp(page, context);
  await ledAstray(page);
  await temporarily(page, context);
  await madeAnew(page, context);
  await programSignsIn(page, context);
  await endedWith(page, context);
});

async function signedInThere(page, context) {
  step("a page of the console is asked for; the provider signs in; the page is shown");
  await page.goto(`${CONSOLE}#/device/${DEVICE}`);
  await page.locator("text=Sign in with corp").waitFor();
  await axe(page, "sign-in with providers");
  await picture(page, "sign-in-provider");
  let answer;
  page.on("request", (request) => {
    if (request.url().startsWith(`${CALLBACK}?`)) answer = request.url();
  });
  await signedIn(page, "ann");
  assert.equal(page.url(), `${CONSOLE}#/device/${DEVICE}`);

  step("one cookie is left: strict, out of reach of scripts; the page holds no token of the provider");
  const [cookie, ...more] = await ours(context);
  assert.deepEqual(more, []);
  const { path, httpOnly, secure, sameSite } = cookie;
  const want = { path: "/", httpOnly: true, secure: true, sameSite: "Strict" };
  assert.deepEqual({ path, httpOnly, secure, sameSite }, want);
  const stored = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  assert.ok(!/eyJ/.test(stored), stored);

  step("she has the role of her group, and sessions of her own");
  const { SessionId: id } = await call(page, "AmazonSSM.StartSession", { Target: DEVICE });
  assert.ok(id.startsWith("ann-"), id);
  await call(page, "AmazonSSM.TerminateSession", { SessionId: id });
  return answer;
}

async function replayed(page, context, answer) {
  step("the provider's answer is taken once, and by the browser that began alone");
  await page.goto(answer);
  await page.locator("text=belongs to no sign-in of this browser").waitFor();
  assert.equal((await request("GET", answer.slice(ORIGIN.length), {})).status, 403);
  const [cookie] = await ours(context);
  assert.ok(await isGood(cookie), "the sign-in that there is goes on");
  await page.goto(CONSOLE);
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  assert.ok(!(await isGood(cookie)), "signed out");
  await context.clearCookies();
}

async function mixedUp(page, context) {
  step("an answer with another state, or in a form, signs nobody in");
  await page.goto(CONSOLE);
  await page.click("text=Sign in with corp");
  await page.locator('input[name="login"]').waitFor();
  const [attempt] = await ours(context);
  assert.match(attempt.name, /^__Host-towline-attempt-/);
  assert.deepEqual([attempt.sameSite, attempt.httpOnly, attempt.secure], ["Lax", true, true]);
  const left = attempt.expires - Date.now() / 1000;
  assert.ok(left > 500 && left <= 601, `ten minutes: ${left}`);
  const Cookie = `${attempt.name}=${attempt.value}`;
  const form = await request("POST", "/sign-in/callback/corp", { Cookie }, "code=x&state=y");
  assert.equal(form.status, 405);
  assert.equal(form.headers["set-cookie"], undefined);
  await page.goto(`${CALLBACK}?code=x&state=${"A".repeat(43)}`);
  await page.locator("text=belongs to no sign-in of this browser").waitFor();
  assert.equal((await ours(context)).length, 1, "the sign-in that is under way goes on");
  await context.clearCookies();

  step("an answer of another provider (its `iss`) signs nobody in");
  const iss = encodeURIComponent("https://evil.example");
  for (const who of [`&iss=${iss}`, ""]) {
    const begun = await request("GET", "/console/sign-in/corp", {});
    const state = new URL(begun.headers.location).searchParams.get("state");
    const [mine] = begun.headers["set-cookie"][0].split(";");
    const path = `/sign-in/callback/corp?code=x&state=${state}${who}`;
    const other = await request("GET", path, { Cookie: mine });
    assert.equal(other.status, 403);
    assert.match(other.text, /belongs to no sign-in/);
  }
}

async function ledAstray(page) {
  step("the way back is a page of the console");
  for (const to of ["https://evil.example/", "\\evil.example", "/a\r\nX: y", "javascript:alert(1)"]) {
    const path = `/console/sign-in/corp?to=${encodeURIComponent(to)}`;
    assert.equal((await request("GET", path, {})).status, 400, to);
  }
  assert.equal((await request("GET", "/console/sign-in/none", {})).status, 400);
  await page.goto(`${ORIGIN}/console/sign-in/corp?to=//evil.example/x`);
  await atProvider(page, "ann");
  await page.locator(".who").waitFor();
  assert.equal(page.url(), `${CONSOLE}#//evil.example/x`);
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
}

async function temporarily(page, context) {
  step("temporary credentials sign in, and without their token they do not");
  await context.clearCookies();
  await page.goto(CONSOLE);
  const { TOWLINE_TEMPORARY_KEY: key, TOWLINE_TEMPORARY_SECRET: secret } = process.env;
  const fill = async (token) => {
    await page.fill('input[name="key"]', key);
    await page.fill('input[name="secret"]', secret);
    if (token) {
      await page.click("summary");
      await page.fill('input[name="token"]', token);
    }
    await page.click('button[type="submit"]');
  };
  await fill("");
  await page.locator('[role="alert"]', { hasText: "refused" }).waitFor();
  await fill(process.env.TOWLINE_TEMPORARY_TOKEN);
  await page.locator(".who", { hasText: "Signed in as admin" }).waitFor();
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
}

async function madeAnew(page, context) {
  step("a sign-in through the provider replaces the one that the browser had");
  await context.clearCookies();
  await signIn(page);
  const [before] = await ours(context);
  await page.evaluate(() => location.assign("/console/sign-in/corp"));
  await atProvider(page, "ann");
  await page.locator(".who", { hasText: "Signed in as ann" }).waitFor();
  const [after] = await ours(context);
  assert.notEqual(after.value, before.value);
  assert.ok(!(await isGood(before)), "the one before is void");
  assert.ok(await isGood(after));

  step("who is in no group of the mapping is not let in");
  await page.click("text=Sign out");
  await page.locator('input[name="key"]').waitFor();
  await context.clearCookies();
  await page.goto(CONSOLE);
  await page.click("text=Sign in with corp");
  await atProvider(page, "eve");
  await page.locator("text=none of your groups gives a role here").waitFor();
  assert.deepEqual(await ours(context), []);
  step("the provider does not take the same account again without being asked to");
  await page.click("text=Sign in with another account");
  await page.locator('input[name="login"]').waitFor();
}

/** A program on a machine without a browser: what it prints, and how it ends. */
function program(home, ...words) {
  const env = { HOME: home, TOWLINE_ENDPOINT: ORIGIN, TOWLINE_CA: process.env.TOWLINE_CA, PATH: "" };
  const child = spawn(process.env.TOWLINE_CLI, words, { env });
  const lines = readline.createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  let out = "";
  child.stdout.on("data", (part) => (out += part));
  const ended = new Promise((resolve) => child.on("exit", (status) => resolve({ status, out: () => out })));
  const code = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error("the program shows no code");
      const [, found] = value.match(/code: ([A-Z]{4}-[A-Z]{4})$/) ?? [];
      if (found) return found;
    }
  };
  const run = (...more) => spawnSync(process.env.TOWLINE_CLI, more, { env, encoding: "utf8" });
  return { code, ended, run, lines };
}

async function programSignsIn(page, context) {
  step("a program without a browser shows a code; a wrong code shows nothing");
  await context.clearCookies();
  const home = mkdtempSync(join(tmpdir(), "towline-home-"));
  const rejected = program(home, "login", "--no-browser");
  const refused = await rejected.code();
  await page.goto(`${CONSOLE}#/sign-in-request`);
  await signedIn(page, "ann");
  assert.equal(page.url(), `${CONSOLE}#/sign-in-request`);
  await page.locator(".warning", { hasText: "Go on only if you started" }).waitFor();
  await axe(page, "sign-in request");
  await page.fill('input[name="code"]', "BCDF-GHJK");
  await page.click("text=Show the request");
  await page.locator('[role="alert"]', { hasText: "no sign-in request with this code" }).waitFor();

  step("the right code shows where the request came from; it is rejected");
  await page.fill('input[name="code"]', refused.toLowerCase());
  await page.click("text=Show the request");
  assert.equal(await page.locator(".source").textContent(), "127.0.0.1");
  await axe(page, "sign-in request, shown");
  await picture(page, "sign-in-request");
  await page.click('button:text-is("Reject")');
  await page.locator('[role="status"]', { hasText: "rejected" }).waitFor();
  assert.equal((await rejected.ended).status, 254);

  step("one that asks for a role which the person does not have is refused, and ends at once");
  const greedy = program(home, "login", "--no-browser", "--role", "other");
  await page.reload();
  await page.fill('input[name="code"]', await greedy.code());
  await page.click("text=Show the request");
  await page.click('button:text-is("Sign it in as me")');
  await page.locator('[role="alert"]', { hasText: "asks for the role other" }).waitFor();
  await page.locator('input[name="code"]').waitFor();
  assert.equal((await greedy.ended).status, 254);

  step("another one is approved: the program has the role of the person, for no longer");
  const approved = program(home, "login", "--no-browser");
  const code = await approved.code();
  step("a restart of the gateway voids no request");
  await ask("restart the gateway");
  await page.reload();
  await page.fill('input[name="code"]', code);
  await page.click("text=Show the request");
  await page.click('button:text-is("Sign it in as me")');
  await page.locator('[role="status"]', { hasText: "signed in" }).waitFor();
  const { status, out } = await approved.ended;
  assert.equal(status, 0);
  assert.match(out(), /^signed in until /);
  const who = approved.run("whoami").stdout.split("\n");
  assert.match(who[0], /:assumed-role\/operator\/ann$/);
  assert.match(who[1], /^signed in until /);
  assert.equal(who[2], "second factor: no");

  step("a decided request cannot be decided again; without a sign-in nobody decides");
  await page.reload();
  await page.fill('input[name="code"]', code);
  await page.click("text=Show the request");
  await page.locator('[role="alert"]', { hasText: "no sign-in request with this code" }).waitFor();
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.DecideSignInRequest" };
  const body = JSON.stringify({ UserCode: code, Decision: "Approve" });
  const stranger = await request("POST", "/", { ...headers, Origin: ORIGIN }, body);
  assert.match(stranger.text, /MissingAuthenticationToken/);
  const [cookie] = await ours(context);
  const Cookie = `${cookie.name}=${cookie.value}`;
  const forged = await request("POST", "/", { ...headers, Origin: ORIGIN, Cookie }, body);
  assert.match(forged.text, /X-Towline-Csrf/, "a cookie without the value of the page");
}

async function endedWith(page, context) {
  for (const [end, restore] of [
    ["remove the mapping", "restore the mapping"],
    ["block ann", "unblock ann"],
    ["remove the provider", undefined],
  ]) {
    step(`${end}: the next request is refused`);
    await context.clearCookies();
    await page.goto(CONSOLE);
    await signedIn(page, "ann");
    const [cookie] = await ours(context);
    assert.ok(await isGood(cookie));
    await ask(end);
    assert.ok(!(await isGood(cookie)));
    await page.evaluate(() => (location.hash = "#/sessions"));
    await page.locator('input[name="key"]').waitFor();
    if (restore) await ask(restore);
  }
  await eventually("no button without a provider", async () => {
    await page.goto(CONSOLE);
    await page.locator('input[name="key"]').waitFor();
    return (await page.locator("text=Sign in with corp").count()) === 0;
  });
}
