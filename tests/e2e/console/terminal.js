// A terminal of the console, as a person sees and types into it.
"use strict";

const { eventually } = require("./browser.js");

/** The terminal that is typed into, on a page that may have several. */
const ACTIVE = ".panel:not(.behind) .pane.active";

class Terminal {
  /** `root`: the part of the page that holds it. */
  constructor(page, root = ACTIVE) {
    this.page = page;
    this.root = root;
  }

  /** The rows in sight. */
  rows() {
    return this.page.evaluate((root) => {
      const part = document.querySelector(root) ?? document;
      return Array.from(part.querySelectorAll(".xterm-rows > div"), (row) => row.textContent);
    }, this.root);
  }

  /** The element of the page, or of its part that holds the terminal. */
  async part() {
    const part = this.page.locator(this.root);
    return (await part.count()) > 0 ? part : this.page.locator("body");
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
    await (await this.part()).locator(".xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
  }

  async status() {
    return (await this.part()).locator("[data-status]").getAttribute("data-status");
  }

  async is(status) {
    let last;
    await eventually(`the terminal is ${status}`, async () => {
      last = await this.status().catch(() => null);
      return last === status;
    }).catch(async (error) => {
      const words = await (await this.part()).locator("[data-status]").innerText().catch(() => "");
      throw new Error(`${error.message}, it is ${last}: ${words}`);
    });
  }

  /** All that was shown, with what has scrolled away: what a reload would begin with. */
  async all() {
    return this.page.evaluate((root) => {
      dispatchEvent(new PageTransitionEvent("pagehide"));
      const end = `.screen.${document.querySelector(root)?.dataset.session}`;
      const name = Object.keys(sessionStorage).find((key) => key.endsWith(end));
      return name ? JSON.parse(sessionStorage.getItem(name)).screen : "";
    }, this.root);
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
