// Transfers between this browser and devices: a list that survives a change of the page, worked off
// one after the other, each checked by SHA-256 at both ends.
//
// Data flow of an upload: file -> worker (digest) -> pieces -> device, which compares the digest.
// Of a download: device -> pieces -> worker (digest, file) -> the digest that the device says.
//
// Invariants: a failed or stopped transfer can be tried again, and goes on where it was. Sign-out
// ends all sessions of transfers.

import { signal } from "@preact/signals";
import { NoAnswer, words } from "../../api.ts";
import { keptPrefix } from "../../kept.ts";
import { onLeave } from "../../leaving.ts";
import { t } from "../../strings/fleet.ts";
import { Copier, Refused } from "./copier.ts";
import { below } from "./copy_messages.ts";
import { Sha256 } from "./sha256.ts";
import { askWorker, endWorker } from "./worker_client.ts";
import { PIECE } from "./worker_messages.ts";

export type State =
  | { is: "waits" }
  | { is: "digests"; done: number }
  | { is: "moves"; done: number }
  | { is: "done"; link: Blob | null }
  | { is: "failed"; why: string }
  | { is: "stopped" };

interface Common {
  id: number;
  device: string;
  /** Path on the device. */
  path: string;
  name: string;
  size: number;
  /** Where it was gone on with. */
  from: number;
  state: State;
}

export type Transfer = Common &
  (
    | { way: "up"; file: File; root: string; folders: string[] }
    | { way: "down"; root: string; into: FileSystemFileHandle | null }
  );

export type NewTransfer = Transfer extends infer One
  ? One extends Transfer
    ? Omit<One, "id" | "from" | "state">
    : never
  : never;

export const transfers = signal<readonly Transfer[]>([]);

let last = 0;
let running: { id: number; copier: Copier | null; key: string } | null = null;
/** Folders that were made in the session that is open. */
let madeFolders = new Set<string>();

export function add(one: NewTransfer): void {
  last += 1;
  const transfer = { ...one, id: last, from: 0, state: { is: "waits" } } as Transfer;
  transfers.value = [...transfers.value, transfer];
  void work();
}

export function tryAgain(id: number): void {
  change(id, { state: { is: "waits" } });
  void work();
}

export function stop(id: number): void {
  change(id, { state: { is: "stopped" } });
  if (running?.id === id) running.copier?.close();
}

export function remove(id: number): void {
  const one = transfers.value.find((transfer) => transfer.id === id);
  if (one && (one.state.is === "moves" || one.state.is === "digests")) stop(id);
  transfers.value = transfers.value.filter((transfer) => transfer.id !== id);
  if (one && running?.id !== id) forgetFile(one);
}

/** Whether leaving the page loses something. */
export function isBusy(): boolean {
  return running !== null;
}

function change(id: number, part: Partial<Common>): void {
  transfers.value = transfers.value.map((one) =>
    one.id === id ? ({ ...one, ...part } as Transfer) : one,
  );
}

function isStopped(id: number): boolean {
  const one = transfers.value.find((transfer) => transfer.id === id);
  return !one || one.state.is === "stopped";
}

async function work(): Promise<void> {
  if (running) return;
  running = { id: 0, copier: null, key: "" };
  try {
    for (;;) {
      const next = transfers.value.find((one) => one.state.is === "waits");
      if (!next) return;
      running.id = next.id;
      try {
        await (next.way === "up" ? upload(next) : download(next));
      } catch (error) {
        if (!isStopped(next.id)) change(next.id, { state: { is: "failed", why: words(error) } });
        // The device's words about one path leave the session as it is.
        if (!(error instanceof Refused)) closeSession();
      }
      // It was removed while the worker held its file.
      if (!transfers.value.some((one) => one.id === next.id)) forgetFile(next);
    }
  } finally {
    closeSession();
    running = null;
  }
}

function closeSession(): void {
  running?.copier?.close();
  if (running) [running.copier, running.key] = [null, ""];
  madeFolders = new Set();
}

/** The session of this device, path and direction: the one before it, when it is the same. */
async function session(one: Transfer): Promise<Copier> {
  const direction = one.way === "up" ? "put" : "get";
  const key = JSON.stringify([one.device, one.root, direction]);
  if (running?.copier && !running.copier.isOver && running.key === key) return running.copier;
  closeSession();
  const copier = await Copier.open(one.device, one.root, direction);
  if (running) [running.copier, running.key] = [copier, key];
  if (isStopped(one.id)) throw new NoAnswer(t("stopped"));
  return copier;
}

