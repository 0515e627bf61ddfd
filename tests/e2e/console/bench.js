// Measures the console beside a plain page, and ttyd where there is one, in the same browser; each row
// goes to the command by `ask row JSON`: what, promise, console, plain, ttyd.
//
// Environment: that of story.js without TOWLINE_NAME. With TOWLINE_NEWEST, the name of a device of a
// large store, lists are measured and nothing else.
"use strict";

const { clock } = require("./bench_clock.js");
const { servePlain } = require("./bench_plain.js");
const { serveTtyd } = require("./bench_ttyd.js");
const { ask, signIn, step, story } = require("./browser.js");
const { Terminal } = require("./terminal.js");

const env = process.env;
const ORIGIN = env.TOWLINE_ORIGIN;
const STARTS = Number(env.TOWLINE_STARTS ?? 30);
const KEYS = 100;
const ROUNDS = 3;
const BULK = 16_000_000;
/** Bytes of the file that is on its way to the screen when Ctrl-C is pressed. */
const LARGE = 1_000_000_000;
const CUTS = 50;
/** How long Ctrl-C is waited for. */
const PATIENCE_MS = 20_000;

const row = (...cells) => ask(`row ${JSON.stringify([...cells, "", "", ""].slice(0, 5))}`);
const ms = (value) => (value === Infinity ? `over ${PATIENCE_MS / 1000} s` : `${value.toFixed(1)} ms`);
const sorted = (times) => times.sort((a, b) => a - b);
const share = (times, part) => sorted(times)[Math.max(0, Math.ceil(times.length * part) - 1)];
const two = (times) => `${ms(share(times, 0.5))} / ${ms(share(times, 0.99))}`;

story(async (page, context, forgive) => {
  await context.addInitScript(clock);
  if (env.TOWLINE_NEWEST) await lists(page);
  else await terminals(page, context, forgive);
});

/** A page that is measured beside the console. */
async function opened(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  return { ...times(page), isPlain: true };
}

const times = (page) => ({ page, terminal: new Terminal(page), parsed: [], painted: [], stops: [], speeds: [] });

async function terminals(page, context, forgive) {
  await signIn(page);
  const list = await scripts(page);
  await starts(page);
  const withTerminal = await scripts(page);
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  const terminal = new Terminal(page);
  await terminal.is("connected");
  const { rows, cols } = await size(page);
  const plain = await servePlain(rows, cols);
  const ttyd = await serveTtyd();
  const others = [await opened(context, plain.url)];
  if (ttyd) others.push(await opened(context, ttyd.url));
  const pages = [times(page), ...others];
  const whole = () => performance.getEntriesByType("navigation")[0].encodedBodySize;
  const packed = ttyd ? `${kB(await others[1].page.evaluate(whole))}, gzip, with its page` : "";
  const sizes = `${kB(list)} / ${kB(withTerminal)}`;
  await row("JS + CSS, brotli: list page / with terminal", "<= 45 / 130 kB", sizes, "", packed);
  for (let round = 1; round <= ROUNDS; round += 1) {
    step(`round ${round} of ${ROUNDS}: keys, output, Ctrl-C, all pages in turn`);
    for (const one of pages) {
      await one.page.bringToFront();
      await keys(one);
      await output(one);
      await stopped(one);
    }
  }
  const each = (of) => pages.map(of);
  await row("key to parsed, p50 / p99", "p50 <= plain + 2 ms", ...each(({ parsed }) => two(parsed)));
  await row("key to painted, p50 / p99", "p50 <= 16.7 ms", ...each(({ painted }) => two(painted)));
  const speed = ({ speeds }) => `${share(speeds, 0.5).toFixed(1)} MB/s`;
  await row("output into the screen", ">= 3 MB/s", ...each(speed));
  const worst = ({ stops }) => `${ms(share(stops, 0.5))} / ${ms(share(stops, 1))}`;
  await row("Ctrl-C in a flood, p50 / worst", "<= 200 ms", ...each(worst));
  for (const other of others) await other.page.close();
  plain.close();
  ttyd?.close();
  forgive(/ttyd|webgl/i); // what another page says is not ours
  await page.bringToFront();
  await largeFile(page, terminal);
  await cuts(page, terminal);
}

/** Starts a clock of the page, acts, and gives what the clock says. */
async function timed(page, name, words, act) {
  await page.evaluate(
    ([name, words]) => {
      window.bench.pending = window.bench[name](...words);
    },
    [name, words],
  );
  await act();
  return page.evaluate(() => window.bench.pending);
}

/** Bytes of scripts and styles that the page has loaded, as they were sent. */
function scripts(page) {
  return page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => /\.(js|css)$/.test(name))
      .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
  );
}

function size(page) {
  return page.evaluate(() => {
    const all = document.querySelector(".pane.active .xterm-rows");
    return { rows: all.children.length, cols: 100 };
  });
}

async function starts(page) {
  step(`${STARTS} shells are opened by a click`);
  const took = [];
  for (let start = 0; start <= STARTS; start += 1) {
    const button = page.locator(`[data-device="${env.TOWLINE_DEVICE}"] a.button`);
    await button.waitFor();
    took.push(await timed(page, "prompt", [], () => button.click()));
    if (start === STARTS) break;
    await page.click('button:text-is("End")');
    await page.click("text=Back to the devices");
  }
  const [first, ...others] = took;
  await row("click to prompt, p50 / p99", "<= 200 / 500 ms", two(others));
  await row("the first click, which loads the terminal's script", "", ms(first));
}

