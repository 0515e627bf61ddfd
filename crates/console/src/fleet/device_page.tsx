// One device: what is known of it, and what may be done with it.
//
// Each part asks for its own answer, so that a right that is missing hides its part alone. What the
// device says of itself is shown as text.

import { useSignal } from "@preact/signals";
import { call, words } from "../api.ts";
import { type Device, nameOf, platformOf, stateOf } from "../devices.ts";
import { ask } from "../dialog.tsx";
import { type PageProps, addressOf } from "../pages.ts";
import { dateOf } from "../strings.ts";
import { t } from "../strings/fleet.ts";
import { useAnswer } from "../answers.ts";
import { Access, Keys, LastErrors, Ports, Sessions } from "./device_parts.tsx";
import { Remark, Section } from "../parts.tsx";
import { type Tag, changeOf, editedTags } from "./tags.ts";

/** How often the facts are read again. */
const EVERY_MS = 5000;

export function DevicePage({ place }: PageProps) {
  const [id = ""] = place.rest;
  const body = { Filters: [{ Key: "InstanceIds", Values: [id] }] };
  const target = "AmazonSSM.DescribeInstanceInformation";
  const answer = useAnswer<{ InstanceInformationList: Device[] }>(
    target,
    body,
    EVERY_MS,
    "devices",
  );
  const device = answer.value.value?.InstanceInformationList[0];
  return (
    <main class="sheet" key={id}>
      <p>
        <a href="#/">{t("backToDevices")}</a>
      </p>
      <h1>{device ? nameOf(device) : id}</h1>
      <Remark answer={answer} />
      {answer.value.value && !device && <p class="empty">{t("noDevice")}</p>}
      {device && <Facts device={device} />}
      {device && <Actions device={device} changed={() => answer.again()} />}
      {device && <Tags device={device} changed={() => answer.again()} />}
      {device && <Ports id={id} />}
      {device && <Sessions id={id} />}
      {device && <Keys id={id} />}
      {device && <Access id={id} />}
      {device && <LastErrors id={id} />}
    </main>
  );
}

function Facts({ device }: { device: Device }) {
  const state = stateOf(device);
  const facts: [string, string][] = [
    [t("idOfDevice"), device.InstanceId],
    [t("hostName"), device.ComputerName ?? ""],
    [t("platform"), platformOf(device)],
    [t("agent"), [device.AgentVersion, device.TowlineTarget].filter(Boolean).join(", ")],
    [t("separation"), separationOf(device)],
    [t("address"), device.IPAddress ?? ""],
    [t("lastSeen"), dateOf(device.LastPingDateTime)],
    [t("enrolledAt"), dateOf(device.RegistrationDate)],
    [t("activation"), device.ActivationId ?? ""],
  ];
  return (
    <dl class="facts">
      <dt>{t("state")}</dt>
      <dd class={`state ${state.mark}`} data-state={device.TowlineState ?? device.PingStatus}>
        {state.name}
      </dd>
      {facts
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [
          <dt key={name}>{name}</dt>,
          <dd key={`${name}:`}>{value}</dd>,
        ])}
    </dl>
  );
}

/**
 * Whether what reads the network has no rights on the device; the reason is the device's own text.
 */
function separationOf(device: Device): string {
  const said = device.TowlineSeparation ?? "";
  if (said === "off") return t("separationOff");
  if (said === "separate") return t("separationSeparate");
  const [, why] = said.split(/^impossible: /);
  return why ? t("separationImpossible", { why }) : "";
}

/** What a person does with the device as a whole; the gateway's refusals stand below. */
function Actions({ device, changed }: { device: Device; changed: () => void }) {
  const trouble = useSignal("");
  const done = useSignal("");
  const id = device.InstanceId;
  const name = nameOf(device);
  const perform = (target: string, body: object, said: string, then = changed): void => {
    [trouble.value, done.value] = ["", ""];
    call(target, body).then(
      () => {
        done.value = said;
        then();
      },
      (error: unknown) => {
        trouble.value = words(error);
      },
    );
  };
  const confirmed = async (question: string, label: string): Promise<boolean> =>
    (await ask(question, `${name} (${id})`, [{ label, value: true }])) === true;
  const state = device.TowlineState;
  return (
    <Section title={t("actions")}>
      <div class="buttons left">
        {device.PingStatus === "Online" && (
          <>
            <a class="button" href={addressOf("shell", [id, name], { ask: "1" })}>
              {t("openOptions")}
            </a>
            <a class="button" href={addressOf("shell", [id, name])}>
              {t("openShell")}
            </a>
          </>
        )}
        <a class="button" href={addressOf("files", [id])}>
          {t("files")}
        </a>
        <a class="button" href={addressOf("run", [], { ids: id })}>
          {t("runCommand")}
        </a>
        {(state === "pending" || state === "quarantined") && (
          <button
            type="button"
            onClick={() => perform("Towline.ApproveDevice", { InstanceId: id }, t("deviceLetIn"))}
          >
            {t(state === "pending" ? "approveDevice" : "liftQuarantine")}
          </button>
        )}
        <button
          type="button"
          onClick={async () => {
            if (!(await confirmed(t("deregisterAsk"), t("deregister")))) return;
            perform("AmazonSSM.DeregisterManagedInstance", { InstanceId: id }, "", () => {
              location.hash = "#/";
            });
          }}
        >
          {t("deregister")}
        </button>
      </div>
      <Rename device={device} perform={perform} />
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
      <p role="status">{done.value}</p>
    </Section>
  );
}

function Rename(props: {
  device: Device;
  perform: (target: string, body: object, said: string) => void;
}) {
  const name = useSignal(props.device.Name ?? "");
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault();
        const body = { InstanceId: props.device.InstanceId, Name: name.value.trim() };
        props.perform("Towline.RenameDevice", body, t("renamed"));
      }}
    >
      <label>
        {t("name")}
        <input
          name="name"
          value={name.value}
          maxLength={256}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit" disabled={name.value.trim() === (props.device.Name ?? "")}>
        {t("rename")}
      </button>
    </form>
  );
}

/** The tags as text, one a line. What was typed stays while the list is read again. */
function Tags({ device, changed }: { device: Device; changed: () => void }) {
  const edited = useSignal<string | null>(null);
  const trouble = useSignal("");
  const before: Tag[] = device.TowlineTags ?? [];
  const text = before.map((tag) => `${tag.Key}=${tag.Value}`).join("\n");
  const save = async (): Promise<void> => {
    trouble.value = "";
    const resource = { ResourceType: "ManagedInstance", ResourceId: device.InstanceId };
    const { removed, set } = changeOf(before, editedTags(edited.value ?? text, before));
    try {
      if (set.length > 0) await call("AmazonSSM.AddTagsToResource", { ...resource, Tags: set });
      if (removed.length > 0) {
        await call("AmazonSSM.RemoveTagsFromResource", { ...resource, TagKeys: removed });
      }
      edited.value = null;
    } catch (error) {
      trouble.value = words(error);
    }
    changed();
  };
  return (
    <Section title={t("tags")}>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <label class="grows">
          {t("tagsHint")}
          <textarea
            name="tags"
            rows={Math.min(8, before.length + 2)}
            spellcheck={false}
            value={edited.value ?? text}
            onInput={(event) => {
              edited.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={edited.value === null || edited.value === text}>
          {t("saveTags")}
        </button>
      </form>
      <p class="trouble" role="alert">
        {trouble.value}
      </p>
    </Section>
  );
}
