// Requests in turns: how long after an answer the next one follows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { signal } from "@preact/signals";
import { Asker } from "../src/answers.ts";

/** The pause after an answer that came `took` milliseconds after its request by the clock. */
async function pauseAfter(took: number): Promise<number | undefined> {
  const { setTimeout: before } = globalThis;
  const { now } = Date;
  const pauses: number[] = [];
  globalThis.setTimeout = ((_: () => void, ms: number) => pauses.push(ms)) as never;
  const read = async (): Promise<string> => {
    Date.now = () => now() + took;
    return "answer";
  };
  const told = {
    value: signal<string | null>(null),
    error: signal<unknown>(null),
    at: signal(0),
  };
  try {
    new Asker(read, told, 5_000).begin();
    await new Promise(setImmediate);
  } finally {
    [globalThis.setTimeout, Date.now] = [before, now];
  }
  assert.equal(told.value.value, "answer");
  return pauses[0];
}

test("a slow answer is given time, a computer that slept asks within a minute", async () => {
  const close = (pause: number | undefined, ms: number) =>
    assert.ok(pause !== undefined && Math.abs(pause - ms) < 1_000, `${pause}`);
  close(await pauseAfter(10), 5_000);
  close(await pauseAfter(4_000), 16_000);
  close(await pauseAfter(8 * 3_600_000), 60_000);
  close(await pauseAfter(-24 * 3_600_000), 5_000);
});