async function keys(one) {
  if (one.isPlain) await one.terminal.sees("#");
  // It echoes so many bytes, one by one. The last one is not measured: the prompt comes with its echo.
  const echoes = `dd bs=1 count=${KEYS + 1} 2> /dev/null`;
  await one.terminal.type(`clear; stty raw -echo; printf 'RE''ADY'; ${echoes}; stty sane; echo`);
  await one.terminal.sees("READY");
  for (let at = 0; at < KEYS; at += 1) {
    const key = String.fromCharCode(97 + (at % 26));
    const press = () => one.page.keyboard.press(key);
    const { parsed, painted } = await timed(one.page, "key", [key.charCodeAt(0)], press);
    one.parsed.push(parsed);
    one.painted.push(painted);
  }
  await one.page.keyboard.press("Enter");
}

async function output(one) {
  const file = `/tmp/towline-bench-${env.TOWLINE_DEVICE}`;
  await one.terminal.type(`head -c ${BULK} /dev/zero | tr '\\0' x | fold -w 79 > ${file}; clear; echo made-$((40+2))`);
  await one.terminal.sees("made-42");
  await one.page.keyboard.type(`cat ${file}; rm ${file}; echo end-$((40+2))`);
  const press = () => one.page.keyboard.press("Enter");
  one.speeds.push(BULK / 1000 / (await timed(one.page, "until", ["keydown", "end-42"], press)));
}

async function stopped(one) {
  await one.terminal.type(`clear; sh -c 'trap : INT; yes flood""ing; echo stopped-$((40+2))'`);
  await one.terminal.sees("flooding");
  const press = () => one.page.keyboard.press("Control+KeyC");
  // The plain page has no window: what was printed before the key may take longer than anybody waits.
  const words = ["keydown", "stopped-42", PATIENCE_MS];
  one.stops.push(await timed(one.page, "until", words, press).catch(() => Infinity));
  if (one.isPlain) await one.page.reload();
  else await one.terminal.type("clear");
}

/** `cat` of a large file: the longest time without a frame, and Ctrl-C. */
async function largeFile(page, terminal) {
  step("`cat` of 1 GB: frames and Ctrl-C");
  const file = `/tmp/towline-bench-large-${env.TOWLINE_DEVICE}`;
  const fill = `yes 'a line of a large file, seventy-nine bytes long with its end, as texts are.....' | head -c ${LARGE}`;
  await terminal.type(`clear; ${fill} > ${file}; echo made-$((40+2))`);
  await terminal.sees("made-42");
  const [stops, gaps] = [[], []];
  for (let round = 1; round <= ROUNDS; round += 1) {
    await terminal.type(`clear; sh -c 'trap : INT; cat ${file}; echo stopped-$?-${round}.'`);
    await terminal.sees("seventy-nine");
    const gap = () =>
      page.evaluate(
        () =>
          new Promise((resolve) => {
            let [first, last, longest] = [0, 0, 0];
            const look = (now) => {
              first ||= now;
              if (last) longest = Math.max(longest, now - last);
              last = now;
              if (now - first < 3000) requestAnimationFrame(look);
              else resolve(longest);
            };
            requestAnimationFrame(look);
          }),
      );
    gaps.push(await gap());
    const press = () => page.keyboard.press("Control+KeyC");
    stops.push(await timed(page, "until", ["keydown", `stopped-130-${round}.`, PATIENCE_MS], press));
  }
  await terminal.type(`rm ${file}; clear`);
  await row("`cat` of 1 GB: Ctrl-C, p50 / worst", "<= 200 ms", `${ms(share(stops, 0.5))} / ${ms(share(stops, 1))}`);
  await row("`cat` of 1 GB: longest time without a frame", "", ms(share(gaps, 1)));
}

async function cuts(page, terminal) {
  step(`${CUTS} cuts in a running loop`);
  const lines = CUTS * 25 + 50;
  await page.evaluate(() => {
    window.bench.returns.length = 0;
  });
  await terminal.type(
    `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line$i.; sleep 0.02; done; echo line-''over`,
  );
  for (let cut = 1; cut <= CUTS; cut += 1) {
    await terminal.sees(`line${cut * 25}.`);
    await ask("cut");
  }
  await terminal.sees("line-over");
  await terminal.hasEachOnce("line", lines);
  const returns = await page.evaluate(() => window.bench.returns);
  if (returns.length < CUTS) throw new Error(`${returns.length} of ${CUTS} cuts were seen`);
  await row(`${CUTS} cuts in a running loop: lines lost / doubled`, "0 / 0", "0 / 0");
  const worst = `${ms(share(returns, 0.5))} / ${ms(share(returns, 1))}`;
  await row("from the cut to the first byte after it, p50 / worst", "<= 500 ms", worst);
}

async function lists(page) {
  await signIn(page);
  const took = [];
  for (let times = 0; times < 10; times += 1) {
    await page.goto(`${ORIGIN}/console/?${times}`);
    took.push(
      await page.evaluate(
        () =>
          new Promise((resolve) => {
            const look = () => {
              const there = document.querySelector(".row[data-device]");
              if (there) resolve(performance.now());
              else requestAnimationFrame(look);
            };
            look();
          }),
      ),
    );
  }
  const all = await page.locator(".tools [role=status]").textContent();
  await row(`${all}: from the address to the first rows, p50 / worst`, "<= 200 ms", `${ms(share(took, 0.5))} / ${ms(share(took, 1))}`);
  const search = page.locator('input[type="search"]');
  const finds = [];
  for (let times = 0; times < 10; times += 1) {
    const name = env.TOWLINE_NEWEST.replace(/\d\d$/, String(10 + times));
    finds.push(await timed(page, "found", [name], () => search.fill(name)));
  }
  await row("search: from the last key to the row, p50 / worst", "<= 150 ms", `${ms(share(finds, 0.5))} / ${ms(share(finds, 1))}`);
}
