// Who may do what: users, groups and roles, a question to the stored policies, and who may use a
// device. One of them is on a page of its own (principal_page.tsx).
//
// Invariants: nothing here judges. Every button is an operation that the gateway allows or refuses.

import { useSignal } from "@preact/signals";
import { everyPage, useRead } from "../answers.ts";
import { call, identity } from "../api.ts";
import { Access } from "../fleet/device_parts.tsx";
import { type PageProps, addressOf } from "../pages.ts";
import { Remark, Section, Table } from "../parts.tsx";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/admin.ts";
import { KINDS, type Kind, PrincipalPage } from "./principal_page.tsx";

/** Most that a list shows. */
const MOST = 1000;

interface Principal {
  PrincipalName: string;
  CreatedDate: number;
  Members?: string[];
  HasBoundary?: boolean;
}

export function PoliciesPage({ place }: PageProps) {
  const [kind, name] = place.rest;
  if (kind && name && KINDS.includes(kind as Kind)) {
    return <PrincipalPage key={`${kind}/${name}`} kind={kind as Kind} name={name} />;
  }
  return (
    <main class="sheet">
      <h1>{t("policies")}</h1>
      {KINDS.map((one) => (
        <Principals key={one} kind={one} />
      ))}
      <TryRequest />
      <WhoCan />
    </main>
  );
}

const TITLES = { User: "polUsers", Group: "polGroups", Role: "polRoles" } as const;

function Principals({ kind }: { kind: Kind }) {
  const body = { PrincipalType: kind, MaxResults: 100 };
  const read = () => everyPage<Principal>("Towline.ListPrincipals", body, "Principals", MOST);
  const answer = useRead(read, kind);
  const found = answer.value.value;
  return (
    <Section title={t(TITLES[kind])}>
      <Remark answer={answer} />
      {found && found.items.length === 0 && <p class="hint">{t("healthNone")}</p>}
      {found && found.items.length > 0 && (
        <Table
          label={t(TITLES[kind])}
          heads={[t("polName"), t("polCreated"), t("polMembers"), t("polBoundary")]}
          keys={found.items.map((one) => one.PrincipalName)}
          rows={found.items.map((one) => [
            <a href={addressOf("policies", [kind, one.PrincipalName])}>{one.PrincipalName}</a>,
            dateOf(one.CreatedDate),
            (one.Members ?? []).join(", "),
            one.HasBoundary ? t("polYes") : "",
          ])}
        />
      )}
      {found?.more && <p class="hint">{t("listedFirst", { n: found.items.length })}</p>}
      <Create kind={kind} made={() => answer.again()} />
    </Section>
  );
}

/**
 * Who may assume a new role, until it is changed: users of this account that a policy allows to.
 */
function trustOfAccount(): string {
  const account = identity.value?.arn.split(":")[4] ?? "";
  const statement = { Effect: "Allow", Principal: { AWS: account }, Action: "sts:AssumeRole" };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] }, null, 2);
}

function Create({ kind, made }: { kind: Kind; made: () => void }) {
  const error = useSignal<unknown>(null);
  const create = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    const body = {
      PrincipalName: String(data.get("name") ?? "").trim(),
      PrincipalType: kind,
      ...(kind === "Role" ? { TrustPolicyDocument: String(data.get("trust") ?? "") } : {}),
    };
    error.value = null;
    try {
      await call("Towline.CreatePrincipal", body);
      form.reset();
      made();
    } catch (caught) {
      error.value = caught;
    }
  };
  return (
    <form class="fields" data-create={kind} onSubmit={(event) => void create(event)}>
      <label>
        {t("polNewName")}
        <input name="name" required maxLength={64} autocomplete="off" spellcheck={false} />
      </label>
      {kind === "Role" && (
        <label class="whole">
          {t("polTrust")}
          <textarea
            name="trust"
            class="policy"
            rows={4}
            spellcheck={false}
            required
            defaultValue={trustOfAccount()}
          />
        </label>
      )}
      <button type="submit">
        {t(kind === "User" ? "polNewUser" : kind === "Group" ? "polNewGroup" : "polNewRole")}
      </button>
      {error.value !== null && <Refusal error={error.value} />}
    </form>
  );
}

interface Explained {
  Decision: string;
  Reason: string;
  Statements: string[];
}

function TryRequest() {
  const error = useSignal<unknown>(null);
  const told = useSignal<Explained | null>(null);
  const attempt = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string): string => String(data.get(name) ?? "").trim();
    error.value = null;
    told.value = null;
    try {
      const context = contextOf(field("context"));
      told.value = await call<Explained>("Towline.ExplainAccess", {
        Principal: field("principal"),
        Action: field("action"),
        Resource: field("resource"),
        ...(Object.keys(context).length > 0 ? { Context: context } : {}),
      });
    } catch (caught) {
      error.value = caught;
    }
  };
  return (
    <Section title={t("polTry")}>
      <form class="fields" data-try="request" onSubmit={(event) => void attempt(event)}>
        <label>
          {t("polPrincipal")}
          <input name="principal" required spellcheck={false} />
        </label>
        <label>
          {t("polAction")}
          <input name="action" required spellcheck={false} defaultValue="ssm:StartSession" />
        </label>
        <label>
          {t("polResource")}
          <input name="resource" required spellcheck={false} defaultValue="*" />
        </label>
        <label class="whole">
          {t("polContext")}
          <input name="context" spellcheck={false} placeholder="aws:SourceIp=192.0.2.1" />
        </label>
        <button type="submit">{t("polAsk")}</button>
      </form>
      {error.value !== null && <Refusal error={error.value} />}
      <div role="status">
        {told.value && (
          <>
            <p data-decision={told.value.Decision}>
              <strong>{told.value.Decision}</strong>: {told.value.Reason}
            </p>
            {told.value.Statements.map((statement) => (
              <pre class="code" key={statement}>
                {statement}
              </pre>
            ))}
          </>
        )}
      </div>
    </Section>
  );
}

/** `key=value, key=value` as the API wants it. */
export function contextOf(text: string): Record<string, string[]> {
  const context: Record<string, string[]> = {};
  for (const pair of text.split(",")) {
    const [, key, value] = pair.match(/^\s*([^=\s]+)\s*=\s*(.*?)\s*$/) ?? [];
    if (key !== undefined && value !== undefined) (context[key] ??= []).push(value);
  }
  return context;
}

function WhoCan() {
  const device = useSignal("");
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    device.value = String(data.get("device") ?? "").trim();
  };
  return (
    <>
      <Section title={t("polWho")}>
        <form class="fields" data-try="who" onSubmit={submit}>
          <label>
            {t("accessDevice")}
            <input name="device" required spellcheck={false} />
          </label>
          <button type="submit">{t("polAsk")}</button>
        </form>
      </Section>
      {device.value && <Access key={device.value} id={device.value} />}
    </>
  );
}
