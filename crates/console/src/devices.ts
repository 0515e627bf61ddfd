// The list of devices: read page by page, searched, and read again while somebody looks.

import { computed, signal } from "@preact/signals";
import { call, identity, words } from "./api.ts";

export interface Device {
  InstanceId: string;
  PingStatus: string;
  Name?: string;
  ComputerName?: string;
  PlatformName?: string;
  PlatformVersion?: string;
  IPAddress?: string;
  TowlineTags?: { Key: string; Value: string }[];
}

interface Page {
  InstanceInformationList: Device[];
  NextToken?: string;
}

/** Most devices in the list. */
export const MOST_DEVICES = 5000;
const PAGE_SIZE = 50;
/** Between the end of one reading and the next one, at least; a long list takes more. */
const EVERY_MS = 3000;

export const devices = signal<Device[] | null>(null);
/** There are more devices than the list holds. */
export const isBounded = signal(false);
/** Why the list is old, and since when. */
export const staleness = signal<{ since: number; why: string } | null>(null);
export const search = signal("");

export const found = computed(() => filter(devices.value ?? [], search.value));

export function nameOf(device: Device): string {
  return device.Name || device.ComputerName || device.InstanceId;
}

export function platformOf(device: Device): string {
  return [device.PlatformName, device.PlatformVersion].filter(Boolean).join(" ");
}

export function tagsOf(device: Device): string {
  return (device.TowlineTags ?? []).map((tag) => `${tag.Key}=${tag.Value}`).join(", ");
}

/** Devices in which each word of the question occurs. */
export function filter(all: Device[], question: string): Device[] {
  const asked = question.toLowerCase().split(/\s+/).filter(Boolean);
  if (asked.length === 0) return all;
  return all.filter((device) => {
    const parts = [
      device.InstanceId,
      nameOf(device),
      device.ComputerName ?? "",
      platformOf(device),
      device.IPAddress ?? "",
      tagsOf(device),
    ];
    const text = parts.join("\n").toLowerCase();
    return asked.every((word) => text.includes(word));
  });
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

async function read(): Promise<void> {
  const all: Device[] = [];
  let next: string | undefined;
  do {
    const body = { MaxResults: PAGE_SIZE, ...(next ? { NextToken: next } : {}) };
    const page = await call<Page>("AmazonSSM.DescribeInstanceInformation", body, true);
    all.push(...page.InstanceInformationList);
    next = page.NextToken;
  } while (next && all.length < MOST_DEVICES);
  isBounded.value = next !== undefined;
  devices.value = all;
  staleness.value = null;
}

/** Reads the list again and again until the result is called. */
export function watchDevices(): () => void {
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const round = async (): Promise<void> => {
    const begun = Date.now();
    if (!document.hidden && identity.value) {
      await read().catch((error: unknown) => {
        staleness.value = { since: staleness.value?.since ?? begun, why: words(error) };
      });
    }
    if (over) return;
    timer = setTimeout(() => void round(), Math.max(EVERY_MS, 4 * (Date.now() - begun)));
  };
  void round();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
