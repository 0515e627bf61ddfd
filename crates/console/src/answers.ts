// An answer of the gateway for a part of a page: asked for when the part is shown, and again on
// request or in turns.
//
// Invariants: the newest request wins; an answer that comes later than a newer one is dropped. A
// refusal is shown in the gateway's words and is not asked for again by itself.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError, call } from "./api.ts";
import { type Topic, isTold, onChange } from "./events.ts";

/** In turns, while the gateway tells of changes. */
const TOLD_MS = 60_000;
/** Least time from a change to the request that it causes. */
const LEAST_MS = 100;

export interface Answer<T> {
  /** The last answer. */
  value: Signal<T | null>;
  /** Why there is none, or no newer one; null: there is. */
  error: Signal<unknown>;
  /** When the last answer came, milliseconds. */
  at: Signal<number>;
  /** Asks now. */
  again(): void;
}

/**
 * Asks `target` when the page shows the part; `everyMs`: and in turns while the tab is in sight.
 */
export function useAnswer<T>(target: string, body: object, everyMs = 0, topic?: Topic): Answer<T> {
  const key = JSON.stringify([target, body]);
  return useRead(() => call<T>(target, body, true), key, everyMs, false, topic);
}

/**
 * The same with a function that reads; `key` names what it reads. `keeps`: the last answer stays in
 * sight while the one to another key is awaited. `topic`: it is asked for when the gateway tells of
 * a change, and then rarely in turns.
 */
export function useRead<T>(
  read: () => Promise<T>,
  key: string,
  everyMs = 0,
  keeps = false,
  topic?: Topic,
): Answer<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<unknown>(null);
  const at = useSignal(0);
  const asker = useMemo(() => new Asker(read, { value, error, at }, everyMs, topic), [key]);
  useEffect(() => {
    if (!keeps) value.value = null;
    error.value = null;
    asker.begin();
    return () => asker.end();
  }, [asker]);
  return { value, error, at, again: () => asker.ask() };
}

/** Asks in turns. */
export class Asker<T> {
  private turn = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private over = false;
  private deaf: (() => void) | undefined;
  /** Changes that are told while an answer is awaited, or the tab is out of sight. */
  private isStale = false;
  private isAsking = false;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly told: Pick<Answer<T>, "value" | "error" | "at">,
    private readonly everyMs: number,
    private readonly topic?: Topic,
  ) {}

  begin(): void {
    this.over = false;
    if (this.topic) this.deaf = onChange(this.topic, () => this.changed());
    this.ask();
  }

  end(): void {
    this.over = true;
    this.deaf?.();
    this.turn += 1;
    clearTimeout(this.timer);
  }

  ask(): void {
    if (this.over) return;
    clearTimeout(this.timer);
    this.turn += 1;
    this.isStale = false;
    this.isAsking = true;
    const turn = this.turn;
    const begun = Date.now();
    const done = (store: () => void, goesOn: boolean): void => {
      if (turn !== this.turn) return;
      this.isAsking = false;
      store();
      if (this.everyMs <= 0 || !goesOn) return;
      // A computer that slept meanwhile, or whose clock was set, has not waited so long.
      const least = Math.min(TOLD_MS, 4 * (Date.now() - begun));
      if (this.isStale) this.later(Math.max(LEAST_MS, least));
      else this.later(Math.max(this.topic && isTold.value ? TOLD_MS : this.everyMs, least));
    };
    this.read().then(
      (answer) =>
        done(() => {
          this.told.value.value = answer;
          this.told.at.value = Date.now();
          this.told.error.value = null;
        }, true),
      (error: unknown) =>
        done(
          () => {
            this.told.error.value = error;
          },
          !(error instanceof ApiError) || error.code === "ThrottlingException",
        ),
    );
  }

  private changed(): void {
    if (this.over) return;
    this.isStale = true;
    if (!this.isAsking) this.later(LEAST_MS);
  }

  private later(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.hidden ? this.later(ms) : this.ask()), ms);
  }
}

/** All pages of a list, at most `most` items. */
export async function everyPage<T>(
  target: string,
  body: object,
  member: string,
  most: number,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  let next: string | undefined;
  do {
    const asked = { ...body, ...(next ? { NextToken: next } : {}) };
    const page: Record<string, unknown> = await call(target, asked, true);
    items.push(...((page[member] as T[] | undefined) ?? []));
    next = page["NextToken"] as string | undefined;
  } while (next && items.length < most);
  return { items, more: next !== undefined };
}

/** The bytes of a field in base64. */
export function decoded(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}
