// A session's websocket, and its return after every loss: by position, so that no byte is lost or
// doubled. The screen is given in; nothing here knows the page.
//
// Way: StartSession or ResumeSession (a token) -> websocket -> Attach with what was received ->
// bytes. A lost websocket: a pause, and from the beginning.

import { ApiError, call, identity, needsSignIn, notice } from "./api.ts";
import { IO, MAX_DATA, SUBPROTOCOLS, decodeFrame, encodeFrame } from "./frame.ts";
import {
  type EndReason,
  type ExitStatus,
  type Size,
  type ToClient,
  decodeMessage,
  encodeMessage,
} from "./messages.ts";
import { Pauses } from "./pauses.ts";
import { Input, Output, WINDOW } from "./stream.ts";
import { t } from "./strings/terminal.ts";

export type Status =
  | { is: "opening" }
  | { is: "connected" }
  | { is: "waiting"; seconds: number }
  | { is: "reconnecting"; since: number }
  | { is: "needsSignIn" }
  | { is: "takenOver"; by: string }
  | { is: "ended"; reason: EndReason; status: ExitStatus | null; text: string }
  | { is: "gone"; why: string };

/** What the user is told outside of the session's bytes. */
export type Notice = Extract<
  ToClient,
  { type: "watched" | "message" | "seatAsked" | "accessEnds" }
>;

/** What a session needs of the page. */
export interface Screen {
  /**
   * Shows bytes; `done` when the terminal has read them. `old`: another client had them, and has
   * answered what they ask a terminal for.
   */
  write(bytes: Uint8Array, done: () => void, old?: boolean): void;
  /** The size of the terminal; null where there is none. */
  size(): Size | null;
  status(status: Status): void;
  missed(bytes: number): void;
  /** So many bytes wait for the device. */
  kept(bytes: number): void;
  inputFull(): void;
  /** Another client had the seat while this one was away: so many bytes of input were dropped. */
  otherTyped?(dropped: number): void;
  /** The device took input, or has room for more. */
  taken?(): void;
  /** What concerns the session outside of its bytes. */
  notice?(notice: Notice): void;
}

/** What the gateway answers who wants to attach: a token and where to use it, or why not. */
export interface Grant {
  TokenValue?: string;
  StreamUrl?: string;
  TowlineEnded?: string;
  /** Another client has the seat: who, in the gateway's words. */
  TowlineTakenOver?: string;
}

/** The websocket of an answer; the host is this page's own. */
export function streamOf({ StreamUrl = "" }: Grant): WebSocket {
  const { pathname, search } = new URL(StreamUrl);
  const socket = new WebSocket(`wss://${location.host}${pathname}${search}`, SUBPROTOCOLS);
  socket.binaryType = "arraybuffer";
  return socket;
}

/** How long a websocket may take to open and to answer the attach. */
const OPENS_WITHIN_MS = 15_000;
/** Pauses before tries, the last one again and again. */
const PAUSES_MS = [0, 250, 500, 1000, 2000, 4000, 8000];
/** Silence after which the gateway is asked whether it is there. */
const SILENCE_MS = 45_000;
const LOOKS_AROUND_MS = 5000;
/** While somebody types, the sign-in is used at most so often. */
const STAYS_SIGNED_IN_MS = 120_000;
/** What the device kept of a session comes at once: behind this silence, output is new. */
const OLD_ENDS_MS = 500;

export class Session {
  private input = new Input();
  private output: Output;
  private socket: WebSocket | null = null;
  private attached = false;
  private stopped = false;
  private readonly pauses = new Pauses(PAUSES_MS);
  private since = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly tick: ReturnType<typeof setInterval>;
  // By this computer's clock, which may be set back: a difference counts in both directions.
  private lastLook = Date.now();
  private lastHeard = Date.now();
  private lastUse = Date.now();
  private unread = 0;
  private drained: (() => void) | null = null;
  /** What comes was printed for another client. */
  private isOld = false;
  private oldEnds: ReturnType<typeof setTimeout> | undefined;
  private needsSignIn = false;
  private readonly abort = new AbortController();

  constructor(
    readonly id: string,
    private readonly screen: Screen,
    position: number | null,
    /** The operation that gives a new token. */
    private readonly renewal = "AmazonSSM.ResumeSession",
    /** The seat that this client had, which it does not take back unasked; of its last token. */
    public seat: string | undefined = undefined,
  ) {
    this.output = new Output(position);
    this.tick = setInterval(() => this.lookAround(), LOOKS_AROUND_MS);
    const options = { signal: this.abort.signal };
    window.addEventListener("online", () => this.renew(), options);
    const own = identity.peek()?.arn;
    const deaf = identity.subscribe((who) => {
      if (!this.needsSignIn || who?.arn !== own) return;
      this.needsSignIn = false;
      this.again();
    });
    this.abort.signal.addEventListener("abort", deaf);
  }

  /** Position of the next byte for the screen. */
  get onScreen(): number | null {
    return this.output.position === null ? null : this.output.onScreen;
  }

