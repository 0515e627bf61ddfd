// Files of a device: a folder is listed, files are downloaded, files and folders are uploaded. All
// of it by the copy protocol in this page; the gateway has no route for files.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { words } from "../../api.ts";
import { type Device, nameOf } from "../../devices.ts";
import { type PageProps, addressOf } from "../../pages.ts";
import { Refusal } from "../../refusal.tsx";
import { t } from "../../strings/fleet.ts";
import { useAnswer } from "../../answers.ts";
import { Section, Table, bytesOf } from "../../parts.tsx";
import { Copier } from "./copier.ts";
import { type Entry, below, cleanPath, isName, pathFrom, spelled } from "./copy_messages.ts";
import { filesOf } from "./dropped.ts";
import {
  type State,
  type Transfer,
  add,
  addFiles,
  remove,
  stop,
  transfers,
  tryAgain,
} from "./transfers.ts";

/** Most files that one drop takes. */
const MOST_FILES = 2000;

export function FilesPage({ place }: PageProps) {
  const [id = ""] = place.rest;
  const path = cleanPath(place.query.get("path") ?? ".");
  const body = { Filters: [{ Key: "InstanceIds", Values: [id] }] };
  const answer = useAnswer<{ InstanceInformationList: Device[] }>(
    "AmazonSSM.DescribeInstanceInformation",
    body,
  );
  const device = answer.value.value?.InstanceInformationList[0];
  const name = device ? nameOf(device) : id;
  return (
    <main class="sheet" key={id}>
      <p>
        <a href={addressOf("device", [id])}>{name}</a>
      </p>
      <h1>{t("filesOn", { name })}</h1>
      <PathForm device={id} path={spelled(path)} />
      {place.isLink && <p class="hint">{t("linkFiles")}</p>}
      {!place.isLink && <Folder key={`${path} ${place.query.get("at")}`} device={id} path={path} />}
      <Transfers />
    </main>
  );
}

/** Shows a path; one that is shown already is read again. */
function go(device: string, typed: string): void {
  const path = spelled(pathFrom(typed));
  const address = addressOf("files", [device], { path });
  const isHere = location.hash.startsWith(address);
  const at = String(Date.now());
  location.hash = isHere ? addressOf("files", [device], { path, at }) : address;
}

function PathForm({ device, path }: { device: string; path: string }) {
  const typed = useSignal(path);
  useEffect(() => {
    typed.value = path;
  }, [path]);
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault();
        go(device, typed.value);
      }}
    >
      <label>
        {t("pathOnDevice")}
        <input
          name="path"
          spellcheck={false}
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit">{t("showPath")}</button>
      <p class="hint">{t("pathHint")}</p>
    </form>
  );
}

interface Named {
  name: string;
  path: string;
  entry: Entry;
}

interface Seen {
  entry: Entry;
  entries: Named[];
  unnamed: number;
}

/** Looks at a path in a session of its own. */
async function seen(device: string, path: string): Promise<Seen> {
  const copier = await Copier.open(device, path, "get");
  try {
    const entry = await copier.look(path);
    if (entry.kind !== "folder")
      return { entry, entries: [{ name: spelled(path), path, entry }], unnamed: 0 };
    const { entries, unnamed } = await copier.list(path);
    const inside = (name: string): string => cleanPath(spelled(below(path, name)));
    return { entry, entries: entries.map((one) => ({ ...one, path: inside(one.name) })), unnamed };
  } finally {
    copier.close();
  }
}

