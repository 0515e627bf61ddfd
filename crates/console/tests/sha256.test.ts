// The digest of copied files, against the vectors of FIPS 180-4 and Node's own implementation.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Sha256 } from "../src/fleet/files/sha256.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("the digests of FIPS 180-4's examples are right", () => {
  const of = (text: string): string => hex(new Sha256().update(Buffer.from(text)).digest());
  assert.equal(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("a digest does not depend on how the content is cut", () => {
  const content = Uint8Array.from({ length: 1000 }, (_, at) => (at * 31) & 255);
  for (let length = 0; length <= content.length; length += 37) {
    const expected = createHash("sha256").update(content.subarray(0, length)).digest("hex");
    for (const step of [1, 63, 64, 65, 1000]) {
      const hash = new Sha256();
      for (let at = 0; at < length; at += step) {
        hash.update(content.subarray(at, Math.min(at + step, length)));
      }
      assert.equal(hex(hash.digest()), expected, `${length} bytes in steps of ${step}`);
    }
  }
});
