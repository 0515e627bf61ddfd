// Devices as the gateway finds them, and the rows of a long list that are in sight.

import { call } from "./api.ts";
import { t } from "./strings.ts";

export interface Device {
  InstanceId: string;
  PingStatus: string;
  Name?: string;
  ComputerName?: string;
  PlatformName?: string;
  PlatformVersion?: string;
  IPAddress?: string;
  LastPingDateTime?: number;
  AgentVersion?: string;
  RegistrationDate?: number;
  ActivationId?: string;
  TowlineTags?: { Key: string; Value: string }[];
  TowlineTarget?: string;
  TowlineState?: string;
  TowlineSeparation?: string;
}

/** An answer of `Towline.SearchDevices`. */
export interface FoundDevices {
  InstanceInformationList: Device[];
  TotalCount: number;
  NextToken?: string;
}

/** What the list is asked for. */
export interface Question {
  /** Words that all stand in a device's id, name, tags, platform or address. */
  words: string;
  /** One of [`STATES`], or every state. */
  state: string;
}

/** States that can be asked for. */
export const STATES = ["online", "offline", "pending", "quarantined", "revoked"] as const;
/** Most devices in the list. */
export const MOST_DEVICES = 5000;
/** Devices that one request reads: some screens of them. */
export const PAGE_SIZE = 500;

/** The first devices that match, at least `reach` of them if there are as many. */
export async function searchDevices(question: Question, reach: number): Promise<FoundDevices> {
  const { words, state } = question;
  const body = {
    ...(words.trim() ? { Query: words } : {}),
    ...(state ? { State: state } : {}),
    MaxResults: PAGE_SIZE,
  };
  const all: Device[] = [];
  let page: FoundDevices | undefined;
  do {
    const next = page?.NextToken ? { NextToken: page.NextToken } : {};
    page = await call<FoundDevices>("Towline.SearchDevices", { ...body, ...next }, true);
    all.push(...page.InstanceInformationList);
  } while (page.NextToken && all.length < reach);
  return { ...page, InstanceInformationList: all };
}

export function nameOf(device: Device): string {
  return device.Name || device.ComputerName || device.InstanceId;
}

export function platformOf(device: Device): string {
  return [device.PlatformName, device.PlatformVersion].filter(Boolean).join(" ");
}

export function tagsOf(device: Device): string {
  return (device.TowlineTags ?? []).map((tag) => `${tag.Key}=${tag.Value}`).join(", ");
}

/** The state in words, and the class of its mark. */
export function stateOf(device: Device): { name: string; mark: string } {
  if (device.TowlineState === "pending") return { name: t("statePending"), mark: "inactive" };
  if (device.TowlineState === "quarantined") return { name: t("stateQuarantined"), mark: "inactive" };
  if (device.TowlineState === "revoked") return { name: t("stateRevoked"), mark: "inactive" };
  if (device.PingStatus === "Online") return { name: t("online"), mark: "online" };
  const never = device.PingStatus === "Inactive";
  return { name: t(never ? "inactive" : "lost"), mark: "lost" };
}

/** The devices of which the middle of the list shows `height` pixels from `top` on. */
export function visible(
  count: number,
  top: number,
  height: number,
  row: number,
): { from: number; to: number } {
  const spare = 8;
  const from = Math.max(0, Math.floor(top / row) - spare);
  const to = Math.min(count, Math.ceil((top + height) / row) + spare);
  return { from: Math.min(from, to), to };
}
