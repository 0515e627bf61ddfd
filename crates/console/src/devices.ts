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

/** Most ids that a command takes. */
export const MOST_IDS = 50;

/** What the list is asked for. */
export interface Question {
  /** Words that all stand in a device's id, name, tags, platform or address. */
  words: string;
  /** One of [`STATES`], or every state. */
  state: string;
}

/** States that can be asked for. */
export const STATES = ["online", "offline", "pending", "quarantined", "revoked"] as const;
/** Rows of the list, from one to before another. */
export interface Rows {
  from: number;
  to: number;
}

/** The devices of some rows of a list. */
export interface Part extends FoundDevices {
  /** The row of the first one. */
  from: number;
}

/** Requests begin and end at multiples of this, and read so many rows more on both sides. */
const SPARE = 100;
/** Most rows of one request. */
const MOST_ROWS = 1000;

/**
 * The rows that are asked for when these are in sight: the same for as long as somebody scrolls a
 * little.
 */
export function askedFor({ from, to }: Rows): Rows {
  const first = Math.max(0, Math.floor(from / SPARE) - 1) * SPARE;
  const behind = (Math.ceil(Math.max(to, 1) / SPARE) + 1) * SPARE;
  return { from: first, to: Math.min(behind, first + MOST_ROWS) };
}

/** Those of the devices that match which stand in these rows. */
export async function searchDevices(question: Question, { from, to }: Rows): Promise<Part> {
  const { words, state } = question;
  const body = {
    ...(words.trim() ? { Query: words } : {}),
    ...(state ? { State: state } : {}),
    ...(from > 0 ? { Skip: from } : {}),
    MaxResults: to - from,
  };
  return { ...(await call<FoundDevices>("Towline.SearchDevices", body, true)), from };
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
  if (device.TowlineState === "pending") return { name: t("state_pending"), mark: "inactive" };
  if (device.TowlineState === "quarantined")
    return { name: t("stateQuarantined"), mark: "inactive" };
  if (device.TowlineState === "revoked") return { name: t("stateRevoked"), mark: "inactive" };
  if (device.PingStatus === "Online") return { name: t("state_online"), mark: "online" };
  const never = device.PingStatus === "Inactive";
  return { name: t(never ? "inactive" : "state_offline"), mark: "lost" };
}

/** The devices of which the middle of the list shows `height` pixels from `top` on. */
export function visible(count: number, top: number, height: number, row: number): Rows {
  const spare = 8;
  const from = Math.max(0, Math.floor(top / row) - spare);
  const to = Math.min(count, Math.ceil((top + height) / row) + spare);
  return { from: Math.min(from, to), to };
}
