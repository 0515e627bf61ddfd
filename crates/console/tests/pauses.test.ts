// Pauses before a lost websocket is tried again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Pauses } from "../src/pauses.ts";

const PAUSES = [0, 250, 500, 1000];

/** Pauses by a clock that the test moves. */
function at() {
  const clock = { now: 0 };
  const pauses = new Pauses(
    PAUSES,
    () => clock.now,
    () => 1,
  );
  return { clock, pauses };
}

test("tries follow at once, and then after pauses that grow to a bound", () => {
  const { pauses } = at();
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => pauses.next()),
    [0, 250, 500, 1000, 1000],
  );
});

test("each loss of a connection that has held is followed by a try at once", () => {
  const { clock, pauses } = at();
  for (let n = 0; n < 50; n += 1) {
    pauses.made();
    clock.now += 250;
    assert.equal(pauses.next(), 0);
  }
});

test("connections that are lost as soon as they are made are asked for ever less often", () => {
  const { clock, pauses } = at();
  const waited = Array.from({ length: 10 }, () => {
    pauses.made();
    clock.now += 10;
    return pauses.next();
  });
  assert.deepEqual(waited, [0, 0, 0, 0, 0, 250, 500, 1000, 1000, 1000]);
  pauses.made();
  clock.now += 250;
  assert.equal(pauses.next(), 0, "one that holds ends that");
});

test("who asks for it, or comes back to the network, does not wait", () => {
  const { pauses } = at();
  for (let n = 0; n < 4; n += 1) pauses.next();
  pauses.atOnce();
  assert.equal(pauses.next(), 0);
});
