// Parts of a device's page: its sessions and what they executed, its keys, who may use it, what was
// refused or failed, and the lines for ports.

import { useSignal } from "@preact/signals";
import { call, words } from "../api.ts";
import { ask } from "../dialog.tsx";
import { ownerName } from "../owner.ts";
import type { Listed } from "../sessions.ts";
import { dateOf } from "../strings.ts";
import { stateWord, t } from "../strings/fleet.ts";
import { LOOKUP_EVENTS, type Listed as Event, failureOf } from "../trail.ts";
import { useAnswer } from "../answers.ts";
import { Line, Remark, Section, Table } from "../parts.tsx";

export function Sessions({ id }: { id: string }) {
  return (
    <Section title={t("deviceSessions")}>
      <SessionTable id={id} state="Active" label={t("sessionsHere")} everyMs={5000} />
      <details>
        <summary>{t("pastSessions")}</summary>
        <SessionTable id={id} state="History" label={t("pastSessions")} everyMs={0} />
      </details>
    </Section>
  );
}

function SessionTable(props: { id: string; state: string; label: string; everyMs: number }) {
  const filter = [{ key: "Target", value: props.id }];
  const body = { State: props.state, MaxResults: 50, Filters: filter };
  const target = "AmazonSSM.DescribeSessions";
  const answer = useAnswer<{ Sessions: Listed[] }>(target, body, props.everyMs, "sessions");
  const chosen = useSignal("");
  const sessions = answer.value.value?.Sessions ?? [];
  return (
    <>
      <Remark answer={answer} />
      {answer.value.value && sessions.length === 0 && <p class="hint">{t("noSessionsHere")}</p>}
      {sessions.length > 0 && (
        <Table
          label={props.label}
          heads={[t("startedAt"), t("user"), t("commandDocument"), t("state"), ""]}
          keys={sessions.map((session) => session.SessionId)}
          rows={sessions.map((session) => [
            dateOf(session.StartDate),
            ownerName(session.Owner),
            session.DocumentName ?? "",
            stateWord(session.Status),
            <button
              type="button"
              aria-expanded={chosen.value === session.SessionId}
              aria-label={t("commandLogOf", { id: session.SessionId })}
              onClick={() => {
                chosen.value = chosen.value === session.SessionId ? "" : session.SessionId;
              }}
            >
              {t("commandLog")}
            </button>,
          ])}
        />
      )}
      {chosen.value && <CommandLog key={chosen.value} session={chosen.value} />}
    </>
  );
}

interface Executed {
  Kind: string;
  Number: number;
  StartedAt: number;
  Arguments?: string[];
  ExitCode?: number;
  Signal?: number;
  Detail?: string;
}

/** What a session executed, by its device's word. */
function CommandLog({ session }: { session: string }) {
  const body = { SessionId: session, MaxResults: 50 };
  const answer = useAnswer<{ Commands: Executed[]; NextToken?: string }>(
    "Towline.ListSessionCommands",
    body,
  );
  const log = answer.value.value;
  return (
    <section aria-label={t("commandLogOf", { id: session })}>
      <Remark answer={answer} />
      {log && log.Commands.length === 0 && <p class="hint">{t("nothingExecuted")}</p>}
      {log && log.Commands.length > 0 && (
        <Table
          label={t("commandLogOf", { id: session })}
          heads={[t("startedAt"), t("command"), t("exitStatus")]}
          keys={log.Commands.map((one) => String(one.Number))}
          rows={log.Commands.map((one) => [
            dateOf(one.StartedAt / 1000),
            one.Arguments?.length ? one.Arguments.join(" ") : (one.Detail ?? one.Kind),
            one.ExitCode ?? (one.Signal === undefined ? "" : t("signalNumber", { n: one.Signal })),
          ])}
        />
      )}
      {log?.NextToken && <p class="hint">{t("firstOnly", { n: log.Commands.length })}</p>}
    </section>
  );
}

interface Key {
  KeyFingerprint: string;
  Status: string;
  CreatedDate: number;
  EndedDate?: number;
}