function Folder({ device, path }: { device: string; path: string }) {
  const found = useSignal<Seen | null>(null);
  const trouble = useSignal<unknown>(null);
  const read = (): void => {
    trouble.value = null;
    seen(device, path).then(
      (now) => {
        found.value = now;
      },
      (error: unknown) => {
        trouble.value = error;
      },
    );
  };
  useEffect(read, []);
  const uploaded = transfers.value.filter(
    (one) =>
      one.way === "up" && one.device === device && one.root === path && one.state.is === "done",
  ).length;
  useEffect(() => {
    if (uploaded > 0) read();
  }, [uploaded]);
  const now = found.value;
  return (
    <Section title={spelled(path)}>
      {trouble.value !== null && (
        <>
          <Refusal error={trouble.value} />
          <button type="button" onClick={read}>
            {t("askAgain")}
          </button>
        </>
      )}
      {!now && trouble.value === null && <p class="hint">{t("loading")}</p>}
      {now?.entry.kind === "nothing" && <p class="hint">{t("nothingThere")}</p>}
      {now?.entry.kind === "other" && <p class="hint">{t("notCopied")}</p>}
      {(now?.entry.kind === "file" || now?.entry.kind === "folder") && (
        <Entries device={device} root={path} seen={now} />
      )}
      {(now?.entry.kind === "folder" || now?.entry.kind === "nothing") && (
        <Upload device={device} path={path} />
      )}
    </Section>
  );
}

/** The folder above; none above the root and the home. */
function parentOf(path: string): string | null {
  if (path === "/" || path === ".") return null;
  const at = path.lastIndexOf("/");
  return at < 0 ? "." : path.slice(0, at) || "/";
}

function Entries({ device, root, seen }: { device: string; root: string; seen: Seen }) {
  const { entries, unnamed } = seen;
  const parent = parentOf(root);
  return (
    <>
      {parent !== null && (
        <p>
          <a href={addressOf("files", [device], { path: spelled(parent) })}>{t("parent")}</a>
        </p>
      )}
      {entries.length === 0 && <p class="hint">{t("emptyFolder")}</p>}
      {entries.length > 0 && (
        <Table
          label={t("filesOn", { name: spelled(root) })}
          heads={[t("name"), t("kind"), t("size"), t("mode"), ""]}
          keys={entries.map((one) => one.name)}
          rows={entries.map((one) => row(device, one))}
        />
      )}
      {unnamed > 0 && <p class="hint">{t("unnamedEntries", { n: unnamed })}</p>}
    </>
  );
}

function row(device: string, { name, path, entry }: Named) {
  const own = path.slice(path.lastIndexOf("/") + 1);
  const kind = {
    nothing: "nothingThere",
    file: "kindFile",
    folder: "kindFolder",
    other: "kindOther",
  } as const;
  return [
    entry.kind === "folder" ? (
      <a href={addressOf("files", [device], { path: spelled(path) })}>{name}</a>
    ) : (
      name
    ),
    t(kind[entry.kind]),
    entry.kind === "file" ? bytesOf(entry.size) : "",
    entry.mode.toString(8).padStart(3, "0"),
    entry.kind === "file" && (
      <button
        type="button"
        aria-label={t("downloadThis", { name: own })}
        onClick={() => void download(device, path, own, entry.size)}
      >
        {t("download")}
      </button>
    ),
  ];
}