  get isOver(): boolean {
    return this.stopped;
  }

  /** Bytes of input that the device has not taken. */
  get waiting(): number {
    return this.input.waiting;
  }

  /** Begins, with the token of StartSession if there is one. */
  begin(grant: Grant | null): void {
    this.isOld = grant === null && this.output.position === null;
    this.screen.status({ is: "opening" });
    void this.connect(grant);
  }

  /** Bytes for the device. */
  type(bytes: Uint8Array): void {
    if (this.stopped) return;
    this.isOld = false;
    if (!this.input.push(bytes)) this.screen.inputFull();
    this.pump();
    if (!this.attached) this.screen.kept(this.input.waiting);
    if (Math.abs(Date.now() - this.lastUse) > STAYS_SIGNED_IN_MS) {
      this.lastUse = Date.now();
      call("Towline.GetSignIn", {}).catch(() => undefined); // the shell goes on without
    }
  }

  /** The terminal has another size. */
  resized(): void {
    const size = this.screen.size();
    if (this.attached && size) this.send(encodeMessage({ type: "resize", size }));
  }

  /** Answers another user's request for the seat. */
  answerSeat(request: number, give: boolean): void {
    if (this.attached) this.send(encodeMessage({ type: "answerSeat", request, give }));
  }

  /** Leaves the session running on the device. */
  detach(): void {
    this.stop();
  }

  /** Ends the session. */
  async end(): Promise<void> {
    if (this.attached) {
      this.send(encodeMessage({ type: "close" }));
      return;
    }
    await call("AmazonSSM.TerminateSession", { SessionId: this.id });
    this.over({ is: "ended", reason: "closedByOperator", status: null, text: "" });
  }

  /**
   * Takes the seat back from another client, which has answered what it was asked meanwhile.
   * `drawn`: the screen shows what comes before this position.
   */
  takeBack(drawn: number | null): void {
    const isAhead = drawn !== null && drawn > this.output.onScreen;
    if (isAhead && this.unread === 0) this.output = new Output(drawn);
    this.isOld = true;
    this.seat = undefined;
    this.again();
  }

  /** Tries again now: after a sign-in, when the network is back. */
  again(): void {
    if (this.stopped) return;
    this.pauses.atOnce();
    this.lost();
  }

  private async connect(first: Grant | null): Promise<void> {
    let grant = first;
    try {
      if (!identity.value) throw new ApiError("ExpiredTokenException", t("signInOver"));
      const body = { SessionId: this.id, TowlineSeat: this.seat };
      grant ??= await call<Grant>(this.renewal, body);
    } catch (error) {
      if (!this.stopped) this.refused(error);
      return;
    }
    await this.screenIsDone();
    if (this.stopped) return;
    const { TokenValue: token = "", TowlineEnded: ended, TowlineTakenOver: by } = grant;
    if (ended) {
      this.over({ is: "gone", why: ended });
      return;
    }
    if (by) {
      this.takenOver(by);
      return;
    }
    const socket = streamOf(grant);
    this.socket = socket;
    const late = setTimeout(() => socket === this.socket && this.lost(), OPENS_WITHIN_MS);
    socket.onopen = () => {
      this.lastHeard = Date.now();
      const received = this.output.position;
      const message = encodeMessage({
        type: "attach",
        token,
        received: received === null ? null : { io: received, err: 0 },
        room: { io: this.output.room, err: WINDOW },
        size: this.screen.size(),
      });
      socket.send(message);
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer>) => {
      if (socket !== this.socket) return;
      clearTimeout(late);
      this.lastHeard = Date.now();
      this.seat = token.split(".")[1];
      try {
        this.onMessage(new Uint8Array(event.data));
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        this.over({ is: "gone", why: t("broken", { why }) });
      }
    };
    socket.onclose = () => {
      clearTimeout(late);
      if (socket === this.socket) this.lost();
    };
  }

  private onMessage(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    switch (frame.kind) {
      case "data": {
        if (frame.stream !== IO) return;
        const fresh = this.output.data(frame.offset, frame.data);
        if (fresh) this.show(fresh);
        return;
      }
      case "credit":
        if (frame.stream !== IO) return;
        this.input.credit(frame.acked, frame.limit);
        this.pump();
        this.screen.taken?.();
        return;
      case "fin":
        if (frame.stream === IO) this.output.fin(frame.length);
        else this.send(encodeFrame({ ...frame, kind: "credit", acked: 1, limit: 1 }));
        this.acknowledge();
        return;
      case "ping":
        this.send(encodeFrame({ kind: "pong" }));
        return;
      case "control":
        this.onControl(decodeMessage(frame.body));
        return;
      case "pong":
      case "unknown":
        return;
    }
  }

