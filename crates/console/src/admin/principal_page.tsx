// A user, a group or a role: access keys, members, policies, boundary, trust policy, removal.
//
// Invariants: the secret of a new key is in the page's memory until it is closed, and nowhere else.

import { useSignal } from "@preact/signals";
import { useAnswer } from "../answers.ts";
import { ApiError, call } from "../api.ts";
import { ask } from "../dialog.tsx";
import { addressOf } from "../pages.ts";
import { Line, Remark, Section, Table } from "../parts.tsx";
import { Refusal } from "../refusal.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/admin.ts";
import { NEW_POLICY, PolicyEditor, indented, unsaved } from "./policy_editor.tsx";

export const KINDS = ["User", "Group", "Role"] as const;
export type Kind = (typeof KINDS)[number];

interface Of {
  kind: Kind;
  name: string;
}

/** What names of texts of this principal begin with. */
function textsOf({ kind, name }: Of): string {
  return `${kind}/${name}/`;
}

function bodyOf({ kind, name }: Of): { PrincipalName: string; PrincipalType: Kind } {
  return { PrincipalName: name, PrincipalType: kind };
}

export function PrincipalPage(of: Of) {
  return (
    <main class="sheet">
      <p>
        <a href={addressOf("policies")}>{t("policies")}</a>
      </p>
      <h1>{`${t(of.kind === "User" ? "polUser" : of.kind === "Group" ? "polGroup" : "polRole")}: ${of.name}`}</h1>
      {of.kind === "User" && <Keys {...of} />}
      {of.kind === "Group" && <Members {...of} />}
      {of.kind === "Role" && <TrustPolicy {...of} />}
      <Policies {...of} />
      {of.kind !== "Group" && <Boundary {...of} />}
      <Removal {...of} />
    </main>
  );
}

/** Runs an operation of a button, and keeps what went wrong. */
function useAct(): { error: { value: unknown }; act: (what: () => Promise<void>) => void } {
  const error = useSignal<unknown>(null);
  const act = (what: () => Promise<void>): void => {
    error.value = null;
    what().catch((caught: unknown) => {
      error.value = caught;
    });
  };
  return { error, act };
}

interface Key {
  AccessKeyId: string;
  Status: "Active" | "Inactive";
  CreatedDate: number;
  LastUsedDate?: number;
}

function Keys(of: Of) {
  const body = { PrincipalName: of.name };
  const answer = useAnswer<{ AccessKeys: Key[] }>("Towline.ListAccessKeys", body);
  const { error, act } = useAct();
  const made = useSignal<{ AccessKeyId: string; SecretAccessKey: string } | null>(null);
  const create = async (): Promise<void> => {
    type Made = { AccessKey: { AccessKeyId: string; SecretAccessKey: string } };
    made.value = (await call<Made>("Towline.CreateAccessKey", body)).AccessKey;
    answer.again();
  };
  const turn = async ({ AccessKeyId, Status }: Key): Promise<void> => {
    const next = Status === "Active" ? "Inactive" : "Active";
    await call("Towline.UpdateAccessKey", { ...body, AccessKeyId, Status: next });
    answer.again();
  };
  const remove = async ({ AccessKeyId }: Key): Promise<void> => {
    const sure = [{ label: t("polRemove"), value: true }];
    if (!(await ask(t("polRemove"), t("polRemoveKey", { id: AccessKeyId }), sure))) return;
    await call("Towline.DeleteAccessKey", { ...body, AccessKeyId });
    answer.again();
  };
  const keys = answer.value.value?.AccessKeys ?? [];
  return (
    <Section title={t("polKeys")}>
      <Remark answer={answer} />
      {keys.length > 0 && (
        <Table
          label={t("polKeys")}
          heads={[t("accessKey"), t("polState"), t("polCreated"), t("polUsed"), ""]}
          keys={keys.map((key) => key.AccessKeyId)}
          rows={keys.map((key) => [
            key.AccessKeyId,
            t(key.Status === "Active" ? "polActive" : "polInactive"),
            dateOf(key.CreatedDate),
            key.LastUsedDate === undefined ? "" : dateOf(key.LastUsedDate),
            <div class="buttons left">
              <button
                type="button"
                aria-label={t("ofKey", { what: t(turnWord(key)), id: key.AccessKeyId })}
                onClick={() => act(() => turn(key))}
              >
                {t(turnWord(key))}
              </button>
              <button
                type="button"
                aria-label={t("ofKey", { what: t("polRemove"), id: key.AccessKeyId })}
                onClick={() => act(() => remove(key))}
              >
                {t("polRemove")}
              </button>
            </div>,
          ])}
        />
      )}
      <button type="button" onClick={() => act(create)}>
        {t("polNewKey")}
      </button>
      {made.value && (
        <div role="status" class="secret">
          <p>{t("polSecretOnce")}</p>
          <Line label={t("accessKey")} text={made.value.AccessKeyId} />
          <Line label={t("secretKey")} text={made.value.SecretAccessKey} />
          <button type="button" onClick={() => (made.value = null)}>
            {t("polSecretKept")}
          </button>
        </div>
      )}
      {error.value !== null && <Refusal error={error.value} />}
    </Section>
  );
}