export function Keys({ id }: { id: string }) {
  const body = { InstanceId: id };
  const answer = useAnswer<{ DeviceKeys: Key[] }>("Towline.ListDeviceKeys", body, 5000);
  const trouble = useSignal("");
  const keys = answer.value.value?.DeviceKeys ?? [];
  const perform = (target: string, more: object): void => {
    trouble.value = "";
    call(target, { ...body, ...more }).then(
      () => answer.again(),
      (error: unknown) => {
        trouble.value = words(error);
      },
    );
  };
  const revoke = async (key: Key): Promise<void> => {
    const sure = await ask(t("revokeAsk"), key.KeyFingerprint, [
      { label: t("revokeKey"), value: true },
    ]);
    if (sure) perform("Towline.RevokeDeviceKey", { KeyFingerprint: key.KeyFingerprint });
  };
  return (
    <Section title={t("deviceKeys")}>
      <div class="buttons left">
        <button type="button" onClick={() => perform("Towline.RotateDeviceKey", {})}>
          {t("rotate")}
        </button>
      </div>
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
      <Remark answer={answer} />
      {keys.length > 0 && (
        <Table
          label={t("deviceKeys")}
          heads={[t("fingerprint"), t("state"), t("createdAt"), t("commandEnded"), ""]}
          keys={keys.map((key) => key.KeyFingerprint)}
          rows={keys.map((key) => [
            <code title={key.KeyFingerprint}>{key.KeyFingerprint.slice(0, 16)}…</code>,
            stateWord(key.Status),
            dateOf(key.CreatedDate),
            dateOf(key.EndedDate),
            key.EndedDate === undefined && (
              <button
                type="button"
                aria-label={t("revokeThis", { key: key.KeyFingerprint.slice(0, 16) })}
                onClick={() => void revoke(key)}
              >
                {t("revokeKey")}
              </button>
            ),
          ])}
        />
      )}
    </Section>
  );
}

interface Allowed {
  Principal: string;
  Actions: string[];
  Documents: string[];
  Conditional: string[];
}

/** Who may do what here, by the stored policies. */
export function Access({ id }: { id: string }) {
  const body = { InstanceId: id };
  const answer = useAnswer<{ Access: Allowed[]; Truncated?: boolean }>(
    "Towline.ListDeviceAccess",
    body,
  );
  const found = answer.value.value;
  return (
    <Section title={t("whoMay")}>
      <Remark answer={answer} />
      {found && found.Access.length === 0 && <p class="hint">{t("nobodyMay")}</p>}
      {found && found.Access.length > 0 && (
        <Table
          label={t("whoMay")}
          heads={[t("user"), t("mayDo"), t("documents"), t("underConditions")]}
          keys={found.Access.map((one) => one.Principal)}
          rows={found.Access.map((one) => [
            ownerName(one.Principal),
            one.Actions.join(", "),
            one.Documents.join(", "),
            one.Conditional.join(", "),
          ])}
        />
      )}
      {found?.Truncated && <p class="hint">{t("notAllShown")}</p>}
    </Section>
  );
}

/** What was refused or failed on this device, from the audit trail. */
export function LastErrors({ id }: { id: string }) {
  const attribute = [{ AttributeKey: "ResourceName", AttributeValue: id }];
  const answer = useAnswer<{ Events: Event[] }>(LOOKUP_EVENTS, {
    LookupAttributes: attribute,
    MaxResults: 50,
  });
  const failed = (answer.value.value?.Events ?? []).flatMap((event) => {
    const failure = failureOf(event);
    return failure ? [{ event, failure }] : [];
  });
  return (
    <Section title={t("lastErrors")}>
      <Remark answer={answer} />
      {answer.value.value && failed.length === 0 && <p class="hint">{t("noErrors")}</p>}
      {failed.length > 0 && (
        <Table
          label={t("lastErrors")}
          heads={[t("at"), t("user"), t("operation"), t("error")]}
          keys={failed.map(({ event }) => event.EventId)}
          rows={failed.map(({ event, failure }) => [
            dateOf(event.EventTime),
            event.Username ?? "",
            event.EventName,
            [failure.code, failure.message].filter(Boolean).join(": "),
          ])}
        />
      )}
    </Section>
  );
}

/** The lines that open ports; the browser opens none. */
export function Ports({ id }: { id: string }) {
  const port = useSignal("80");
  const number = /^\d{1,5}$/.test(port.value) ? port.value : "80";
  const parameters = `portNumber=${number},localPortNumber=${number}`;
  const aws = `aws ssm start-session --target ${id} --document-name AWS-StartPortForwardingSession`;
  return (
    <Section title={t("ports")}>
      <p class="hint">{t("portsHint")}</p>
      <label class="short">
        {t("portOnDevice")}
        <input
          inputMode="numeric"
          value={port.value}
          onInput={(event) => {
            port.value = event.currentTarget.value;
          }}
        />
      </label>
      <Line label="towline" text={`towline forward ${id} ${number}:localhost:${number}`} />
      <Line
        label="AWS CLI"
        text={`${aws} --parameters ${parameters} --endpoint-url ${location.origin}`}
      />
    </Section>
  );
}
