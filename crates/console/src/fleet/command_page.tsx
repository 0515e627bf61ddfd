// A command on its way: progress while it runs, outputs grouped by equal text, cancel, and again on
// the devices that failed. The whole output of a device is read piece by piece on request.

import { type Signal, useSignal } from "@preact/signals";
import { call, words } from "../api.ts";
import { type PageProps, addressOf } from "../pages.ts";
import { dateOf } from "../strings.ts";
import { MOST_IDS } from "../devices.ts";
import { stateWord, t } from "../strings/fleet.ts";
import { decoded, everyPage, useAnswer, useRead } from "../answers.ts";
import {
  type Command,
  type Group,
  type Invocation,
  draftOf,
  failedOf,
  grouped,
  isOver,
} from "./commands.ts";
import { Remark, Section, bytesOf } from "../parts.tsx";
import { RunPage, draft, titleOf } from "./run_page.tsx";

const EVERY_MS = 1000;
/** Most devices whose outputs are on the page. */
const MOST_INVOCATIONS = 2000;
/** Most names in the heading of a group. */
const MOST_NAMES = 50;
/** Most bytes of one output that are shown; more is what `towline outputs` is for. */
const MOST_OUTPUT = 1024 * 1024;

/** `#/run` is the editor, `#/run/ID` one command. */
export function RunPages(props: PageProps) {
  const [id] = props.place.rest;
  return id ? <CommandPage key={id} id={id} /> : <RunPage {...props} />;
}

function CommandPage({ id }: { id: string }) {
  const body = { CommandId: id };
  const answer = useAnswer<{ Commands: Command[] }>(
    "AmazonSSM.ListCommands",
    body,
    EVERY_MS,
    "commands",
  );
  const command = answer.value.value?.Commands[0];
  return (
    <main class="sheet">
      <p>
        <a href="#/run">{t("backToCommands")}</a>
      </p>
      <h1>{command ? titleOf(command) : id}</h1>
      <Remark answer={answer} />
      {answer.value.value && !command && <p class="empty">{t("noCommand")}</p>}
      {command && <Standing command={command} />}
      {command && <Outputs command={command} />}
    </main>
  );
}

function Standing({ command }: { command: Command }) {
  const trouble = useSignal("");
  const script = command.Parameters?.["commands"]?.join("\n") ?? "";
  const failed = command.ErrorCount + command.DeliveryTimedOutCount;
  const counts = { done: command.CompletedCount, all: command.TargetCount, failed };
  const cancel = (): void => {
    call("AmazonSSM.CancelCommand", { CommandId: command.CommandId }).catch((error: unknown) => {
      trouble.value = words(error);
    });
  };
  return (
    <>
      <p role="status" data-status={command.Status}>
        {stateWord(command.StatusDetails || command.Status)}: {t("progressOf", counts)}
      </p>
      <progress
        max={Math.max(1, command.TargetCount)}
        value={command.CompletedCount}
        aria-label={t("progress")}
      />
      <p class="hint">
        {dateOf(command.RequestedDateTime)} · {t("run_concurrency")} {command.MaxConcurrency} ·{" "}
        {t("run_errors")} {command.MaxErrors} · {command.CommandId}
      </p>
      <pre class="code" tabIndex={0} aria-label={t("script")}>
        {script || command.DocumentName}
      </pre>
      <div class="buttons left">
        {!isOver(command.Status) && (
          <button type="button" onClick={cancel}>
            {t("cancelCommand")}
          </button>
        )}
        <button type="button" onClick={() => edit(command, null)}>
          {t("runAgain")}
        </button>
      </div>
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
    </>
  );
}

/** Opens the editor with this command, for `ids` or for its own targets. */
function edit(command: Command, ids: string[] | null): void {
  draft.value = draftOf(command, ids);
  location.hash = addressOf("run");
}

function Outputs({ command }: { command: Command }) {
  const id = command.CommandId;
  const body = { CommandId: id, Details: true, MaxResults: 50 };
  const target = "AmazonSSM.ListCommandInvocations";
  const read = () => everyPage<Invocation>(target, body, "CommandInvocations", MOST_INVOCATIONS);
  const over = isOver(command.Status);
  // In turns while it runs: what its scripts have printed so far is no change that is told.
  const answer = useRead(read, `${target} ${id} ${over}`, over ? 0 : EVERY_MS, true);
  const found = answer.value.value;
  const failed = failedOf(found?.items ?? []);
  const chosen = useSignal("");
  return (
    <Section title={t("outputs")}>
      <Remark answer={answer} />
      {over && failed.length > 0 && (
        <div class="buttons left">
          <button type="button" onClick={() => edit(command, failed.slice(0, MOST_IDS))}>
            {t("againOnFailed", { n: Math.min(failed.length, MOST_IDS) })}
          </button>
        </div>
      )}
      {grouped(found?.items ?? []).map((group, at) => (
        <GroupOf key={at} id={id} group={group} chosen={chosen} />
      ))}
      {found?.more && <p class="hint">{t("firstOnly", { n: MOST_INVOCATIONS })}</p>}
    </Section>
  );
}

