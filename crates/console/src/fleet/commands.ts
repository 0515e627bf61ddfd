// Commands of Run Command: shapes, what a form becomes, and how outputs are grouped. No DOM.

import { type Tag, tagsFrom } from "./tags.ts";

export interface Command {
  CommandId: string;
  DocumentName: string;
  Comment?: string;
  Parameters?: Record<string, string[]>;
  InstanceIds?: string[];
  Targets?: Target[];
  RequestedDateTime?: number;
  Status: string;
  StatusDetails?: string;
  MaxConcurrency: string;
  MaxErrors: string;
  TargetCount: number;
  CompletedCount: number;
  ErrorCount: number;
  DeliveryTimedOutCount: number;
}

export interface Target {
  Key: string;
  Values: string[];
}

export interface Invocation {
  InstanceId: string;
  InstanceName?: string;
  Status: string;
  StatusDetails?: string;
  TowlineReason?: string;
  CommandPlugins?: {
    Name: string;
    ResponseCode: number;
    Output?: string;
    TowlineReason?: string;
  }[];
}

/** Most ids that one request takes. */
export const MOST_IDS = 50;
const MOST_TARGETS = 5;
const ENDED = ["Success", "Cancelled", "Failed", "TimedOut"];

export function isOver(status: string): boolean {
  return ENDED.includes(status);
}

/** What the form of the page says. */
export interface Draft {
  script: string;
  ids: string[];
  tags: string;
  concurrency: string;
  errors: string;
  timeout: string;
  comment: string;
}

/** Devices by id, or else by tags. Values of one tag are alternatives, tags are conditions. */
export function targetsOf(draft: Pick<Draft, "ids" | "tags">): {
  InstanceIds?: string[];
  Targets?: Target[];
} {
  if (draft.ids.length > 0) return { InstanceIds: draft.ids };
  return { Targets: conditions(tagsFrom(draft.tags)) };
}

/** The same as filters of the device list. */
export function filtersOf(draft: Pick<Draft, "ids" | "tags">): Target[] {
  if (draft.ids.length > 0) return [{ Key: "InstanceIds", Values: draft.ids }];
  return conditions(tagsFrom(draft.tags));
}

function conditions(tags: Tag[]): Target[] {
  const byKey = new Map<string, string[]>();
  for (const tag of tags) byKey.set(tag.Key, [...(byKey.get(tag.Key) ?? []), tag.Value]);
  return [...byKey].slice(0, MOST_TARGETS).map(([key, values]) => ({
    Key: `tag:${key}`,
    Values: values,
  }));
}

/** What is wrong with the targets before the gateway is asked; null when nothing is. */
export function troubleOf(
  draft: Pick<Draft, "ids" | "tags">,
): "noTargets" | "tooManyIds" | "tooManyTags" | null {
  if (draft.ids.length > MOST_IDS) return "tooManyIds";
  if (draft.ids.length > 0) return null;
  const keys = new Set(tagsFrom(draft.tags).map((tag) => tag.Key));
  if (keys.size > MOST_TARGETS) return "tooManyTags";
  return keys.size === 0 ? "noTargets" : null;
}

/** The request of SendCommand. */
export function requestOf(draft: Draft): object {
  return {
    DocumentName: "AWS-RunShellScript",
    ...targetsOf(draft),
    Parameters: { commands: [draft.script], executionTimeout: [draft.timeout] },
    MaxConcurrency: draft.concurrency,
    MaxErrors: draft.errors,
    ...(draft.comment ? { Comment: draft.comment } : {}),
  };
}

/** Devices whose command ended alike. */
export interface Group {
  status: string;
  code: number | null;
  output: string;
  why: string;
  devices: Invocation[];
}

/** Groups by equal status, code and output; the largest first, failures before successes. */
export function grouped(invocations: Invocation[]): Group[] {
  const groups = new Map<string, Group>();
  for (const one of invocations) {
    const plugins = one.CommandPlugins ?? [];
    const output = plugins
      .map((plugin) => plugin.Output ?? "")
      .join("\n")
      .replace(/\n+$/, "");
    const told = isOver(one.Status) && one.Status !== "Cancelled";
    const code = told ? (plugins.at(-1)?.ResponseCode ?? null) : null;
    const why =
      one.TowlineReason ?? plugins.find((plugin) => plugin.TowlineReason)?.TowlineReason ?? "";
    const key = JSON.stringify([one.Status, code, output, why]);
    const group = groups.get(key);
    if (group) group.devices.push(one);
    else groups.set(key, { status: one.Status, code, output, why, devices: [one] });
  }
  const rank = (group: Group): number => (group.status === "Success" ? 1 : 0);
  return [...groups.values()].sort(
    (a, b) => rank(a) - rank(b) || b.devices.length - a.devices.length,
  );
}

/** Devices on which a command did not succeed. */
export function failedOf(invocations: Invocation[]): string[] {
  return invocations
    .filter((one) => isOver(one.Status) && one.Status !== "Success")
    .map((one) => one.InstanceId);
}
