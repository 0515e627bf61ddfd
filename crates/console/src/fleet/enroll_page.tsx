// Enrollment: makes an activation and shows the line to type, lists activations, lets pending
// devices in.
//
// Invariants: the code of an activation is in this page's memory until the page is left; the
// gateway shows it once.

import { useSignal } from "@preact/signals";
import { call, gatewayNow, words } from "../api.ts";
import { type FoundDevices, nameOf, platformOf } from "../devices.ts";
import { ask } from "../dialog.tsx";
import { addressOf } from "../pages.ts";
import { dateOf } from "../strings.ts";
import { t } from "../strings/fleet.ts";
import { everyPage, useAnswer, useRead } from "../answers.ts";
import { FORMATS, enrollLine } from "./enroll_lines.ts";
import { Line, Remark, Section, Table } from "../parts.tsx";
import { QrCode } from "./qr.tsx";
import { type Tag, tagsFrom } from "./tags.ts";

/** A label that AWS's shape demands; nothing reads it. */
const ROLE = "towline";
const MOST_ACTIVATIONS = 500;
/** Devices that wait for approval and are on the page. */
const MOST_PENDING = 100;

interface Made {
  ActivationId: string;
  ActivationCode: string;
  TowlineAuthority?: string;
}

interface Activation {
  ActivationId: string;
  Description?: string;
  DefaultInstanceName?: string;
  RegistrationLimit: number;
  RegistrationsCount: number;
  ExpirationDate: number;
  Expired: boolean;
  Tags?: Tag[];
  TowlineRequireApproval?: boolean;
}

export function EnrollPage() {
  const made = useSignal<Made | null>(null);
  const turn = useSignal(0);
  return (
    <main class="sheet">
      <h1>{t("enroll")}</h1>
      <Section title={t("newActivation")}>
        <NewActivation
          done={(answer) => {
            made.value = answer;
            turn.value += 1;
          }}
        />
        {made.value && <Lines made={made.value} />}
      </Section>
      <Pending />
      <Activations key={turn.value} />
    </main>
  );
}

function NewActivation({ done }: { done: (made: Made) => void }) {
  const trouble = useSignal("");
  const submit = async (form: HTMLFormElement): Promise<void> => {
    trouble.value = "";
    const text = (name: string): string => String(new FormData(form).get(name) ?? "").trim();
    const tags = tagsFrom(text("tags"));
    const hours = Number(text("hours"));
    const keys = text("deviceTags")
      .split(/[\s,]+/)
      .filter(Boolean);
    const body = {
      IamRole: ROLE,
      RegistrationLimit: Number(text("limit")),
      ExpirationDate: Math.floor(gatewayNow() / 1000 + hours * 3600),
      ...(text("description") ? { Description: text("description") } : {}),
      ...(tags.length > 0 ? { Tags: tags } : {}),
      ...(keys.length > 0 ? { TowlineDeviceTagKeys: keys } : {}),
      ...(text("from") ? { TowlineSourceCidr: text("from") } : {}),
      ...(text("approval") ? { TowlineRequireApproval: true } : {}),
    };
    try {
      done(await call<Made>("AmazonSSM.CreateActivation", body));
    } catch (error) {
      trouble.value = words(error);
    }
  };
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault();
        void submit(event.currentTarget);
      }}
    >
      <label>
        {t("description")}
        <input name="description" maxLength={256} />
      </label>
      <label class="short">
        {t("deviceLimit")}
        <input name="limit" type="number" min={1} max={1000} defaultValue="1" required />
      </label>
      <label class="short">
        {t("validHours")}
        <input name="hours" type="number" min={1} max={720} defaultValue="24" required />
      </label>
      <label>
        {t("tagsOfDevices")}
        <input name="tags" placeholder="site=seoul, class=door" />
      </label>
      <label>
        {t("tagKeysOfDevices")}
        <input name="deviceTags" />
      </label>
      <label>
        {t("sourceRange")}
        <input name="from" placeholder="192.0.2.0/24" />
      </label>
      <label class="check">
        <input name="approval" type="checkbox" value="yes" />
        {t("needsApproval")}
      </label>
      <button type="submit">{t("makeActivation")}</button>
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
    </form>
  );
}

