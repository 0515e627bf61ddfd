// Messages of a copy: crates/wire/src/copy.rs. Each is the body of a control frame; content is in
// data frames. Frames follow each other in the session's bytes, each behind its length.

import { MAX_DATA, decodeFrame, encodeFrame } from "../../frame.ts";
import { Malformed, Reader, putString, putVarint } from "../../varint.ts";

export type Ask =
  | { type: "look"; path: string }
  | { type: "list"; path: string }
  | { type: "read"; path: string; offset: number }
  | { type: "write"; path: string; mode: number; size: number; mark: Uint8Array }
  | { type: "whole"; digest: Uint8Array }
  | { type: "folder"; path: string; mode: number };

const KINDS = ["nothing", "file", "folder", "other"] as const;

export interface Entry {
  kind: (typeof KINDS)[number];
  size: number;
  mode: number;
}

export type Answer =
  | { type: "is"; entry: Entry }
  | { type: "item"; name: string; entry: Entry }
  | { type: "end"; unnamed: number }
  | { type: "whole"; digest: Uint8Array }
  | { type: "have"; bytes: number }
  | { type: "done" }
  | { type: "failed"; why: string };

/** What the device's end says: an answer, content, or the versions that it speaks. */
export type Piece =
  | { type: "answer"; answer: Answer }
  | { type: "data"; offset: number; data: Uint8Array }
  | { type: "version"; min: number; max: number };

const MAX_FRAME = 16 * 1024;
const DIGEST = 32;
/** The version whose promises this end needs: one answer to each write. */
export const VERSION = 2;

/** The bytes of a question in the session's stream. */
export function encodeAsk(ask: Ask): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  switch (ask.type) {
    case "look":
      out.push(0);
      putString(out, ask.path);
      break;
    case "list":
      out.push(1);
      putString(out, ask.path);
      break;
    case "read":
      out.push(2);
      putString(out, ask.path);
      putVarint(out, ask.offset);
      break;
    case "write":
      out.push(3);
      putString(out, ask.path);
      putVarint(out, ask.mode);
      putVarint(out, ask.size);
      out.push(...ask.mark);
      break;
    case "whole":
      out.push(4, ...ask.digest);
      break;
    case "folder":
      out.push(5);
      putString(out, ask.path);
      putVarint(out, ask.mode);
      break;
  }
  return prefixed(encodeFrame({ kind: "control", body: Uint8Array.from(out) }));
}

/** The bytes of content in the session's stream, cut into frames. */
export function* encodeContent(
  offset: number,
  bytes: Uint8Array,
): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.length; at += MAX_DATA) {
    const data = bytes.subarray(at, at + MAX_DATA);
    yield prefixed(encodeFrame({ kind: "data", stream: 0, offset: offset + at, data }));
  }
}

function prefixed(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  if (frame.length > MAX_FRAME - 2) throw new Malformed("the path is too long");
  const out = new Uint8Array(frame.length + 2);
  new DataView(out.buffer).setUint16(0, frame.length);
  out.set(frame, 2);
  return out;
}

export function decodeAnswer(body: Uint8Array): Answer {
  const reader = new Reader(body);
  const answer = read(reader);
  reader.end();
  return answer;
}

function read(reader: Reader): Answer {
  switch (reader.varint(32)) {
    case 0:
      return { type: "is", entry: entry(reader) };
    case 1:
      return { type: "item", name: reader.string(), entry: entry(reader) };
    case 2:
      return { type: "end", unnamed: reader.varint(32) };
    case 3: {
      const digest = Uint8Array.from({ length: DIGEST }, () => reader.byte());
      return { type: "whole", digest };
    }
    case 4:
      return { type: "have", bytes: reader.varint(64) };
    case 5:
      return { type: "done" };
    case 6:
      return { type: "failed", why: reader.string() };
    default:
      throw new Malformed("an answer that is not known");
  }
}

function entry(reader: Reader): Entry {
  const kind = KINDS[reader.varint(32)];
  if (kind === undefined) throw new Malformed("a kind of entry that is not known");
  return { kind, size: reader.varint(64), mode: reader.varint(32) };
}

/** Puts frames together again, from any cut of the bytes. It holds one frame at most. */
export class Pieces {
  private readonly buffer = new Uint8Array(MAX_FRAME);
  private filled = 0;

  /** What is complete with these bytes. The data is valid until the next call. */
  *take(bytes: Uint8Array): Generator<Piece> {
    let rest = bytes;
    while (rest.length > 0) {
      const wanted = this.filled < 2 ? 2 : 2 + this.length();
      const part = rest.subarray(0, wanted - this.filled);
      this.buffer.set(part, this.filled);
      this.filled += part.length;
      rest = rest.subarray(part.length);
      if (this.filled < 2) continue;
      const whole = 2 + this.length();
      if (whole === 2 || whole > MAX_FRAME) throw new Malformed("a frame has an invalid length");
      if (this.filled < whole) continue;
      this.filled = 0;
      const piece = pieceOf(this.buffer.slice(2, whole));
      if (piece) yield piece;
    }
  }

  private length(): number {
    return (this.buffer[0]! << 8) | this.buffer[1]!;
  }
}

function pieceOf(bytes: Uint8Array): Piece | null {
  if (bytes[0] === 6) {
    const reader = new Reader(bytes.subarray(1));
    return { type: "version", min: reader.varint(16), max: reader.varint(16) };
  }
  const frame = decodeFrame(bytes);
  switch (frame.kind) {
    case "control":
      return { type: "answer", answer: decodeAnswer(frame.body) };
    case "data":
      return { type: "data", offset: frame.offset, data: frame.data };
    default:
      return null;
  }
}

/** Whether a name is one component of a path, and nothing that leads elsewhere. */
export function isName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name);
}

/** The path of an entry of a folder. */
export function below(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, "")}/${name}`;
}

/** A path as the API takes it and people read it: below `~`, the user's home, or absolute. */
export function spelled(path: string): string {
  if (path.startsWith("/")) return path;
  return path === "." ? "~" : `~/${path.replace(/^\.\//, "")}`;
}

/** A path that somebody typed. */
export function pathFrom(text: string): string {
  return cleanPath(text.trim());
}

/**
 * A path as a session for it has it: relative ones are below the user's home, which is `.` alone.
 * Names keep the blanks at their ends.
 */
export function cleanPath(text: string): string {
  const path = text.replace(/\/+$/, "") || (text.startsWith("/") ? "/" : ".");
  return path === "~" ? "." : path.replace(/^(~|\.)\/+/, "");
}
