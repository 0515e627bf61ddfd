// Control messages of `towline.stream.1` and `towline.stream.2`: docs/wire.md, sections 4 and 7;
// crates/wire/src/client.rs.

import { encodeFrame } from "./frame.ts";
import { Malformed, Reader, putString, putVarint } from "./varint.ts";

export interface Size {
  rows: number;
  cols: number;
}

/** Values of the terminal's stream and of stderr. */
export interface Lanes {
  io: number;
  err: number;
}

export type FromClient =
  | { type: "attach"; token: string; received: Lanes | null; room: Lanes; size: Size | null }
  | { type: "resize"; size: Size }
  | { type: "close" }
  | { type: "watch"; token: string }
  | { type: "answerSeat"; request: number; give: boolean };

export type ExitStatus =
  { type: "code"; code: number } | { type: "signal"; signal: number } | { type: "timedOut" };

/** Why a session ended, in the order of the wire. */
const REASONS = [
  "exited",
  "idleTimeout",
  "maxDuration",
  "terminated",
  "closedByOperator",
  "operatorGone",
  "deviceGone",
  "notOpened",
  "deviceRevoked",
  "violation",
] as const;

export type EndReason = (typeof REASONS)[number];

export type ToClient =
  | { type: "attached"; output: Lanes; input: number; room: number }
  | { type: "waiting"; grace: number }
  | { type: "ended"; reason: EndReason; status: ExitStatus | null; text: string }
  | { type: "refused"; text: string; takenOver: boolean }
  | { type: "notConnected"; text: string }
  | { type: "watching"; size: Size | null }
  | { type: "resized"; size: Size }
  | { type: "missed"; bytes: number }
  | { type: "watched"; by: string[] }
  | { type: "message"; from: string; text: string }
  | { type: "seatAsked"; request: number; by: string }
  | { type: "accessEnds"; request: string; seconds: number; endsSession: boolean };

/** Names that one message holds at most. */
const MOST_NAMES = 64;

/** The websocket message with this control message. */
export function encodeMessage(message: FromClient): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  switch (message.type) {
    case "attach":
      out.push(0);
      putString(out, message.token);
      putOption(out, message.received, putLanes);
      putLanes(out, message.room);
      putOption(out, message.size, putSize);
      break;
    case "resize":
      out.push(1);
      putSize(out, message.size);
      break;
    case "close":
      out.push(3);
      break;
    case "watch":
      out.push(4);
      putString(out, message.token);
      break;
    case "answerSeat":
      out.push(5);
      putVarint(out, message.request);
      out.push(message.give ? 1 : 0);
      break;
  }
  return encodeFrame({ kind: "control", body: Uint8Array.from(out) });
}

/** The control message in the body of a control frame. */
export function decodeMessage(body: Uint8Array): ToClient {
  const reader = new Reader(body);
  const message = read(reader);
  reader.end();
  return message;
}

function read(reader: Reader): ToClient {
  switch (reader.varint(32)) {
    case 0: {
      const output = { io: reader.varint(64), err: reader.varint(64) };
      return { type: "attached", output, input: reader.varint(64), room: reader.varint(32) };
    }
    case 1:
      return { type: "waiting", grace: reader.varint(32) };
    case 2: {
      const reason = REASONS[reader.varint(32)];
      if (reason === undefined) throw new Malformed("an end for a reason that is not known");
      const status = reason === "exited" ? readStatus(reader) : null;
      return { type: "ended", reason, status, text: reader.string() };
    }
    case 3:
      return { type: "refused", text: reader.string(), takenOver: reader.bool() };
    case 4:
      return { type: "notConnected", text: reader.string() };
    case 5:
      return { type: "watching", size: reader.bool() ? readSize(reader) : null };
    case 6:
      return { type: "resized", size: readSize(reader) };
    case 7:
      return { type: "missed", bytes: reader.varint(64) };
    case 8: {
      const count = reader.varint(32);
      if (count > MOST_NAMES) throw new Malformed("too many names");
      return { type: "watched", by: Array.from({ length: count }, () => reader.string()) };
    }
    case 9:
      return { type: "message", from: reader.string(), text: reader.string() };
    case 10:
      return { type: "seatAsked", request: reader.varint(32), by: reader.string() };
    case 11: {
      const request = reader.string();
      return {
        type: "accessEnds",
        request,
        seconds: reader.varint(32),
        endsSession: reader.bool(),
      };
    }
    default:
      throw new Malformed("a message that is not known");
  }
}

function readSize(reader: Reader): Size {
  return { rows: reader.varint(16), cols: reader.varint(16) };
}

function readStatus(reader: Reader): ExitStatus {
  switch (reader.varint(32)) {
    case 0:
      return { type: "code", code: reader.byte() };
    case 1:
      return { type: "signal", signal: reader.byte() };
    case 2:
      return { type: "timedOut" };
    default:
      throw new Malformed("an exit status that is not known");
  }
}

function putOption<T>(
  out: number[],
  value: T | null,
  put: (out: number[], value: T) => void,
): void {
  out.push(value === null ? 0 : 1);
  if (value !== null) put(out, value);
}

function putLanes(out: number[], lanes: Lanes): void {
  putVarint(out, lanes.io);
  putVarint(out, lanes.err);
}

function putSize(out: number[], size: Size): void {
  putVarint(out, size.rows);
  putVarint(out, size.cols);
}