/** The line for the chosen format, and its QR code. */
function Lines({ made }: { made: Made }) {
  const format = useSignal("deb");
  const hasOwnCa = useSignal(false);
  const chosen = FORMATS.find((one) => one.id === format.value) ?? FORMATS[0];
  if (!chosen) return null;
  const gateway = location.port ? location.host : `${location.host}:443`;
  const order = {
    gateway,
    activationId: made.ActivationId,
    code: made.ActivationCode,
    authority: made.TowlineAuthority ?? "",
    hasOwnCa: hasOwnCa.value,
  };
  const line = enrollLine(chosen, order);
  return (
    <div class="made" role="status">
      <p>{t("codeOnce")}</p>
      <div class="fields">
        <label>
          {t("packageFormat")}
          <select
            name="format"
            value={format.value}
            onChange={(event) => {
              format.value = event.currentTarget.value;
            }}
          >
            {FORMATS.map((one) => (
              <option key={one.id} value={one.id}>
                {one.systems}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={hasOwnCa.value}
            onChange={(event) => {
              hasOwnCa.value = event.currentTarget.checked;
            }}
          />
          {t("privateCa")}
        </label>
      </div>
      <Line label={t("enrollLine")} text={line} />
      <QrCode text={line} label={t("qrOf")} />
    </div>
  );
}

function Activations() {
  const target = "AmazonSSM.DescribeActivations";
  const read = () =>
    everyPage<Activation>(target, { MaxResults: 50 }, "ActivationList", MOST_ACTIVATIONS);
  const answer = useRead(read, target, 5000);
  const trouble = useSignal("");
  const remove = async (activation: Activation): Promise<void> => {
    const text = `${activation.ActivationId} ${activation.Description ?? ""}`;
    if (!(await ask(t("deleteActivation"), text, [{ label: t("delete"), value: true }]))) return;
    trouble.value = "";
    try {
      await call("AmazonSSM.DeleteActivation", { ActivationId: activation.ActivationId });
    } catch (error) {
      trouble.value = words(error);
    }
    answer.again();
  };
  const list = answer.value.value;
  return (
    <Section title={t("activations")}>
      <Remark answer={answer} />
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
      {list?.items.length === 0 && <p class="hint">{t("noActivations")}</p>}
      {list && list.items.length > 0 && (
        <Table
          label={t("activations")}
          heads={[t("activation"), t("used"), t("validUntil"), t("tags"), t("description"), ""]}
          keys={list.items.map((one) => one.ActivationId)}
          rows={list.items.map((one) => [
            <code>{one.ActivationId}</code>,
            `${one.RegistrationsCount}/${one.RegistrationLimit}`,
            one.Expired ? t("expired") : dateOf(one.ExpirationDate),
            (one.Tags ?? []).map((tag) => `${tag.Key}=${tag.Value}`).join(", "),
            one.Description ?? "",
            <button
              type="button"
              aria-label={t("deleteThis", { id: one.ActivationId })}
              onClick={() => void remove(one)}
            >
              {t("delete")}
            </button>,
          ])}
        />
      )}
      {list?.more && <p class="hint">{t("notAllShown")}</p>}
    </Section>
  );
}

/** Devices that wait for approval. */
function Pending() {
  const body = { State: "pending", MaxResults: MOST_PENDING };
  const answer = useAnswer<FoundDevices>("Towline.SearchDevices", body, 5000, "devices");
  const trouble = useSignal("");
  const approve = (id: string): void => {
    trouble.value = "";
    call("Towline.ApproveDevice", { InstanceId: id }).then(
      () => answer.again(),
      (error: unknown) => {
        trouble.value = words(error);
      },
    );
  };
  const waiting = answer.value.value?.InstanceInformationList;
  const all = answer.value.value?.TotalCount ?? 0;
  return (
    <Section title={t("pendingDevices")}>
      <Remark answer={answer} />
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
      {waiting?.length === 0 && <p class="hint">{t("nonePending")}</p>}
      {waiting && waiting.length > 0 && (
        <Table
          label={t("pendingDevices")}
          heads={[t("name"), t("platform"), t("address"), t("enrolledAt"), ""]}
          keys={waiting.map((device) => device.InstanceId)}
          rows={waiting.map((device) => [
            <a href={addressOf("device", [device.InstanceId])}>{nameOf(device)}</a>,
            platformOf(device),
            device.IPAddress ?? "",
            dateOf(device.RegistrationDate),
            <button
              type="button"
              aria-label={t("approveThis", { name: nameOf(device) })}
              onClick={() => approve(device.InstanceId)}
            >
              {t("approveDevice")}
            </button>,
          ])}
        />
      )}
      {all > MOST_PENDING && <p class="hint">{t("firstOnly", { n: MOST_PENDING })}</p>}
    </Section>
  );
}