type Picker = (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;

/** To a file that the user chooses, where the browser can; else to a private file and a link. */
async function download(device: string, path: string, name: string, size: number): Promise<void> {
  const pick = (window as unknown as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  let into: FileSystemFileHandle | null = null;
  if (pick) {
    try {
      into = await pick.call(window, { suggestedName: name });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return; // none was chosen
    }
  }
  add({ way: "down", device, root: path, path, name, size, into });
}

function Upload({ device, path }: { device: string; path: string }) {
  const isOver = useSignal(false);
  const trouble = useSignal("");
  const folder = useRef<HTMLInputElement>(null);
  useEffect(() => {
    folder.current?.setAttribute("webkitdirectory", "");
  }, []);
  const put = (files: { file: File; in: string[] }[]): void => {
    const good = files.filter((one) => [...one.in, one.file.name].every(isName));
    const bad = files.filter((one) => !good.includes(one)).map((one) => one.file.name);
    if (bad.length > 0) {
      trouble.value = t("leftOut", { n: bad.length, names: bad.slice(0, 10).join(", ") });
    }
    if (good.length > MOST_FILES) trouble.value = t("tooManyFiles", { n: MOST_FILES });
    else addFiles(device, path, good);
  };
  const chosen = (input: HTMLInputElement): void => {
    trouble.value = "";
    put(
      Array.from(input.files ?? [], (file) => ({
        file,
        in: (file.webkitRelativePath || file.name).split("/").slice(0, -1),
      })),
    );
    input.value = "";
  };
  return (
    <div
      class={`drop ${isOver.value ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => {
        isOver.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        [isOver.value, trouble.value] = [false, ""];
        if (!event.dataTransfer) return;
        filesOf(event.dataTransfer, MOST_FILES).then(put, (error: unknown) => {
          trouble.value = words(error);
        });
      }}
    >
      <p>{t("uploadTo", { path: spelled(path) })}</p>
      <div class="fields">
        <label>
          {t("chooseFiles")}
          <input type="file" name="files" multiple onChange={(e) => chosen(e.currentTarget)} />
        </label>
        <label>
          {t("chooseFolder")}
          <input
            type="file"
            name="folder"
            multiple
            ref={folder}
            onChange={(e) => chosen(e.currentTarget)}
          />
        </label>
      </div>
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
    </div>
  );
}

function Transfers() {
  const list = transfers.value;
  if (list.length === 0) return null;
  return (
    <Section title={t("transfers")}>
      <ul class="transfers">
        {list.map((one) => (
          <Row key={one.id} one={one} />
        ))}
      </ul>
    </Section>
  );
}

function Row({ one }: { one: Transfer }) {
  const { name, state } = one;
  const busy = state.is === "moves" || state.is === "digests" || state.is === "waits";
  const done = state.is === "moves" || state.is === "digests" ? state.done : 0;
  return (
    <li data-transfer={name} data-state={state.is}>
      <span role={busy ? undefined : "status"}>
        {t("transferOf", { name, state: textOf(one, state) })}
        {one.from > 0 && ` (${t("continuedAt", { at: bytesOf(one.from) })})`}
      </span>
      {busy && (
        <progress
          max={Math.max(1, one.size, done)}
          value={done}
          aria-label={t("transferOf", { name, state: "" })}
        />
      )}
      {state.is === "done" && state.link && <SaveLink blob={state.link} name={name} />}
      {(state.is === "failed" || state.is === "stopped") && (
        <button
          type="button"
          aria-label={t("tryTransfer", { name })}
          onClick={() => tryAgain(one.id)}
        >
          {t("askAgain")}
        </button>
      )}
      {busy ? (
        <button type="button" aria-label={t("stopTransfer", { name })} onClick={() => stop(one.id)}>
          {t("stop")}
        </button>
      ) : (
        <button
          type="button"
          aria-label={t("removeTransfer", { name })}
          onClick={() => remove(one.id)}
        >
          {t("remove")}
        </button>
      )}
    </li>
  );
}

function textOf(one: Transfer, state: State): string {
  switch (state.is) {
    case "waits":
      return t("stateWaits");
    case "digests":
      return t("stateDigests");
    case "moves":
      return t("stateMoves", { done: bytesOf(state.done), all: bytesOf(one.size) });
    case "done":
      return t("stateDone");
    case "failed":
      return t("stateFailed", { why: state.why });
    case "stopped":
      return t("stopped");
  }
}

/** A link to the private file; its content stays on the disk until somebody saves it. */
function SaveLink({ blob, name }: { blob: Blob; name: string }) {
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    const url = URL.createObjectURL(blob);
    if (link.current) link.current.href = url;
    return () => URL.revokeObjectURL(url);
  }, [blob]);
  return (
    <a class="button" ref={link} download={name}>
      {t("saveFile", { name })}
    </a>
  );
}
