// Texts: what is filled into them, numbers of one, and times.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../src/parts.tsx";
import { SHARED, dateOf, language, textsOf } from "../src/strings.ts";
import { ADMIN } from "../src/strings/admin.ts";
import { FLEET, stateWord } from "../src/strings/fleet.ts";
import { LIVE, stateWord as stateOfSession } from "../src/strings/live.ts";
import { PLAYBACK } from "../src/strings/playback.ts";
import { SIGN_IN } from "../src/strings/sign_in.ts";
import { TERMINAL } from "../src/strings/terminal.ts";

const ALL: [string, readonly [string, string]][] = [
  SHARED,
  ADMIN,
  FLEET,
  LIVE,
  PLAYBACK,
  SIGN_IN,
  TERMINAL,
].flatMap((texts) => Object.entries(texts));

const placesOf = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

test("a text has the same places in both languages, and Korean no plurals", () => {
  for (const [name, [english, korean]] of ALL) {
    assert.deepEqual(placesOf(korean), placesOf(english), name);
    assert.doesNotMatch(korean, /[[\]|]/, name);
    assert.doesNotMatch(english.replace(/\[[^[\]|]*\|[^[\]|]*\]/g, ""), /[[\]|]/, name);
  }
});

/** Texts that name a bound, or a sum, which is never one. */
const NEVER_ONE = ["previewMany", "tooManyFiles", "verifiedNotAll", "verifiedWhole"];
/** What counts. */
const COUNTS =
  "all bytes count cut done failed gaps left lines looked minutes n online seconds".split(" ");

test("of one thing no text speaks as of several", () => {
  for (const [name, text] of ALL) {
    if (NEVER_ONE.includes(name)) continue;
    const t = textsOf({ text });
    const filled = (number: number) =>
      t("text", Object.fromEntries(COUNTS.map((count) => [count, number])));
    assert.doesNotMatch(filled(1), /\b1 (?!is\b|was\b|has\b|gets\b)[a-z]{2,}s\b/, name);
    assert.doesNotMatch(filled(2), /\b2 (device|session|byte|line|file|event|record)\b/, name);
  }
});

test("a number takes the words behind it along, and a value is not read as a text", () => {
  const t = textsOf({ text: ["{n} file[|s] of {name}: {m} [is|are] left", "{n} {name} {m}"] });
  assert.equal(t("text", { n: 1, name: "[a|b] {n}", m: 2 }), "1 file of [a|b] {n}: 2 are left");
  assert.equal(t("text", { n: 0, name: "1", m: 1 }), "0 files of 1: 1 is left");
});

test("a time names its day and its time zone", () => {
  for (const own of [0, 1] as const) {
    language.value = own;
    const text = dateOf(Date.UTC(2026, 10, 9, 8, 7, 6) / 1000);
    assert.match(text, own === 0 ? /^\d+ Nov 2026/ : /^2026\. 11\. \d+\./);
    assert.match(text, /(UTC|GMT|[A-Z]{2,5}|[+-]\d+)/);
  }
  language.value = 0;
  assert.equal(dateOf(undefined), "");
});

test("a size has a unit, and no more than three digits before its point", () => {
  assert.deepEqual([0, 999, 1000, 999_949, 999_951].map(bytesOf), [
    "0 B",
    "999 B",
    "1.0 kB",
    "999.9 kB",
    "1.0 MB",
  ]);
});

test("a state has a word in each language, and one of a newer gateway is shown as it is", () => {
  const sessions = "Connected Connecting Disconnected Terminated Terminating Failed".split(" ");
  const commands = "Pending InProgress Success Cancelled Cancelling TimedOut".split(" ");
  const all = [...sessions, ...commands, "Active", "Retired", "Revoked"];
  for (const state of all) assert.equal(stateWord(state), state);
  language.value = 1;
  for (const state of all) assert.match(stateWord(state), /^[가-힣 ]+$/);
  for (const state of sessions) assert.equal(stateOfSession(state), stateWord(state));
  assert.equal(stateWord("Of A Newer One"), "Of A Newer One");
  language.value = 0;
});
