// Run Command: a script, devices by id or by tags with a preview of who gets it, and the history.

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, words } from "../api.ts";
import { type Device, nameOf } from "../devices.ts";
import { onLeave } from "../leaving.ts";
import { type PageProps, addressOf } from "../pages.ts";
import { dateOf } from "../strings.ts";
import { stateWord, t } from "../strings/fleet.ts";
import { useAnswer } from "../answers.ts";
import {
  type Command,
  type Draft,
  EMPTY,
  SHELL_SCRIPT,
  filtersOf,
  hasScript,
  requestOf,
  troubleOf,
} from "./commands.ts";
import { Remark, Section, Table } from "../parts.tsx";

/** What was typed stays while other pages are looked at, and goes with its user. */
export const draft = signal<Draft>(EMPTY);
onLeave(() => {
  draft.value = EMPTY;
});

export function RunPage({ place }: PageProps) {
  const { query } = place;
  useEffect(() => {
    const ids = (query.get("ids") ?? "").split(",").filter(Boolean);
    const tags = query.get("tags") ?? "";
    if (ids.length > 0 || tags) draft.value = { ...draft.peek(), ids, tags };
  }, [place]);
  return (
    <main class="sheet">
      <h1>{t("runCommand")}</h1>
      <Editor />
      <History />
    </main>
  );
}

const FIELDS = ["concurrency", "errors", "timeout", "directory", "comment"] as const;
/** The fields that are no parameters of a script. */
const FIELDS_OF_ALL = ["concurrency", "errors", "comment"] as const;
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(["directory", "comment"]);

/** What stays of a command that is sent again, where it is not what a new one has. */
function Document({ form }: { form: Draft }) {
  const { DocumentName, ...beside } = form.beside;
  const isNew = DocumentName === SHELL_SCRIPT && Object.keys(beside).length === 0;
  if (isNew) return null;
  const parameters = hasScript(form) ? [] : Object.entries(form.parameters);
  const facts = [...Object.entries(beside), ...parameters];
  return (
    <div class="whole">
      <dl class="facts">
        <dt>{t("commandDocument")}</dt>
        <dd>{DocumentName}</dd>
        {facts.flatMap(([name, value]) => [
          <dt key={name}>{name}</dt>,
          <dd key={`${name}:`}>{typeof value === "object" ? JSON.stringify(value) : value}</dd>,
        ])}
      </dl>
      <button
        type="button"
        onClick={() => {
          draft.value = EMPTY;
        }}
      >
        {t("newCommand")}
      </button>
    </div>
  );
}

function Editor() {
  const trouble = useSignal("");
  const isSending = useSignal(false);
  const form = draft.value;
  const wrong = troubleOf(form);
  const change = (part: Partial<Draft>): void => {
    draft.value = { ...draft.value, ...part };
  };
  const send = async (): Promise<void> => {
    trouble.value = "";
    isSending.value = true;
    try {
      const sent = await call<{ Command: Command }>("AmazonSSM.SendCommand", requestOf(form));
      location.hash = addressOf("run", [sent.Command.CommandId]);
    } catch (error) {
      trouble.value = words(error);
    } finally {
      isSending.value = false;
    }
  };
  return (
    <Section title={t("newCommand")}>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <Document form={form} />
        {hasScript(form) && (
          <label class="whole">
            {t("script")}
            <textarea
              name="script"
              class="code"
              rows={8}
              required
              spellcheck={false}
              value={form.script}
              onInput={(event) => change({ script: event.currentTarget.value })}
            />
          </label>
        )}
        <label>
          {t("targetIds")}
          <input
            name="ids"
            value={form.ids.join(", ")}
            onChange={(event) =>
              change({ ids: event.currentTarget.value.split(/[\s,]+/).filter(Boolean) })
            }
          />
        </label>
        <label>
          {t("targetTags")}
          <input
            name="tags"
            placeholder="site=seoul, class=door"
            disabled={form.ids.length > 0}
            value={form.tags}
            onInput={(event) => change({ tags: event.currentTarget.value })}
          />
        </label>
        {(hasScript(form) ? FIELDS : FIELDS_OF_ALL).map((name) => (
          <label key={name} class={MAY_BE_EMPTY.has(name) ? "" : "short"}>
            {t(`run_${name}`)}
            <input
              name={name}
              value={form[name]}
              required={!MAY_BE_EMPTY.has(name)}
              maxLength={name === "directory" ? 4096 : 100}
              onInput={(event) => change({ [name]: event.currentTarget.value })}
            />
          </label>
        ))}
        <button type="submit" disabled={wrong !== null || isSending.value}>
          {t("send")}
        </button>
        <p class="trouble" role="alert">
          {trouble.value}
        </p>
      </form>
      {wrong ? <p class="hint">{t(wrong)}</p> : <Preview form={form} />}
    </Section>
  );
}

/** Who would get it: the first devices by name. */
function Preview({ form }: { form: Draft }) {
  const asked = useSignal(form);
  useEffect(() => {
    const timer = setTimeout(() => {
      asked.value = form;
    }, 250);
    return () => clearTimeout(timer);
  }, [form]);
  if (troubleOf(asked.value)) return null;
  return <PreviewOf key={JSON.stringify(filtersOf(asked.value))} form={asked.value} />;
}

function PreviewOf({ form }: { form: Draft }) {
  const answer = useAnswer<{ InstanceInformationList: Device[]; NextToken?: string }>(
    "AmazonSSM.DescribeInstanceInformation",
    { MaxResults: 50, Filters: filtersOf(form) },
  );
  const page = answer.value.value;
  const found = page?.InstanceInformationList ?? [];
  const online = found.filter((device) => device.PingStatus === "Online").length;
  return (
    <div class="preview">
      <Remark answer={answer} />
      {page && (
        <p role="status">
          {t(page.NextToken ? "previewMany" : "preview", { n: found.length, online })}
        </p>
      )}
      <ul class="chips">
        {found.map((device) => (
          <li key={device.InstanceId}>{nameOf(device)}</li>
        ))}
      </ul>
    </div>
  );
}

function History() {
  const answer = useAnswer<{ Commands: Command[]; NextToken?: string }>(
    "AmazonSSM.ListCommands",
    { MaxResults: 50 },
    5000,
    "commands",
  );
  const commands = answer.value.value?.Commands ?? [];
  return (
    <Section title={t("commandHistory")}>
      <Remark answer={answer} />
      {answer.value.value && commands.length === 0 && <p class="hint">{t("noCommands")}</p>}
      {commands.length > 0 && (
        <Table
          label={t("commandHistory")}
          heads={[t("startedAt"), t("command"), t("state"), t("devices"), t("failures")]}
          keys={commands.map((one) => one.CommandId)}
          rows={commands.map((one) => [
            dateOf(one.RequestedDateTime),
            <a href={addressOf("run", [one.CommandId])}>{titleOf(one)}</a>,
            stateWord(one.StatusDetails || one.Status),
            `${one.CompletedCount}/${one.TargetCount}`,
            String(one.ErrorCount + one.DeliveryTimedOutCount),
          ])}
        />
      )}
      {answer.value.value?.NextToken && <p class="hint">{t("firstOnly", { n: 50 })}</p>}
    </Section>
  );
}

/** The comment of a command, or the first line of its script. */
export function titleOf(command: Command): string {
  const script = command.Parameters?.["commands"]?.join("\n").trim() ?? "";
  const [first = ""] = script.split("\n");
  return (command.Comment || first || command.DocumentName).slice(0, 80);
}
