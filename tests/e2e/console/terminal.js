// A terminal of the console, as a person sees and types into it.
"use strict";

const { eventually } = require("./browser.js");

class Terminal {
  constructor(page) {
    this.page = page;
  }

  /** The rows in sight. */
  rows() {
    return this.page.evaluate(() =>
      Array.from(document.querySelectorAll(".xterm-rows > div"), (row) => row.textContent),
    );
  }

  async sees(text) {
    let rows = [];
    try {
      await eventually(`the screen shows ${JSON.stringify(text)}`, async () => {
        rows = await this.rows();
        return rows.join("\n").includes(text);
      });
    } catch (error) {
      throw new Error(`${error.message}; it shows:\n${rows.join("\n").trimEnd()}`);
    }
  }

  async type(text) {
    await this.page.locator(".xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
  }

  status() {
    return this.page.locator("[data-status]").getAttribute("data-status");
  }

  async is(status) {
    let last;
    await eventually(`the terminal is ${status}`, async () => {
      last = await this.status().catch(() => null);
      return last === status;
    }).catch((error) => {
      throw new Error(`${error.message}, it is ${last}`);
    });
  }

  /** All that was shown, with what has scrolled away: what a reload would begin with. */
  async all() {
    return this.page.evaluate(() => {
      dispatchEvent(new PageTransitionEvent("pagehide"));
      const name = Object.keys(sessionStorage).find((key) => key.startsWith("towline.terminal."));
      return name ? JSON.parse(sessionStorage.getItem(name)).screen : "";
    });
  }

  /** The numbers of the lines `NAMEnumber.` are 1 to `count`, each once and in order. */
  async hasEachOnce(name, count) {
    const all = await this.all();
    const found = [...all.matchAll(new RegExp(`${name}(\\d+)\\.`, "g"))].map((m) => Number(m[1]));
    const want = Array.from({ length: count }, (_, at) => at + 1);
    if (JSON.stringify(found) !== JSON.stringify(want)) {
      throw new Error(`lines of ${name} are lost or doubled: ${found.join(" ")}`);
    }
  }
}

module.exports = { Terminal };
