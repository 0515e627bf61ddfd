// The two directions of a session's bytes: docs/wire.md, section 3. No I/O and no DOM.
//
// A byte has a position from the session's start to its end, which only the agent and this client
// count: so a lost websocket, a killed gateway and a reloaded page neither lose nor double one.

import { Malformed } from "./varint.ts";

/** Output that may be on its way to the screen, bytes. */
export const WINDOW = 256 * 1024;
/** Input that is kept for the device, bytes; what is typed beyond is refused. */
export const INPUT_KEPT = 16 * 1024 * 1024;
/** Bytes after which output is acknowledged. */
const ACK_EVERY = 4096;

/** What was typed and the device has not taken. */
export class Input {
  private chunks: Uint8Array[] = [];
  /** Position of the first kept byte; unknown before the first attach. */
  private start: number | null = null;
  private kept = 0;
  /** Bytes of the kept ones that were sent on this websocket. */
  private sent = 0;
  private limit = 0;
  /** Position up to which bytes were ever sent. */
  private reached = 0;

  /** Keeps bytes for the device. False: there is no room, and nothing was kept. */
  push(bytes: Uint8Array): boolean {
    if (this.kept + bytes.length > INPUT_KEPT) return false;
    if (bytes.length > 0) this.chunks.push(bytes);
    this.kept += bytes.length;
    return true;
  }

  /** Bytes that the device has not acknowledged. */
  get waiting(): number {
    return this.kept;
  }

  /** Bytes that were never sent. */
  get unsent(): number {
    return this.kept - Math.max(0, this.reached - (this.start ?? 0));
  }

  /** The device took what was never sent from here: another client typed meanwhile. */
  isPassed(position: number): boolean {
    return this.start !== null && position > Math.max(this.start, this.reached);
  }

  /** The device takes input from `position` on, and has room for so many bytes. */
  attached(position: number, room: number): void {
    this.start ??= position;
    if (position < this.start) throw new Malformed("the device asks for input that it had taken");
    if (position > this.start + this.kept) throw new Malformed("the device took unsent input");
    this.drop(position - this.start);
    this.sent = 0;
    this.limit = position + room;
  }

  /** The device took everything below `acked`, and has room up to `limit`. */
  credit(acked: number, limit: number): void {
    if (this.start === null) return;
    if (acked > this.start + this.sent)
      throw new Malformed("input was acknowledged that was not sent");
    if (acked > this.start) this.drop(acked - this.start);
    this.limit = Math.max(this.limit, limit);
  }

  /** The websocket is gone: nothing is sent until the next attach. */
  lost(): void {
    this.limit = 0;
    this.sent = 0;
  }

  /** The next bytes that may be sent, at most `most`. */
  next(most: number): { offset: number; data: Uint8Array } | null {
    if (this.start === null) return null;
    const offset = this.start + this.sent;
    const length = Math.min(most, this.kept - this.sent, this.limit - offset);
    if (length <= 0) return null;
    const data = this.copy(this.sent, length);
    this.sent += length;
    this.reached = Math.max(this.reached, offset + length);
    return { offset, data };
  }

  private copy(from: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    let skip = from;
    let filled = 0;
    for (const chunk of this.chunks) {
      if (filled === length) break;
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      const part = chunk.subarray(skip, skip + length - filled);
      out.set(part, filled);
      filled += part.length;
      skip = 0;
    }
    return out;
  }

  private drop(count: number): void {
    let left = count;
    while (left > 0) {
      const first = this.chunks[0];
      if (first === undefined) break;
      if (first.length <= left) {
        this.chunks.shift();
        left -= first.length;
      } else {
        this.chunks[0] = first.subarray(left);
        left = 0;
      }
    }
    this.kept -= count;
    this.sent = Math.max(0, this.sent - count);
    this.start = (this.start ?? 0) + count;
  }
}

/** What the device printed. */
export class Output {
  private received: number | null;
  private shown: number;
  private told: number;
  private length: number | null = null;
  private endTold = false;

  /** Goes on at `position`; null: from the oldest byte that the device keeps. */
  constructor(position: number | null) {
    this.received = position;
    this.shown = position ?? 0;
    this.told = this.shown;
  }

  /** Position up to which bytes came. */
  get position(): number | null {
    return this.received;
  }

  /** Position up to which bytes are on the screen. */
  get onScreen(): number {
    return this.shown;
  }

  /** Room for more, bytes. */
  get room(): number {
    return WINDOW - ((this.received ?? this.shown) - this.shown);
  }

  /**
   * Bytes follow from `position` on. Returns how many are missing: 0 unless the device lost them.
   */
  attached(position: number): number {
    this.endTold = false;
    if (this.received !== null && position <= this.received) {
      this.told = this.shown;
      return 0;
    }
    const missed = this.received === null ? 0 : position - this.received;
    this.received = position;
    this.shown = position;
    this.told = position;
    return missed;
  }

  /** The new part of what came. */
  data(offset: number, bytes: Uint8Array): Uint8Array | null {
    if (this.received === null || offset > this.received) return null; // an attach is on its way
    const fresh = bytes.subarray(this.received - offset);
    if (fresh.length === 0) return null;
    if (this.received + fresh.length > this.shown + WINDOW) {
      throw new Malformed("more output came than there is room for");
    }
    this.received += fresh.length;
    return fresh;
  }

  /** The stream ends at `length` bytes. */
  fin(length: number): void {
    this.length = length;
  }

  /** So many bytes are on the screen now. */
  showed(count: number): void {
    this.shown += count;
  }

  /** The acknowledgement that is due, if one is. */
  credit(): { acked: number; limit: number } | null {
    const over = this.length !== null && this.shown === this.length;
    if (over && !this.endTold) {
      this.endTold = true;
      return { acked: this.shown + 1, limit: this.shown + 1 };
    }
    if (this.shown - this.told < ACK_EVERY) return null;
    this.told = this.shown;
    return { acked: this.shown, limit: this.shown + WINDOW };
  }
}
