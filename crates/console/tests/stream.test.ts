// Positions: what is kept, sent, acknowledged, trimmed and sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EscapeTail } from "../src/escape_tail.ts";
import { INPUT_KEPT, Input, Output, WINDOW } from "../src/stream.ts";
import { Malformed } from "../src/varint.ts";

const bytes = (text: string) => Uint8Array.from(Buffer.from(text));
const text = (data: Uint8Array | null | undefined) => (data ? Buffer.from(data).toString() : null);

test("input typed before the first attach is sent from the device's position on", () => {
  const input = new Input();
  assert.ok(input.push(bytes("ls\r")));
  assert.equal(input.next(100), null);
  input.attached(70, 100);
  assert.deepEqual(input.next(2), { offset: 70, data: bytes("ls") });
  assert.deepEqual(input.next(100), { offset: 72, data: bytes("\r") });
  assert.equal(input.next(100), null);
  input.credit(73, 173);
  assert.equal(input.waiting, 0);
});

test("after a lost link exactly what the device lacks is sent again", () => {
  const input = new Input();
  input.attached(0, 100);
  for (const part of ["abc", "def"]) input.push(bytes(part));
  input.next(100);
  input.lost();
  input.push(bytes("ghi"));
  assert.equal(input.next(100), null);
  input.attached(4, 3);
  assert.deepEqual(input.next(100), { offset: 4, data: bytes("efg") });
  input.credit(6, 50);
  assert.deepEqual(input.next(100), { offset: 7, data: bytes("hi") });
});

test("a device that goes back behind its word, or took what was not sent, is a violation", () => {
  const input = new Input();
  input.attached(10, 100);
  input.push(bytes("abc"));
  assert.throws(() => input.credit(11, 100), Malformed);
  input.next(100);
  input.credit(12, 100);
  assert.throws(() => input.attached(11, 100), Malformed);
  assert.throws(() => input.attached(14, 100), Malformed);
});

test("what the device took of another client is told from what it took of this one", () => {
  const input = new Input();
  assert.equal(input.isPassed(70), false);
  input.attached(70, 100);
  assert.equal(input.isPassed(70), false);
  assert.equal(input.isPassed(71), true);
  input.push(bytes("abc"));
  assert.equal(input.isPassed(71), true, "what was typed was not sent");
  input.next(2);
  input.lost();
  assert.equal(input.isPassed(72), false);
  assert.equal(input.isPassed(73), true);
  assert.deepEqual([input.waiting, input.unsent], [3, 1]);
});

test("input is kept within its bound", () => {
  const input = new Input();
  assert.ok(input.push(new Uint8Array(INPUT_KEPT)));
  assert.equal(input.push(bytes("x")), false);
  assert.equal(input.waiting, INPUT_KEPT);
});

test("output that came before is trimmed, and output behind a hole is dropped", () => {
  const output = new Output(null);
  assert.equal(output.data(0, bytes("early")), null);
  assert.equal(output.attached(100), 0);
  assert.equal(text(output.data(100, bytes("abc"))), "abc");
  assert.equal(text(output.data(101, bytes("bcd"))), "d");
  assert.equal(output.data(100, bytes("abc")), null);
  assert.equal(output.data(105, bytes("f")), null);
  assert.equal(output.position, 104);
});

test("an attach that begins behind the received bytes says how many are missing", () => {
  const output = new Output(50);
  assert.equal(output.attached(50), 0);
  output.data(50, bytes("abc"));
  output.showed(3);
  assert.equal(output.attached(60), 7);
  assert.equal(output.onScreen, 60);
});

test("credit is due after 4096 bytes on the screen, and at the end", () => {
  const output = new Output(0);
  output.attached(0);
  output.data(0, new Uint8Array(5000));
  assert.equal(output.room, WINDOW - 5000);
  output.showed(4095);
  assert.equal(output.credit(), null);
  output.showed(1);
  assert.deepEqual(output.credit(), { acked: 4096, limit: 4096 + WINDOW });
  assert.equal(output.credit(), null);
  output.fin(5000);
  assert.equal(output.credit(), null);
  output.showed(904);
  assert.deepEqual(output.credit(), { acked: 5001, limit: 5001 });
  assert.equal(output.credit(), null);
});

test("output beyond the window is a violation", () => {
  const output = new Output(0);
  output.attached(0);
  output.data(0, new Uint8Array(WINDOW));
  assert.throws(() => output.data(WINDOW, bytes("x")), Malformed);
});

test("the tail holds exactly what is not whole yet", () => {
  const cases: [string | number[], string | number[]][] = [
    ["plain", ""],
    ["red \x1b[3", "\x1b[3"],
    ["red \x1b[31m on", ""],
    ["title \x1b]0;half", "\x1b]0;half"],
    ["title \x1b]0;whole\x07 x", ""],
    ["title \x1b]0;whole\x1b\\ x", ""],
    ["charset \x1b(", "\x1b("],
    ["charset \x1b(B", ""],
    ["cancelled \x1b[31\x18x", ""],
    [
      [0x61, 0xec, 0x95],
      [0xec, 0x95],
    ],
    [[0x61, 0xec, 0x95, 0x88], []],
    [[0xec, 0x61], []],
  ];
  for (const [read, want] of cases) {
    const tail = new EscapeTail();
    const of = (part: string | number[]) =>
      typeof part === "string" ? bytes(part) : Uint8Array.from(part);
    for (const byte of of(read)) tail.read(Uint8Array.of(byte));
    assert.deepEqual(tail.bytes(), of(want), JSON.stringify(read));
  }
});
