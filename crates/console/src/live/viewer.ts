// A viewer's websocket: the screen of somebody's session, read-only, and its return after a loss.
//
// Way: WatchSession (a token) -> websocket -> Watch -> the end of the output so far, then what
// comes. A lost websocket: a pause, and from the beginning with a fresh screen. No DOM.
//
// Invariants: what the screen has not drawn is bounded; what does not fit is not drawn, and the
// screen is drawn anew. Nothing but the token is sent.

import { ApiError, call } from "../api.ts";
import { IO, decodeFrame, encodeFrame } from "../frame.ts";
import { type Size, type ToClient, decodeMessage, encodeMessage } from "../messages.ts";
import { Pauses } from "../pauses.ts";
import { streamOf } from "../session.ts";

export type ViewerStatus =
  | { is: "opening" }
  | { is: "live" }
  | { is: "reconnecting"; since: number }
  | { is: "over"; why: string }
  | { is: "stopped"; error: unknown };

/** What a viewer needs of the page. */
export interface ViewerScreen {
  /** Shows bytes; `done` when the terminal has read them. */
  write(bytes: Uint8Array, done: () => void): void;
  size(size: Size): void;
  /** A fresh screen: what follows does not go on from what is shown. */
  reset(): void;
  status(status: ViewerStatus): void;
  missed(bytes: number): void;
  of(owner: string, device: string): void;
}

interface Granted {
  TokenValue: string;
  StreamUrl: string;
  Owner: string;
  Target: string;
}

const PAUSES_MS = [0, 500, 1000, 2000, 4000, 8000];
/** Bytes that wait for the terminal at most. */
const MOST_UNDRAWN = 4 * 1024 * 1024;

export class Viewer {
  private socket: WebSocket | null = null;
  private closed = false;
  private readonly pauses = new Pauses(PAUSES_MS);
  private since = 0;
  private undrawn = 0;
  /** Position in the session behind what is on the screen; `null`: nothing is. */
  drawn: number | null = null;
  private skipped = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly session: string,
    private readonly unseen: boolean,
    private readonly screen: ViewerScreen,
  ) {
    screen.status({ is: "opening" });
    void this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.leave();
  }

  private async connect(): Promise<void> {
    let granted: Granted;
    try {
      const body = { SessionId: this.session, ...(this.unseen ? { Unseen: true } : {}) };
      granted = await call<Granted>("Towline.WatchSession", body);
    } catch (error) {
      if (this.closed) return;
      if (error instanceof ApiError && error.code !== "ThrottlingException") {
        this.over({ is: "stopped", error });
      } else {
        this.lost();
      }
      return;
    }
    if (this.closed) return;
    this.screen.of(granted.Owner, granted.Target);
    const token = granted.TokenValue;
    const socket = streamOf(granted);
    this.socket = socket;
    socket.onopen = () => socket.send(encodeMessage({ type: "watch", token }));
    socket.onmessage = (event: MessageEvent<ArrayBuffer>) => {
      if (socket !== this.socket) return;
      try {
        this.take(new Uint8Array(event.data));
      } catch (error) {
        this.over({ is: "stopped", error });
      }
    };
    socket.onclose = () => {
      if (socket === this.socket) this.lost();
    };
  }

  private take(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (frame.kind === "data" && frame.stream === IO) this.draw(frame.offset, frame.data);
    if (frame.kind === "ping") this.socket?.send(encodeFrame({ kind: "pong" }));
    if (frame.kind === "control") this.told(decodeMessage(frame.body));
  }

  private told(message: ToClient): void {
    switch (message.type) {
      case "watching":
        this.drawn = null;
        this.screen.reset();
        if (message.size) this.screen.size(message.size);
        this.pauses.made();
        this.since = 0;
        this.screen.status({ is: "live" });
        return;
      case "resized":
        this.screen.size(message.size);
        return;
      case "missed":
        this.drawn = null;
        this.screen.reset();
        this.screen.missed(message.bytes);
        return;
      case "ended":
        this.over({ is: "over", why: message.text });
        return;
      case "refused":
        this.over({ is: "stopped", error: new Error(message.text) });
        return;
      default:
        return;
    }
  }

  private draw(offset: number, bytes: Uint8Array): void {
    if (this.skipped > 0 || this.undrawn + bytes.length > MOST_UNDRAWN) {
      this.skipped += bytes.length;
      return;
    }
    this.undrawn += bytes.length;
    this.screen.write(bytes, () => {
      this.undrawn -= bytes.length;
      this.drawn = offset + bytes.length;
      if (this.undrawn > 0 || this.skipped === 0 || this.closed) return;
      this.screen.missed(this.skipped);
      this.skipped = 0;
      this.leave();
      void this.connect(); // for a fresh screen
    });
  }

  private lost(): void {
    this.leave();
    if (this.closed) return;
    this.since ||= Date.now();
    this.screen.status({ is: "reconnecting", since: this.since });
    this.timer = setTimeout(() => void this.connect(), this.pauses.next());
  }

  private leave(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private over(status: ViewerStatus): void {
    this.close();
    this.screen.status(status);
  }
}
