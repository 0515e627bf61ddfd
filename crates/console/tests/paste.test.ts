// Which pasted texts are asked about, and what is taken out of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { linesToAsk, withoutEscapes } from "../src/live/paste.ts";

test("a part of a line is pasted at once; what a shell would execute is asked about", () => {
  for (const text of ["ls -l", "a\tb", "\uac00", ""]) assert.equal(linesToAsk(text), 0, text);
  for (const end of ["\n", "\r", "\r\n"]) {
    assert.equal(linesToAsk(`rm -r x${end}`), 1, JSON.stringify(end));
    assert.equal(linesToAsk(`one${end}two`), 2, JSON.stringify(end));
  }
});

test("control characters are asked about: some of them send a line as Enter does", () => {
  for (const control of ["\x0f", "\x04", "\x03", "\x0b", "\x1b", "\x7f"])
    assert.equal(linesToAsk(`ls${control}`), 1, JSON.stringify(control));
});

test("a pasted text cannot end what the shell takes for pasted", () => {
  const text = "ls\x1b[201~; rm -r x\r";
  assert.equal(withoutEscapes(text), "ls\u241b[201~; rm -r x\r");
  assert.equal(withoutEscapes("\x9b201~"), "\u241b201~");
  assert.equal(withoutEscapes("a\r\nb\t\uac00"), "a\r\nb\t\uac00");
});
