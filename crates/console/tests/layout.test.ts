// Tabs and splits as values: who is typed into after each change.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EMPTY,
  type Layout,
  allOf,
  focusOf,
  focused,
  inNewTab,
  inSplit,
  mapped,
  replaced,
  stepped,
  turned,
  without,
} from "../src/live/layout.ts";

/** Tabs `a b | c`; `b` is typed into, and its tab is in front. */
const TWO: Layout<string> = turned(
  inNewTab(inSplit(inNewTab<string>(EMPTY, "a"), "b", "below"), "c"),
  1,
);

test("a terminal opens in front, in a tab of its own or behind the one that is typed into", () => {
  assert.deepEqual(allOf(TWO), ["a", "b", "c"]);
  assert.equal(focusOf(TWO), "b");
  const three = inSplit(focused(TWO, "a"), "x", "beside");
  assert.deepEqual(three.tabs[0], { terminals: ["a", "x", "b"], way: "beside", at: 1 });
  assert.equal(focusOf(inSplit<string>(EMPTY, "a", "beside")), "a");
});

test("steps go round, through tabs and through the terminals of a tab", () => {
  assert.equal(focusOf(turned(TWO, 1)), "c");
  assert.equal(focusOf(turned(TWO, -1)), "c");
  assert.equal(focusOf(stepped(TWO, 1)), "a");
  assert.equal(focusOf(stepped(EMPTY, 1)), null);
});

test("a terminal that leaves hands on to the one before it", () => {
  assert.equal(focusOf(without(TWO, "b")), "a");
  assert.equal(focusOf(without(TWO, "a")), "b");
  const left = without(without(TWO, "a"), "b");
  assert.deepEqual([focusOf(left), left.tabs.length], ["c", 1]);
  assert.deepEqual(without(left, "c"), { tabs: [], at: 0 });
  assert.equal(focusOf(without(TWO, "c")), "b");
});

test("what is stored keeps its place; what has ended is left out", () => {
  const kept = mapped(TWO, (one) => (one === "a" ? null : one.toUpperCase()));
  assert.deepEqual([allOf(kept), focusOf(kept)], [["B", "C"], "B"]);
  const last = mapped(focused(TWO, "c"), (one) => (one === "c" ? one : null));
  assert.deepEqual([last.tabs.length, focusOf(last)], [1, "c"]);
  assert.equal(focusOf(mapped(TWO, () => null)), null);
  assert.equal(focusOf(replaced(TWO, "b", "d")), "d");
});
