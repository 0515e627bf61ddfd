// Health: the state of the gateway itself, read again while the page is in sight.

import { useAnswer } from "../answers.ts";
import { Remark, Section, Table, bytesOf } from "../parts.tsx";
import { dateOf } from "../strings.ts";
import { t } from "../strings/admin.ts";

interface Counted {
  Name: string;
  Count: number;
}

interface Health {
  Ready: boolean;
  Complaints: string[];
  Nodes: { Name: string; Version: string; StartedDate: number; Links: number }[];
  Devices: Counted[];
  AgentVersions: Counted[];
  Sessions: Counted[];
  Invocations: Counted[];
  Certificate: { NotBefore: number; NotAfter: number };
  Disk: { FreeBytes?: number; FloorBytes: number; RecordingPaused?: string };
  Sink: {
    WaitingFiles: number;
    WaitingBytes: number;
    OldestDate?: number;
    QuarantinedFiles: number;
    More: boolean;
  };
  Counters: Counted[];
}

const EVERY_MS = 10_000;

export function HealthPage() {
  const answer = useAnswer<Health>("Towline.GetHealth", {}, EVERY_MS);
  const health = answer.value.value;
  return (
    <main class="sheet">
      <h1>{t("health")}</h1>
      <Remark answer={answer} />
      {health && <Shown health={health} />}
    </main>
  );
}

function Shown({ health }: { health: Health }) {
  return (
    <>
      <p role="status" data-ready={health.Ready} class={health.Ready ? "" : "trouble"}>
        {health.Ready ? t("healthReady") : t("healthNotReady")}
      </p>
      {health.Complaints.length > 0 && (
        <Section title={t("healthTodo")}>
          <ul>
            {health.Complaints.map((complaint) => (
              <li key={complaint}>{complaint}</li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("healthNodes")}>
        <Table
          label={t("healthNodes")}
          heads={[t("healthNode"), t("healthVersion"), t("healthSince"), t("healthLinks")]}
          keys={health.Nodes.map((node) => node.Name)}
          rows={health.Nodes.map((node) => [
            node.Name,
            node.Version,
            dateOf(node.StartedDate),
            node.Links,
          ])}
        />
      </Section>
      <Storage health={health} />
      <Counts title={t("healthDevices")} all={health.Devices} />
      <Counts title={t("healthAgents")} all={health.AgentVersions} />
      <Counts title={t("healthSessions")} all={health.Sessions} />
      <Counts title={t("healthInvocations")} all={health.Invocations} />
      <Counts title={t("healthCounters")} all={health.Counters} />
    </>
  );
}

function Storage({ health: { Certificate, Disk, Sink } }: { health: Health }) {
  const files = t("healthFiles", { n: Sink.WaitingFiles, bytes: bytesOf(Sink.WaitingBytes) });
  return (
    <dl class="facts">
      <dt>{t("healthCertificate")}</dt>
      <dd>{dateOf(Certificate.NotAfter)}</dd>
      <dt>{t("healthDisk")}</dt>
      <dd>
        {Disk.FreeBytes === undefined ? t("healthUnknown") : bytesOf(Disk.FreeBytes)}
        {" ("}
        {t("healthFloor", { bytes: bytesOf(Disk.FloorBytes) })}
        {")"}
      </dd>
      <dt>{t("healthRecording")}</dt>
      <dd>{Disk.RecordingPaused ?? t("healthGoesOn")}</dd>
      <dt>{t("healthSink")}</dt>
      <dd>
        {Sink.More && "> "}
        {files}
        {Sink.OldestDate !== undefined &&
          `, ${t("healthOldest", { time: dateOf(Sink.OldestDate) })}`}
      </dd>
      <dt>{t("healthQuarantine")}</dt>
      <dd>{Sink.QuarantinedFiles}</dd>
    </dl>
  );
}

function Counts({ title, all }: { title: string; all: Counted[] }) {
  return (
    <Section title={title}>
      {all.length === 0 ? (
        <p class="hint">{t("healthNone")}</p>
      ) : (
        <Table
          label={title}
          heads={[t("healthWhat"), t("healthCount")]}
          keys={all.map((one) => one.Name)}
          rows={all.map((one) => [one.Name || t("healthUnknown"), one.Count])}
        />
      )}
    </Section>
  );
}
