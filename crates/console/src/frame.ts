// Frames of `towline.stream.1`, one in each websocket message: docs/wire.md, section 2.
//
// The golden bytes in crates/wire/tests/data/client_frames.txt are read by the tests of both ends.

import { Malformed, Reader, putVarint } from "./varint.ts";

/** The websocket subprotocols, the better one first: the second of them has no notices. */
export const SUBPROTOCOLS = ["towline.stream.2", "towline.stream.1"];
/** The terminal. */
export const IO = 0;
/** Most bytes of data in one frame: the largest frame without its head. */
export const MAX_DATA = 16 * 1024 - 18;

export type Frame =
  | { kind: "control"; body: Uint8Array }
  | { kind: "data"; stream: number; offset: number; data: Uint8Array }
  | { kind: "credit"; stream: number; acked: number; limit: number }
  | { kind: "fin"; stream: number; length: number }
  | { kind: "ping"; nextIn: number }
  | { kind: "pong" }
  | { kind: "unknown" };

/** The bytes of a frame. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  let tail: Uint8Array = new Uint8Array();
  switch (frame.kind) {
    case "control":
      out.push(0);
      tail = frame.body;
      break;
    case "data":
      out.push(1);
      putVarint(out, frame.stream);
      putVarint(out, frame.offset);
      tail = frame.data;
      break;
    case "credit":
      out.push(2);
      putVarint(out, frame.stream);
      putVarint(out, frame.acked);
      putVarint(out, frame.limit);
      break;
    case "fin":
      out.push(3);
      putVarint(out, frame.stream);
      putVarint(out, frame.length);
      break;
    case "ping":
      out.push(4);
      putVarint(out, frame.nextIn);
      break;
    case "pong":
      out.push(5);
      break;
    case "unknown":
      throw new Malformed("this frame has no bytes");
  }
  const bytes = new Uint8Array(out.length + tail.length);
  bytes.set(out);
  bytes.set(tail, out.length);
  return bytes;
}

/** The frame in a websocket message. A kind that is not known is skipped by its receiver. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const reader = new Reader(bytes);
  switch (reader.byte()) {
    case 0:
      return { kind: "control", body: reader.rest() };
    case 1: {
      const [stream, offset, data] = [reader.varint(32), reader.varint(64), reader.rest()];
      if (data.length === 0) throw new Malformed("a data frame is empty");
      return { kind: "data", stream, offset, data };
    }
    case 2:
      return {
        kind: "credit",
        stream: reader.varint(32),
        acked: reader.varint(64),
        limit: reader.varint(64),
      };
    case 3:
      return { kind: "fin", stream: reader.varint(32), length: reader.varint(64) };
    case 4:
      return { kind: "ping", nextIn: reader.varint(32) };
    case 5:
      return { kind: "pong" };
    default:
      return { kind: "unknown" };
  }
}