async function upload(one: Transfer & { way: "up" }): Promise<void> {
  const { id, file, path } = one;
  change(id, { state: { is: "digests", done: 0 } });
  const show = paced((done) => !isStopped(id) && change(id, { state: { is: "digests", done } }));
  const { digest } = await askWorker({ type: "digest", file }, show);
  if (!digest || isStopped(id)) return;
  const copier = await session(one);
  for (const folder of one.folders) {
    if (madeFolders.has(folder)) continue;
    await copier.folder(folder, 0o755);
    madeFolders.add(folder);
  }
  let at = await copier.write(path, file.size, digest);
  change(id, { from: at, state: { is: "moves", done: at } });
  const moved = paced((done) => !isStopped(id) && change(id, { state: { is: "moves", done } }));
  while (at < file.size) {
    const bytes = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
    if (bytes.length === 0) throw new Error(t("fileShrank"));
    await copier.content(path, at, bytes);
    at += bytes.length;
    moved(at);
  }
  await copier.whole(path, digest);
  change(id, { state: { is: "done", link: null } });
}

async function download(one: Transfer & { way: "down" }): Promise<void> {
  const copier = await session(one);
  // What was kept of an earlier attempt may be of another content: then once more, from nothing.
  for (const fresh of one.into ? [true] : [false, true]) {
    if (await downloadOnce(one, copier, fresh)) return;
  }
  throw new Error(t("damaged"));
}

async function downloadOnce(
  one: Transfer & { way: "down" },
  copier: Copier,
  fresh: boolean,
): Promise<boolean> {
  const { id, path, into } = one;
  const sink = id;
  const name = keptName(one);
  const opened = into
    ? await askWorker({ type: "chosen", sink, file: into })
    : await askWorker({ type: "kept", sink, name, fresh });
  const from = opened.length ?? 0;
  change(id, { from, state: { is: "moves", done: from } });
  const moved = paced((done) => !isStopped(id) && change(id, { state: { is: "moves", done } }));
  let at = from;
  try {
    const digest = await copier.read(path, from, async (data) => {
      at += data.length;
      await askWorker({ type: "write", sink, bytes: data.slice() });
      moved(at);
    });
    const { good } = await askWorker({ type: "finish", sink, digest });
    if (!good) return false;
  } catch (error) {
    await askWorker({ type: "leave", sink }).catch(() => undefined);
    throw error;
  }
  const link = into ? null : await keptBlob(name);
  change(id, { size: at, state: { is: "done", link } });
  return true;
}

/** Passes on every tenth of a second, at most. */
function paced(tell: (bytes: number) => void): (bytes: number) => void {
  let next = 0;
  return (bytes) => {
    const now = performance.now();
    if (now < next) return;
    next = now + 100;
    tell(bytes);
  };
}

/** The private file of a download, named by its source, so that a later attempt finds it. */
function keptName(one: Transfer): string {
  const source = new TextEncoder().encode(`${one.device}\0${one.path}`);
  const digest = new Sha256().update(source).digest();
  const hex = Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0"));
  return keptPrefix() + hex.join("");
}

async function keptBlob(name: string): Promise<Blob> {
  const root = await navigator.storage.getDirectory();
  return (await root.getFileHandle(name)).getFile();
}

/** Removes what is kept of a download. */
function forgetFile(one: Transfer): void {
  if (one.way !== "down" || one.into) return;
  const name = keptName(one);
  const root = navigator.storage.getDirectory();
  root.then((root) => root.removeEntry(name)).catch(() => undefined); // nothing was kept
}

/** Puts files of the user into a folder of a device, with the folders that they are in. */
export function addFiles(
  device: string,
  root: string,
  files: { file: File; in: string[] }[],
): void {
  for (const one of files) {
    let folder = root;
    const folders = one.in.map((name) => {
      folder = below(folder, name);
      return folder;
    });
    const path = below(folder, one.file.name);
    const name = [...one.in, one.file.name].join("/");
    add({ way: "up", device, root, path, name, size: one.file.size, file: one.file, folders });
  }
}

window.addEventListener("beforeunload", (event) => {
  if (isBusy()) event.preventDefault();
});

/** Nothing of the user goes on. What is kept is removed by main.tsx, once the worker is gone. */
function endAll(): void {
  transfers.value = [];
  running?.copier?.close();
  endWorker();
}

// What waits would go on by the rights of somebody else.
onLeave(endAll);