function turnWord(key: Key): "polDisable" | "polEnable" {
  return key.Status === "Active" ? "polDisable" : "polEnable";
}

interface Listed {
  PrincipalName: string;
  Members?: string[];
  TrustPolicyDocument?: string;
}

/** The entry of the list that this page is about. */
function useListed(of: Of): {
  answer: ReturnType<typeof useAnswer<{ Principals: Listed[] }>>;
  one?: Listed;
} {
  const body = { PrincipalType: of.kind, MaxResults: 1000 };
  const answer = useAnswer<{ Principals: Listed[] }>("Towline.ListPrincipals", body);
  const one = answer.value.value?.Principals.find((listed) => listed.PrincipalName === of.name);
  return { answer, ...(one ? { one } : {}) };
}

function Members(of: Of) {
  const { answer, one } = useListed(of);
  const { error, act } = useAct();
  const change = async (target: string, user: string): Promise<void> => {
    await call(target, { GroupName: of.name, PrincipalName: user });
    answer.again();
  };
  const add = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const user = String(new FormData(form).get("user") ?? "").trim();
    act(async () => {
      await change("Towline.AddGroupMember", user);
      form.reset();
    });
  };
  return (
    <Section title={t("polMembers")}>
      <Remark answer={answer} />
      <ul class="chips">
        {(one?.Members ?? []).map((user) => (
          <li key={user}>
            {user}{" "}
            <button
              type="button"
              aria-label={t("ofKey", { what: t("polTakeOut"), id: user })}
              onClick={() => act(() => change("Towline.RemoveGroupMember", user))}
            >
              {t("polTakeOut")}
            </button>
          </li>
        ))}
      </ul>
      <form class="fields" onSubmit={add}>
        <label>
          {t("polUser")}
          <input name="user" required spellcheck={false} autocomplete="off" />
        </label>
        <button type="submit">{t("polAdd")}</button>
      </form>
      {error.value !== null && <Refusal error={error.value} />}
    </Section>
  );
}

function TrustPolicy(of: Of) {
  const { answer, one } = useListed(of);
  const save = async (text: string, ends: boolean): Promise<void> => {
    const body = {
      PrincipalName: of.name,
      TrustPolicyDocument: text,
      ...(ends ? { EndSessions: true } : {}),
    };
    await call("Towline.UpdateRole", body);
  };
  return (
    <Section title={t("polTrust")}>
      <Remark answer={answer} />
      {one && (
        <PolicyEditor
          label={t("polTrust")}
          of={`${textsOf(of)}trust`}
          text={indented(one.TrustPolicyDocument ?? "")}
          save={save}
          mayRemove
        />
      )}
    </Section>
  );
}

function Policies(of: Of) {
  const answer = useAnswer<{ PolicyNames: string[] }>("Towline.ListPrincipalPolicies", bodyOf(of));
  const chosen = useSignal(unsaved(`${textsOf(of)}policy/`) ?? "");
  const fresh = useSignal("");
  const { error, act } = useAct();
  const names = answer.value.value?.PolicyNames ?? [];
  const remove = async (name: string): Promise<void> => {
    const sure = [{ label: t("polRemove"), value: true }];
    if (!(await ask(t("polRemove"), t("polRemovePolicy", { name }), sure))) return;
    await call("Towline.DeletePrincipalPolicy", { ...bodyOf(of), PolicyName: name });
    if (chosen.value === name) chosen.value = "";
    answer.again();
  };
  const add = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    fresh.value = String(new FormData(form).get("policy") ?? "").trim();
    chosen.value = fresh.value;
    form.reset();
  };
  return (
    <Section title={t("polPolicies")}>
      <Remark answer={answer} />
      {answer.value.value && names.length === 0 && <p class="hint">{t("healthNone")}</p>}
      <ul class="chips">
        {names.map((name) => (
          <li key={name}>
            <button
              type="button"
              aria-expanded={chosen.value === name}
              onClick={() => (chosen.value = chosen.value === name ? "" : name)}
            >
              {name}
            </button>{" "}
            <button
              type="button"
              class="plain"
              aria-label={t("ofKey", { what: t("polRemove"), id: name })}
              onClick={() => act(() => remove(name))}
            >
              {t("polRemove")}
            </button>
          </li>
        ))}
      </ul>
      {error.value !== null && <Refusal error={error.value} />}
      {chosen.value && (answer.value.value || answer.error.value !== null) && (
        <Policy
          key={chosen.value}
          {...of}
          policy={chosen.value}
          isNew={!names.includes(chosen.value)}
          saved={() => answer.again()}
        />
      )}
      <form class="fields" data-create="policy" onSubmit={add}>
        <label>
          {t("polPolicyName")}
          <input name="policy" required maxLength={128} spellcheck={false} autocomplete="off" />
        </label>
        <button type="submit">{t("polNewPolicy")}</button>
      </form>
    </Section>
  );
}

