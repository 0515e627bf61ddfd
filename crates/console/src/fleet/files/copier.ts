// A copy with a device: one session of the document Towline-Copy, its questions and answers.
//
// Data flow: StartSession -> the session's bytes, which return by position after every loss ->
// answers and content. One question at a time. Content is not gathered: it is acknowledged to the
// device when its receiver has taken it.
//
// Invariants: what a device says is checked. A session that lost bytes ends: content would be
// missing.

import { call } from "../../api.ts";
import { Session, type Status } from "../../session.ts";
import { t } from "../../strings/fleet.ts";
import { t as ofTerminal } from "../../strings/terminal.ts";
import { Malformed } from "../../varint.ts";
import {
  type Answer,
  type Ask,
  type Entry,
  type Piece,
  Pieces,
  VERSION,
  encodeAsk,
  encodeContent,
  isName,
  spelled,
} from "./copy_messages.ts";

/** Bytes that may wait for the device in this page. */
const MOST_WAITING = 512 * 1024;
/** Most entries of a folder that the page lists. */
export const MOST_ENTRIES = 10_000;

/** The device refused something about one path; the session goes on. */
export class Refused extends Error {
  constructor(path: string, why: string) {
    super(t("deviceSays", { path, why }));
  }
}

/** The copy cannot go on in this session. */
export class Over extends Error {}

interface Waiting {
  piece: Piece;
  /** Says that the receiver has taken it. */
  done: () => void;
}

export class Copier {
  private readonly pieces = new Pieces();
  private readonly arrived: Waiting[] = [];
  private session: Session | null = null;
  private over: Error | null = null;
  private wake: (() => void) | null = null;

  private constructor(private readonly told: (status: Status) => void) {}

  /** Opens a session for one path and one direction. `told`: what becomes of the connection. */
  static async open(
    device: string,
    path: string,
    direction: "get" | "put",
    told: (status: Status) => void = () => undefined,
  ): Promise<Copier> {
    const copier = new Copier(told);
    type Started = { SessionId: string; TokenValue: string; StreamUrl: string };
    const started = await call<Started>("AmazonSSM.StartSession", {
      Target: device,
      DocumentName: "Towline-Copy",
      Parameters: { path: [spelled(path)], direction: [direction] },
    });
    const screen = {
      write: (bytes: Uint8Array, done: () => void) => copier.take(bytes, done),
      size: () => null,
      status: (status: Status) => copier.onStatus(status),
      missed: (bytes: number) => copier.fail(new Over(ofTerminal("missed", { bytes }))),
      kept: () => undefined,
      taken: () => copier.awake(),
      inputFull: () => copier.fail(new Over(ofTerminal("inputFull"))),
    };
    copier.session = new Session(started.SessionId, screen, null);
    copier.session.begin(started);
    return copier;
  }

  get isOver(): boolean {
    return this.over !== null;
  }

  /** Ends the session, whatever the device is doing in it. */
  close(): void {
    const session = this.session;
    this.fail(new Over(t("stopped")));
    if (session && !session.isOver) session.end().catch(() => session.detach());
  }

  async look(path: string): Promise<Entry> {
    const answer = await this.ask({ type: "look", path }, path);
    if (answer.type !== "is") throw this.broken("an unexpected answer");
    return answer.entry;
  }

  /** The entries of a folder by name, and how many have names that cannot be said. */
  async list(
    path: string,
  ): Promise<{ entries: { name: string; entry: Entry }[]; unnamed: number }> {
    this.send({ type: "list", path });
    const entries: { name: string; entry: Entry }[] = [];
    for (;;) {
      const answer = await this.answer(path);
      if (answer.type === "end") {
        entries.sort((a, b) => (a.name < b.name ? -1 : 1));
        return { entries, unnamed: answer.unnamed };
      }
      if (answer.type !== "item") throw this.broken("an unexpected answer");
      if (!isName(answer.name)) throw this.broken("a name in a folder has a path");
      if (entries.length >= MOST_ENTRIES) throw this.broken(t("tooManyFiles", { n: MOST_ENTRIES }));
      entries.push({ name: answer.name, entry: answer.entry });
    }
  }

  async folder(path: string, mode: number): Promise<void> {
    const answer = await this.ask({ type: "folder", path, mode }, path);
    if (answer.type !== "done") throw this.broken("an unexpected answer");
  }

