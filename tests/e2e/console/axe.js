// axe on the page that is open: the rules of WCAG 2.2 AA, in light and in dark.
"use strict";

const { readFileSync } = require("fs");

const SOURCE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/**
 * Fails with every violation on the page, and leaves the page's colours as they were. `name` says
 * which page it is.
 */
async function axe(page, name) {
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    found.push(...(await violations(page)).map((text) => `${name}, ${colorScheme}: ${text}`));
  }
  await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
  if (found.length > 0) throw new Error(`axe: ${found.length} violations\n${found.join("\n")}`);
}

/** The script comes by the debugger: neither policy nor Trusted Types of the page let it in. */
async function violations(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(SOURCE);
  return page.evaluate(async (values) => {
    const options = { runOnly: { type: "tag", values }, resultTypes: ["violations"] };
    const { passes, violations } = await window.axe.run(document, options);
    if (passes.length === 0) throw new Error("axe tested nothing");
    return violations.map(({ id, help, nodes }) => {
      const where = nodes.slice(0, 5).map((node) => node.target.join(" "));
      const why = nodes[0]?.failureSummary?.replace(/\s+/g, " ") ?? "";
      return `${id}: ${help}; at ${where.join(", ")} (${nodes.length}); ${why}`;
    });
  }, TAGS);
}

module.exports = { axe };
