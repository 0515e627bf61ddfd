// What downloads keep in the browser, and its end.

import assert from "node:assert/strict";
import { test } from "node:test";
import { identity } from "../src/api.ts";
import { forgetKept, keptPrefix } from "../src/kept.ts";

/** A store of this origin with these files; `held` are held by a worker for so many tries. */
function store(files: string[], held = new Map<string, number>()): string[] {
  const root = {
    async *keys() {
      yield* [...files];
    },
    async removeEntry(name: string) {
      const tries = held.get(name) ?? 0;
      held.set(name, tries - 1);
      if (tries > 0) throw new DOMException("held", "NoModificationAllowedError");
      files.splice(files.indexOf(name), 1);
    },
  };
  const storage = { getDirectory: async () => root };
  Object.defineProperty(globalThis, "navigator", { value: { storage }, configurable: true });
  return files;
}

test("a sign-out removes all, also what a worker holds for a moment longer", async () => {
  const files = store(["towline-a-1", "towline-b-2", "other"], new Map([["towline-a-1", 2]]));
  await forgetKept();
  assert.deepEqual(files, ["other"]);
});

test("a sign-in removes what other sign-ins have left, and keeps its own", async () => {
  identity.value = { arn: "a", name: "a", csrf: "0123456789abcdef" } as typeof identity.value;
  const own = `${keptPrefix()}1`;
  assert.ok(own.startsWith("towline-0123456789ab-"));
  const files = store([own, "towline-other-1", "towline-2"]);
  await forgetKept(keptPrefix());
  assert.deepEqual(files, [own]);
});

test("a browser without such a store has nothing to remove", async () => {
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  await forgetKept();
});
