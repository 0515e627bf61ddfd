// The page's end of the worker. The address of the worker is that of an asset of ours: the one
// policy of Trusted Types that the gateway permits makes no other.

import { t } from "../../strings/fleet.ts";
import type { Question, Response } from "./worker_messages.ts";

interface Awaited {
  resolve(response: Response): void;
  reject(error: Error): void;
  progress: (bytes: number) => void;
}

const awaited = new Map<number, Awaited>();
let worker: Worker | null = null;
let last = 0;
/** A policy can be made once. */
let made: Policy | null = null;

/** What a worker's address looks like. */
export function isWorkerAddress(address: string): boolean {
  return /^\/console\/assets\/worker-[A-Za-z0-9]+\.js$/.test(address);
}

interface Policy {
  createScriptURL(url: string): unknown;
}

interface Factory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

function started(): Worker {
  if (worker) return worker;
  const address =
    document.querySelector<HTMLMetaElement>('meta[name="towline-worker"]')?.content ?? "";
  const own = (url: string): string => {
    if (!isWorkerAddress(url)) throw new TypeError(url);
    return url;
  };
  const factory = (window as unknown as { trustedTypes?: Factory }).trustedTypes;
  made ??= factory?.createPolicy("towline-worker", { createScriptURL: own }) ?? null;
  const policy = made;
  const url = policy ? policy.createScriptURL(address) : own(address);
  worker = new Worker(url as string);
  worker.onmessage = (event: MessageEvent<Response>) => {
    const { id, progress, failed } = event.data;
    const waits = awaited.get(id);
    if (!waits) return;
    if (progress !== undefined) {
      waits.progress(progress);
      return;
    }
    awaited.delete(id);
    if (failed === undefined) waits.resolve(event.data);
    else waits.reject(new Error(failed.startsWith("QuotaExceeded") ? t("noRoom") : failed));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new Error(t("noWorker", { why: event.message || address }));
    for (const waits of awaited.values()) waits.reject(error);
    awaited.clear();
  };
  return worker;
}

/** Ends the worker: it holds no file any more, and what it was asked fails. */
export function endWorker(): void {
  worker?.terminate();
  worker = null;
  for (const waits of awaited.values()) waits.reject(new Error(t("stopped")));
  awaited.clear();
}

/** Asks the worker. Bytes of a write are given away. */
export function askWorker(
  question: Question,
  progress: (bytes: number) => void = () => undefined,
): Promise<Response> {
  last += 1;
  const id = last;
  if (question.type === "leave" && !worker) return Promise.resolve({ id }); // it left all
  const transfer = question.type === "write" ? [question.bytes.buffer] : [];
  return new Promise((resolve, reject) => {
    awaited.set(id, { resolve, reject, progress });
    started().postMessage({ ...question, id }, transfer);
  });
}
