// The codec against the golden bytes that the other end's tests hold, and against malformed bytes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Frame, decodeFrame, encodeFrame } from "../src/frame.ts";
import { type FromClient, type ToClient, decodeMessage, encodeMessage } from "../src/messages.ts";
import { Malformed } from "../src/varint.ts";

const FILE = join(process.cwd(), "../wire/tests/data/client_frames.txt");
const golden = new Map(
  readFileSync(FILE, "utf8")
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line): [string, Uint8Array] => {
      const [name = "", ...hex] = line.split(" ");
      return [name, Uint8Array.from(Buffer.from(hex.join(""), "hex"))];
    }),
);

function bytes(name: string): Uint8Array {
  const found = golden.get(name);
  assert.ok(found, `no line ${name}`);
  return found;
}

function control(name: string): ToClient {
  const frame = decodeFrame(bytes(name));
  assert.equal(frame.kind, "control");
  return decodeMessage((frame as Extract<Frame, { kind: "control" }>).body);
}

test("messages of this end are the golden bytes", () => {
  const size = { rows: 24, cols: 80 };
  const token = "t";
  const ours: [string, FromClient][] = [
    ["attach-anew", { type: "attach", token, received: null, room: { io: 300, err: 1 }, size }],
    [
      "attach-again",
      {
        type: "attach",
        token,
        received: { io: 300, err: 0 },
        room: { io: 262144, err: 262144 },
        size: null,
      },
    ],
    ["resize", { type: "resize", size: { rows: 40, cols: 132 } }],
    ["close", { type: "close" }],
    ["watch", { type: "watch", token }],
    ["answer-seat", { type: "answerSeat", request: 300, give: true }],
  ];
  for (const [name, message] of ours) assert.deepEqual(encodeMessage(message), bytes(name), name);
});

test("messages of the gateway are read", () => {
  const exited = (status: object) => ({ type: "ended", reason: "exited", status, text: "" });
  const ended = (reason: string, text = "") => ({ type: "ended", reason, status: null, text });
  const theirs: [string, object][] = [
    ["attached", { type: "attached", output: { io: 300, err: 0 }, input: 7, room: 65536 }],
    ["waiting", { type: "waiting", grace: 600 }],
    ["exited-3", exited({ type: "code", code: 3 })],
    ["exited-signal", exited({ type: "signal", signal: 9 })],
    ["exited-late", exited({ type: "timedOut" })],
    ["idle", ended("idleTimeout", "id")],
    ["terminated", ended("terminated")],
    ["violation", ended("violation")],
    ["refused", { type: "refused", text: "no!", takenOver: true }],
    ["not-connected", { type: "notConnected", text: "no" }],
    ["watching", { type: "watching", size: { rows: 24, cols: 80 } }],
    ["watching-unknown", { type: "watching", size: null }],
    ["resized", { type: "resized", size: { rows: 24, cols: 80 } }],
    ["viewer-missed", { type: "missed", bytes: 300 }],
    ["watched", { type: "watched", by: ["a", "b"] }],
    ["message", { type: "message", from: "a", text: "hi" }],
    ["access-ends", { type: "accessEnds", request: "a", seconds: 300, endsSession: true }],
    ["seat-asked", { type: "seatAsked", request: 300, by: "a" }],
  ];
  for (const [name, message] of theirs) assert.deepEqual(control(name), message, name);
});

test("frames are the golden bytes in both directions", () => {
  const data = (text: string) => Uint8Array.from(Buffer.from(text));
  const frames: [string, Frame][] = [
    ["data", { kind: "data", stream: 0, offset: 300, data: data("ab\r") }],
    ["data-far", { kind: "data", stream: 1, offset: Number.MAX_SAFE_INTEGER, data: data("\0") }],
    ["credit", { kind: "credit", stream: 0, acked: 300, limit: 262444 }],
    ["fin", { kind: "fin", stream: 0, length: 5 }],
    ["ping", { kind: "ping", nextIn: 60 }],
    ["pong", { kind: "pong" }],
  ];
  for (const [name, frame] of frames) {
    assert.deepEqual(encodeFrame(frame), bytes(name), name);
    assert.deepEqual(decodeFrame(bytes(name)), frame, name);
  }
  assert.equal(decodeFrame(bytes("unknown")).kind, "unknown");
});

test("each golden message that is cut short or longer is refused", () => {
  for (const name of [
    "attached",
    "exited-3",
    "idle",
    "refused",
    "waiting",
    "watching",
    "watched",
  ]) {
    const whole = bytes(name);
    for (let length = 1; length < whole.length; length += 1) {
      const cut = whole.subarray(1, length);
      assert.throws(() => decodeMessage(cut), Malformed, `${name}, ${length} bytes`);
    }
    const longer = Uint8Array.from([...whole.subarray(1), 0]);
    assert.throws(() => decodeMessage(longer), Malformed, name);
  }
});

test("a number beyond its type, and an empty data frame, are refused", () => {
  const credit = (acked: number[]) => Uint8Array.from([2, 0, ...acked, 0]);
  assert.throws(
    () => decodeFrame(credit([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10])),
    Malformed,
  );
  assert.throws(() => decodeFrame(credit(Array(11).fill(0x80))), Malformed);
  assert.throws(() => decodeFrame(Uint8Array.from([1, 0, 0])), Malformed);
  assert.throws(() => decodeFrame(new Uint8Array()), Malformed);
  assert.throws(() => encodeFrame({ kind: "fin", stream: 0, length: 2 ** 53 }), Malformed);
});