/** `chosen`: the device whose whole output is shown, in whatever group it is by now. */
function GroupOf(props: { id: string; group: Group; chosen: Signal<string> }) {
  const { id, group, chosen } = props;
  const shown = group.devices.find((one) => one.InstanceId === chosen.value);
  const code = group.code === null ? "" : t("exitCode", { code: group.code });
  const names = group.devices.slice(0, MOST_NAMES);
  return (
    <article class={`group ${group.status}`} data-status={group.status}>
      <h3>
        {t("groupOf", { n: group.devices.length })} · {stateWord(group.status)}
        {code && ` · ${code}`}
      </h3>
      {group.why && <p class="trouble">{group.why}</p>}
      <pre class="code" tabIndex={0} aria-label={t("output")}>
        {group.output || t("noOutput")}
      </pre>
      <ul class="chips">
        {names.map((one) => (
          <li key={one.InstanceId}>
            <a href={addressOf("device", [one.InstanceId])}>{one.InstanceName || one.InstanceId}</a>{" "}
            <button
              type="button"
              class="plain"
              aria-expanded={chosen.value === one.InstanceId}
              aria-label={t("wholeOutputOf", { name: one.InstanceName || one.InstanceId })}
              onClick={() => {
                chosen.value = chosen.value === one.InstanceId ? "" : one.InstanceId;
              }}
            >
              {t("wholeOutput")}
            </button>
          </li>
        ))}
        {group.devices.length > names.length && (
          <li>{t("andMore", { n: group.devices.length - names.length })}</li>
        )}
      </ul>
      {shown && <Whole key={chosen.value} id={id} device={chosen.value} />}
    </article>
  );
}

interface Piece {
  Data: string;
  NextOffset?: number;
  Length: number;
}

/** The whole output of a device, up to a bound. */
function Whole({ id, device }: { id: string; device: string }) {
  const stream = useSignal("stdout");
  return (
    <div>
      <label class="short">
        {t("outputStream")}
        <select
          value={stream.value}
          onChange={(event) => {
            stream.value = event.currentTarget.value;
          }}
        >
          <option value="stdout">stdout</option>
          <option value="stderr">stderr</option>
        </select>
      </label>
      <WholeStream key={stream.value} id={id} device={device} stream={stream.value} />
    </div>
  );
}

function WholeStream(props: { id: string; device: string; stream: string }) {
  const body = { CommandId: props.id, InstanceId: props.device, Stream: props.stream };
  const read = () =>
    outputOf(body, (piece) => call<Piece>("Towline.GetCommandOutput", piece, true));
  const answer = useRead(read, JSON.stringify(body));
  const whole = answer.value.value;
  return (
    <>
      <Remark answer={answer} />
      {whole && (
        <pre
          class="code whole"
          tabIndex={0}
          aria-label={t("wholeOutputOf", { name: props.device })}
        >
          {whole.text || t("noOutput")}
        </pre>
      )}
      {whole && whole.read < whole.length && (
        <p class="hint">
          {t("outputCut", { shown: bytesOf(whole.read), all: bytesOf(whole.length) })}{" "}
          <code>{`towline outputs ${props.id} ${props.device}`}</code>
        </p>
      )}
    </>
  );
}

/**
 * Reads pieces until the end or the bound. Bytes that are no UTF-8 become replacement characters.
 */
export async function outputOf(
  body: object,
  next: (body: object) => Promise<Piece>,
  most = MOST_OUTPUT,
): Promise<{ text: string; read: number; length: number }> {
  const decoder = new TextDecoder();
  let [text, offset, length] = ["", 0, 0];
  for (;;) {
    const piece = await next({ ...body, Offset: offset });
    const bytes = decoded(piece.Data);
    text += decoder.decode(bytes, { stream: true });
    length = piece.Length;
    const at = piece.NextOffset;
    if (at === undefined || at <= offset) {
      return { text: text + decoder.decode(), read: offset + bytes.length, length };
    }
    offset = at;
    if (offset >= most) return { text, read: offset, length };
  }
}