function Policy({
  policy,
  isNew,
  saved,
  ...of
}: Of & { policy: string; isNew: boolean; saved: () => void }) {
  const save = async (text: string, ends: boolean): Promise<void> => {
    const more = {
      PolicyName: policy,
      PolicyDocument: text,
      ...(ends ? { EndSessions: true } : {}),
    };
    await call("Towline.PutPrincipalPolicy", { ...bodyOf(of), ...more });
    saved();
  };
  const began = useSignal(isNew).value;
  const name = `${textsOf(of)}policy/${policy}`;
  if (began) {
    return (
      <PolicyEditor label={policy} of={name} text={NEW_POLICY} save={save} mayRemove={false} />
    );
  }
  return (
    <Stored
      of={name}
      target="Towline.GetPrincipalPolicy"
      body={{ ...bodyOf(of), PolicyName: policy }}
      label={policy}
      save={save}
    />
  );
}

/** An editor of what the gateway has. */
function Stored(props: {
  target: string;
  body: object;
  of: string;
  label: string;
  save: (text: string, ends: boolean) => Promise<void>;
}) {
  const answer = useAnswer<{ PolicyDocument: string }>(props.target, props.body);
  const found = answer.value.value;
  return (
    <>
      <Remark answer={answer} />
      {found && (
        <PolicyEditor
          label={props.label}
          of={props.of}
          text={indented(found.PolicyDocument)}
          save={props.save}
          mayRemove
        />
      )}
    </>
  );
}

function Boundary(of: Of) {
  const body = bodyOf(of);
  const answer = useAnswer<{ PolicyDocument: string }>("Towline.GetPrincipalBoundary", body);
  const { error, act } = useAct();
  const name = `${textsOf(of)}boundary`;
  const adds = useSignal(unsaved(name) !== null);
  const failed = answer.error.value;
  const missing = failed instanceof ApiError && failed.code === "ResourceNotFoundException";
  const save = async (text: string, ends: boolean): Promise<void> => {
    await call("Towline.PutPrincipalBoundary", {
      ...body,
      PolicyDocument: text,
      ...(ends ? { EndSessions: true } : {}),
    });
    answer.again();
  };
  const remove = async (): Promise<void> => {
    const sure = [{ label: t("polRemove"), value: true }];
    if (!(await ask(t("polRemove"), t("polRemoveBoundary"), sure))) return;
    await call("Towline.DeletePrincipalBoundary", body);
    adds.value = false;
    answer.again();
  };
  const found = missing ? null : answer.value.value;
  return (
    <Section title={t("polBoundary")}>
      <p class="hint">{t("polBoundaryHint")}</p>
      {!missing && <Remark answer={answer} />}
      {missing && !adds.value && (
        <button type="button" onClick={() => (adds.value = true)}>
          {t("polNewBoundary")}
        </button>
      )}
      {missing && adds.value && (
        <PolicyEditor
          label={t("polBoundary")}
          of={name}
          text={NEW_POLICY}
          save={save}
          mayRemove
        />
      )}
      {found && (
        <>
          <PolicyEditor
            label={t("polBoundary")}
            of={name}
            text={indented(found.PolicyDocument)}
            save={save}
            mayRemove
          />
          <button type="button" onClick={() => act(remove)}>
            {t("polRemoveIt")}
          </button>
        </>
      )}
      {error.value !== null && <Refusal error={error.value} />}
    </Section>
  );
}

function Removal(of: Of) {
  const { error, act } = useAct();
  const remove = async (): Promise<void> => {
    const sure = [{ label: t("polRemove"), value: true }];
    if (!(await ask(t("polRemove"), t("polRemovePrincipal", { name: of.name }), sure))) return;
    await call("Towline.DeletePrincipal", bodyOf(of));
    location.hash = addressOf("policies");
  };
  return (
    <Section title={t("polRemove")}>
      <button type="button" onClick={() => act(remove)}>
        {t("polRemoveName", { name: of.name })}
      </button>
      {error.value !== null && <Refusal error={error.value} />}
    </Section>
  );
}