  private onControl(message: ToClient): void {
    switch (message.type) {
      case "attached": {
        const missed = this.output.attached(message.output.io);
        if (missed > 0) this.screen.missed(missed);
        const dropped = this.dropPassed(message.input);
        this.input.attached(message.input, message.room);
        this.attached = true;
        this.pauses.made();
        this.endOld();
        this.since = 0;
        this.screen.status({ is: "connected" });
        if (dropped !== null) this.screen.otherTyped?.(dropped);
        this.resized();
        this.pump();
        this.screen.taken?.();
        return;
      }
      case "waiting":
        this.attached = false;
        this.input.lost();
        this.screen.status({ is: "waiting", seconds: message.grace });
        return;
      case "ended":
        this.whenShown(() =>
          this.over({
            is: "ended",
            reason: message.reason,
            status: message.status,
            text: message.text,
          }),
        );
        return;
      case "refused":
        if (message.takenOver) this.takenOver(message.text);
        else this.over({ is: "gone", why: message.text });
        return;
      case "watched":
      case "message":
      case "seatAsked":
      case "accessEnds":
        this.screen.notice?.(message);
        return;
      case "notConnected":
      case "watching":
      case "resized":
      case "missed":
        return;
    }
  }

  /** Another client types now, from positions of its own: what was not taken is dropped. */
  private takenOver(by: string): void {
    this.pause();
    this.since = 0;
    const dropped = this.input.waiting;
    this.input = new Input();
    this.screen.status({ is: "takenOver", by });
    if (dropped > 0) this.screen.otherTyped?.(dropped);
  }

  /**
   * Another client had the seat while this one was away, and typed: input that waits here is not
   * meant for what it left. How many bytes were dropped; `null`: nobody typed.
   */
  private dropPassed(position: number): number | null {
    if (!this.screen.otherTyped || !this.input.isPassed(position)) return null;
    const dropped = this.input.unsent;
    this.input = new Input();
    return dropped;
  }

  private show(bytes: Uint8Array): void {
    this.unread += bytes.length;
    const shown = (): void => {
      this.unread -= bytes.length;
      this.output.showed(bytes.length);
      this.acknowledge();
      if (this.unread === 0) {
        this.drained?.();
        this.drained = null;
      }
    };
    this.screen.write(bytes, shown, this.isOld);
    if (this.isOld) this.endOld();
  }

  private endOld(): void {
    clearTimeout(this.oldEnds);
    this.oldEnds = setTimeout(() => {
      this.isOld = false;
    }, OLD_ENDS_MS);
  }

  private acknowledge(): void {
    const credit = this.output.credit();
    if (credit && this.attached) this.send(encodeFrame({ kind: "credit", stream: IO, ...credit }));
  }

  private pump(): void {
    if (!this.attached) return;
    for (let next = this.input.next(MAX_DATA); next; next = this.input.next(MAX_DATA)) {
      this.send(encodeFrame({ kind: "data", stream: IO, ...next }));
    }
  }

  private send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  /** What came is on the screen: only then an attach may say that it was received. */
  private screenIsDone(): Promise<void> {
    return new Promise((resolve) => this.whenShown(resolve));
  }

  private whenShown(then: () => void): void {
    if (this.unread === 0) {
      then();
      return;
    }
    const before = this.drained;
    this.drained = () => {
      before?.();
      then();
    };
  }

  /** Leaves the websocket, and tries again after a pause. */
  private lost(): void {
    if (this.stopped) return;
    this.pause();
    this.since ||= Date.now();
    this.screen.status({ is: "reconnecting", since: this.since });
    this.screen.kept(this.input.waiting);
    this.timer = setTimeout(() => void this.connect(null), this.pauses.next());
  }

  private pause(): void {
    const socket = this.socket;
    this.socket = null;
    this.attached = false;
    this.input.lost();
    clearTimeout(this.timer);
    if (socket) socket.close();
  }

  private refused(error: unknown): void {
    if (needsSignIn(error)) {
      this.pause();
      notice.value = t("signInOver");
      this.needsSignIn = true;
      this.screen.status({ is: "needsSignIn" });
    } else if (error instanceof ApiError && error.code !== "ThrottlingException") {
      this.over({ is: "gone", why: error.message });
    } else {
      this.lost();
    }
  }

  private over(status: Status): void {
    this.stop();
    this.screen.status(status);
  }

  private stop(): void {
    this.pause();
    this.stopped = true;
    clearInterval(this.tick);
    this.abort.abort();
  }

  /** The websocket may be dead without a word: this computer slept, or changed its network. */
  private renew(): void {
    if (this.stopped || (!this.socket && this.since === 0)) return;
    this.again();
  }

  private lookAround(): void {
    const now = Date.now();
    const slept = now - this.lastLook > 4 * LOOKS_AROUND_MS;
    this.lastLook = now;
    if (!this.attached) return;
    if (slept) {
      this.renew();
    } else if (Math.abs(now - this.lastHeard) > SILENCE_MS) {
      this.lastHeard = now;
      const options = { method: "HEAD", cache: "no-store" as const };
      fetch("/console/", { ...options, signal: AbortSignal.timeout(5000) }).catch(() =>
        this.renew(),
      );
    }
  }
}
