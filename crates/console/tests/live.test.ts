import assert from "node:assert/strict";
import { test } from "node:test";
import { arrow } from "../src/live/keys.ts";
import { LARGEST_FONT, SMALLEST_FONT, parsed } from "../src/live/preferences.ts";
import { ownerName } from "../src/owner.ts";
import { type Listed, narrowed, queryOf, requestOf, wantedOf } from "../src/sessions.ts";

const wanted = (query: string) => wantedOf(new URLSearchParams(query));

test("an address and what it asks for are the same", () => {
  const asked = wanted("state=History&owner=arn%3Aaws%3Aiam%3A%3A1%3Auser%2Fann&device=mi-1");
  assert.deepEqual(wantedOf(new URLSearchParams(queryOf(asked))), asked);
  assert.equal(wanted("state=anything").state, "Active");
  assert.deepEqual(queryOf(wanted("")), { state: "Active" });
});

test("only filters that are filled in are sent, times in UTC", () => {
  assert.deepEqual(requestOf(wanted(""), null), { State: "Active", MaxResults: 50 });
  const instant = new Date("2026-01-31T12:00").toISOString();
  const request = requestOf(wanted("state=History&device=+mi-1+&from=2026-01-31T12:00&to=no"), "n");
  assert.deepEqual(request, {
    State: "History",
    MaxResults: 50,
    Filters: [
      { key: "Target", value: "mi-1" },
      { key: "InvokedAfter", value: instant },
    ],
    NextToken: "n",
  });
});

test("what is shown is narrowed by all words, in any fact", () => {
  const session = (SessionId: string, Details: string): Listed => {
    return { SessionId, Details, Target: "mi-1", Status: "Terminated", StartDate: 0, Owner: "ann" };
  };
  const all = [session("ann-1", "idle"), session("ann-2", "terminated by bob")];
  const ids = (text: string) => narrowed(all, text).map(({ SessionId }) => SessionId);
  assert.deepEqual(ids(""), ["ann-1", "ann-2"]);
  assert.deepEqual(ids("BOB mi-1"), ["ann-2"]);
  assert.deepEqual(ids("bob idle"), []);
});

test("an owner is read by name, a role's session with its role", () => {
  assert.equal(ownerName("arn:aws:iam::1:user/ann"), "ann");
  assert.equal(ownerName("arn:aws:sts::1:assumed-role/ops/ann"), "ops/ann");
  assert.equal(ownerName("odd"), "odd");
});

test("stored preferences are bounded, and what is not understood is the default", () => {
  const normal = { font: 14, theme: "auto", reader: false };
  for (const text of [null, "", "[", "7", '{"font":"9","theme":"<b>"}']) {
    assert.deepEqual(parsed(text), normal);
  }
  assert.equal(parsed('{"font":1000}').font, LARGEST_FONT);
  assert.equal(parsed('{"font":-1}').font, SMALLEST_FONT);
  assert.deepEqual(parsed('{"font":20,"theme":"contrast","reader":true}').theme, "contrast");
});

test("arrows follow the mode of the program", () => {
  assert.equal(arrow("A", false), "\x1b[A");
  assert.equal(arrow("A", true), "\x1bOA");
});
