// What has changed at the gateway, told by a websocket: one for all tabs of the browser.
//
// Data flow: the tab that holds the lock has the websocket -> BroadcastChannel -> listeners of a
// topic in each tab, which then ask the API. Without locks, websocket or right, pages ask in turns
// as before.
//
// Invariants: a message holds topics alone. The mark of the last one is kept: after a lost link the
// gateway tells what changed meanwhile.

import { effect, signal } from "@preact/signals";
import { call, identity } from "./api.ts";

export type Topic = "devices" | "sessions" | "access" | "commands";

/** Whether the gateway tells of changes: pages then ask rarely by themselves. */
export const isTold = signal(false);

const LOCK = "towline-events";
/** Pause before the websocket is opened again, and after one that was not opened. */
const AGAIN_MS = 5_000;
const REFUSED_MS = 30_000;
/**
 * The leader says so often that it is connected; a tab that hears nothing for three times as long
 * asks in turns.
 */
const SIGN_MS = 5_000;
const listeners = new Map<Topic, Set<() => void>>();
let channel: BroadcastChannel | undefined;
let heard = 0;
let mark = "";

/** Calls `act` when something of this topic has changed; returns what ends that. */
export function onChange(topic: Topic, act: () => void): () => void {
  const all = listeners.get(topic) ?? new Set();
  listeners.set(topic, all);
  all.add(act);
  return () => all.delete(act);
}

function take(topics: unknown): void {
  heard = Date.now();
  isTold.value = true;
  if (!Array.isArray(topics)) return;
  for (const topic of topics) listeners.get(topic as Topic)?.forEach((act) => act());
}

/** Takes part for as long as somebody is signed in. */
export function listen(): void {
  if (!("locks" in navigator) || !("BroadcastChannel" in window)) return;
  let end: AbortController | undefined;
  let who: string | undefined;
  setInterval(() => {
    if (Date.now() - heard > 3 * SIGN_MS) isTold.value = false;
  }, SIGN_MS);
  effect(() => {
    const arn = identity.value?.arn;
    if (arn === who) return;
    who = arn;
    end?.abort();
    channel?.close();
    channel = undefined;
    isTold.value = false;
    mark = "";
    if (!arn) return;
    end = new AbortController();
    // By user: a tab of another user neither leads nor hears.
    const name = `${LOCK} ${arn}`;
    channel = new BroadcastChannel(name);
    channel.onmessage = (event: MessageEvent) => take(event.data);
    const { signal } = end;
    navigator.locks.request(name, { signal }, () => lead(signal)).catch(() => undefined);
  });
}

/**
 * Holds the websocket until `over`, and opens it again when it is lost. A browser does not say why
 * it was refused: whether the sign-in is over is asked for.
 */
async function lead(over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const pause = (await once(over)) ? AGAIN_MS : REFUSED_MS;
    if (over.aborted) return;
    call("Towline.GetSignIn", {}, true).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Whether it was open, when it is closed. */
function once(over: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let opened = false;
    const after = mark ? `?after=${encodeURIComponent(mark)}` : "";
    const socket = new WebSocket(`wss://${location.host}/console/events${after}`);
    const tell = (topics: unknown): void => {
      channel?.postMessage(topics);
      take(topics);
    };
    const sign = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) tell([]);
    }, SIGN_MS);
    const close = (): void => socket.close();
    over.addEventListener("abort", close);
    socket.onopen = () => {
      opened = true;
      tell([]);
    };
    socket.onmessage = (event: MessageEvent) => {
      try {
        const told = JSON.parse(String(event.data)) as { id: string; topics: unknown };
        mark = told.id;
        tell(told.topics);
      } catch {
        // Not a message of this version: what it tells is asked for in turns.
      }
    };
    socket.onclose = () => {
      clearInterval(sign);
      over.removeEventListener("abort", close);
      resolve(opened);
    };
  });
}
