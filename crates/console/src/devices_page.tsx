// The list of devices: only the rows in sight are in the page, so that 5,000 cost as much as 50.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call, identity } from "./api.ts";
import {
  type Device,
  devices,
  found,
  isBounded,
  nameOf,
  platformOf,
  search,
  staleness,
  tagsOf,
  visible,
  watchDevices,
} from "./devices.ts";
import { addressOf } from "./pages.ts";
import { t, timeOf } from "./strings.ts";

/** Height of a row in style.css, pixels. */
const ROW = 44;

export function DevicesPage() {
  const top = useSignal(0);
  const height = useSignal(600);
  const list = useRef<HTMLDivElement>(null);
  useEffect(watchDevices, []);
  useEffect(() => {
    const element = list.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [height]);
  const all = devices.value;
  const rows = found.value;
  const window = visible(rows.length, top.value, height.value, ROW);
  return (
    <main class="devices">
      <h1>{t("devices")}</h1>
      <OwnSessions />
      <div class="tools">
        <input
          type="search"
          aria-label={t("search")}
          placeholder={t("search")}
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
            if (list.current) list.current.scrollTop = 0;
          }}
        />
        <span role="status">
          {all && t("counted", { shown: rows.length, all: all.length })}
          {isBounded.value && ` ${t("bounded", { all: all?.length ?? 0 })}`}
        </span>
      </div>
      {staleness.value && (
        <p class="trouble">
          {t("stale", { time: timeOf(staleness.value.since), why: staleness.value.why })}
        </p>
      )}
      <div
        class="list"
        role="table"
        aria-label={t("devices")}
        aria-rowcount={rows.length + 1}
        ref={list}
        tabIndex={0}
        onScroll={(event) => {
          top.value = event.currentTarget.scrollTop;
        }}
      >
        <div role="row" class="row head" aria-rowindex={1}>
          {(["name", "state", "platform", "address", "tags", "terminal"] as const).map((name) => (
            <span role="columnheader" key={name}>
              {t(name)}
            </span>
          ))}
        </div>
        <Spacer rows={window.from} />
        {rows.slice(window.from, window.to).map((device, at) => (
          <Row key={device.InstanceId} device={device} index={window.from + at + 2} />
        ))}
        <Spacer rows={rows.length - window.to} />
        {!all && !staleness.value && <p class="empty">{t("loading")}</p>}
        {all?.length === 0 && <p class="empty">{t("noDevices")}</p>}
        {all && all.length > 0 && rows.length === 0 && <p class="empty">{t("noneFound")}</p>}
      </div>
    </main>
  );
}

/** The room of rows that are not in the page. */
function Spacer({ rows }: { rows: number }) {
  return <div role="presentation" style={{ height: `${rows * ROW}px` }} />;
}

function Row({ device, index }: { device: Device; index: number }) {
  const name = nameOf(device);
  const online = device.PingStatus === "Online";
  const state = online ? "online" : device.PingStatus === "Inactive" ? "inactive" : "lost";
  return (
    <div role="row" class="row" aria-rowindex={index} data-device={device.InstanceId}>
      <span role="cell" class="name" title={device.InstanceId}>
        <a href={addressOf("device", [device.InstanceId])}>{name}</a>
        {name !== device.InstanceId && <small>{device.InstanceId}</small>}
      </span>
      <span role="cell" class={`state ${state}`}>
        {t(state)}
      </span>
      <span role="cell">{platformOf(device)}</span>
      <span role="cell">{device.IPAddress ?? ""}</span>
      <span role="cell" title={tagsOf(device)}>
        {tagsOf(device)}
      </span>
      <span role="cell">
        {online && (
          <a
            class="button"
            href={`#/shell/${device.InstanceId}/${encodeURIComponent(name)}`}
            aria-label={t("openShellOn", { name })}
          >
            {t("openShell")}
          </a>
        )}
      </span>
    </div>
  );
}

interface Listed {
  SessionId: string;
  Target: string;
  StartDate: number;
  DocumentName?: string;
  Owner: string;
}

/** Shells of the user that are open: those left behind by detaching, too. */
function OwnSessions() {
  const sessions = useSignal<Listed[]>([]);
  useEffect(() => {
    let over = false;
    const arn = identity.value?.arn ?? "";
    const body = { State: "Active", MaxResults: 50, Filters: [{ key: "Owner", value: arn }] };
    const read = (): void => {
      if (document.hidden) return;
      call<{ Sessions: Listed[] }>("AmazonSSM.DescribeSessions", body, true)
        .then((answer) => {
          if (!over) sessions.value = answer.Sessions;
        })
        .catch(() => undefined); // who may not list sessions sees none
    };
    read();
    const timer = setInterval(read, 5000);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [sessions]);
  if (sessions.value.length === 0) return null;
  const names = new Map((devices.value ?? []).map((d) => [d.InstanceId, nameOf(d)]));
  return (
    <section aria-labelledby="own">
      <h2 id="own">{t("yourSessions")}</h2>
      <ul class="own">
        {sessions.value.map((session) => (
          <li key={session.SessionId}>
            <span>
              {names.get(session.Target) ?? session.Target}{" "}
              <small>{t("since", { time: timeOf(session.StartDate * 1000) })}</small>
            </span>
            <a class="button" href={`#/terminal/${session.SessionId}`}>
              {t("resume")}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