  /** A file's content from `offset` on; the digest of all of it, as the device says it. */
  async read(
    path: string,
    offset: number,
    receive: (data: Uint8Array) => Promise<void>,
  ): Promise<Uint8Array> {
    this.send({ type: "read", path, offset });
    let at = offset;
    for (;;) {
      const { piece, done } = await this.next();
      try {
        if (piece.type === "data") {
          if (piece.offset !== at) throw this.broken("content is missing");
          at += piece.data.length;
          await receive(piece.data);
        } else if (piece.type === "answer") {
          const { answer } = piece;
          if (answer.type === "failed") throw new Refused(path, answer.why);
          if (answer.type !== "whole") throw this.broken("an unexpected answer");
          return answer.digest;
        }
      } finally {
        done();
      }
    }
  }

  /** Begins to write a file; how many bytes of the same content the device has. */
  async write(path: string, size: number, digest: Uint8Array): Promise<number> {
    const mark = digest.subarray(0, 8);
    const answer = await this.ask({ type: "write", path, mode: 0o644, size, mark }, path);
    if (answer.type !== "have") throw this.broken("an unexpected answer");
    return Math.min(answer.bytes, size);
  }

  /** Sends content, and waits while too much of it waits for the device. */
  async content(path: string, offset: number, bytes: Uint8Array): Promise<void> {
    for (const frame of encodeContent(offset, bytes)) {
      while ((this.session?.waiting ?? 0) > MOST_WAITING && this.arrived.length === 0) {
        await this.change();
      }
      // The device says early what went wrong: its disk is full, for example.
      if (this.arrived.length > 0) await this.done(path);
      if (this.over) throw this.over;
      this.session?.type(frame);
    }
  }

  /** All content of the file was sent. */
  async whole(path: string, digest: Uint8Array): Promise<void> {
    this.send({ type: "whole", digest });
    await this.done(path);
  }

  private async done(path: string): Promise<void> {
    if ((await this.answer(path)).type !== "done") throw this.broken("an unexpected answer");
  }

  private ask(ask: Ask, path: string): Promise<Answer> {
    this.send(ask);
    return this.answer(path);
  }

  private send(ask: Ask): void {
    if (this.over) throw this.over;
    this.session?.type(encodeAsk(ask));
  }

  private async answer(path: string): Promise<Answer> {
    for (;;) {
      const { piece, done } = await this.next();
      done();
      if (piece.type === "version") continue;
      if (piece.type === "data") throw this.broken("content without a request");
      if (piece.answer.type === "failed") throw new Refused(path, piece.answer.why);
      return piece.answer;
    }
  }

  private async next(): Promise<Waiting> {
    for (;;) {
      const first = this.arrived.shift();
      if (first) return first;
      await this.change();
    }
  }

  /** Waits until something arrives, the device takes something, or the session is over. */
  private async change(): Promise<void> {
    if (this.over) throw this.over;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    if (this.over && this.arrived.length === 0) throw this.over;
  }

  private awake(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  /** Bytes of the device; they are acknowledged when all pieces in them were taken. */
  private take(bytes: Uint8Array, done: () => void): void {
    try {
      const found: Piece[] = [];
      for (const piece of this.pieces.take(bytes)) {
        if (piece.type === "version") {
          if (piece.min > VERSION || piece.max < VERSION) {
            throw new Malformed(`versions ${piece.min} to ${piece.max} of the copy protocol`);
          }
        } else {
          found.push(piece);
        }
      }
      let left = found.length;
      if (left === 0) done();
      const one = (): void => {
        left -= 1;
        if (left === 0) done();
      };
      this.arrived.push(...found.map((piece) => ({ piece, done: one })));
      this.awake();
    } catch (error) {
      done();
      this.fail(this.broken(error instanceof Error ? error.message : String(error)));
    }
  }

  private onStatus(status: Status): void {
    this.told(status);
    if (status.is === "ended")
      this.fail(new Over(t("sessionOver", { why: status.text || status.reason })));
    if (status.is === "gone") this.fail(new Over(t("sessionOver", { why: status.why })));
    if (status.is === "takenOver") this.fail(new Over(status.by));
  }

  private broken(why: string): Error {
    const error = new Over(t("copyBroken", { why }));
    this.fail(error);
    const session = this.session;
    if (session && !session.isOver) session.end().catch(() => session.detach());
    return error;
  }

  private fail(error: Error): void {
    this.over ??= error;
    this.awake();
  }
}
