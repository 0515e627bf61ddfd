// Commands of Run Command: shapes, what a form becomes, and how outputs are grouped. No DOM.
//
// Invariants: a command that is sent again is the same but for what the form shows: its document,
// its parameters and where its output goes stay.

import { MOST_IDS } from "../devices.ts";
import { type Tag, tagsFrom } from "./tags.ts";

/** What a command has beside what the form shows. */
export interface Beside {
  DocumentName: string;
  DocumentVersion?: string;
  TimeoutSeconds?: number;
  OutputS3Region?: string;
  OutputS3BucketName?: string;
  OutputS3KeyPrefix?: string;
  CloudWatchOutputConfig?: object;
}

export interface Command extends Beside {
  CommandId: string;
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

const MOST_TARGETS = 5;
export const SHELL_SCRIPT = "AWS-RunShellScript";
/** Documents whose script the form shows. */
const SCRIPTS = [SHELL_SCRIPT, "AWS-RunPowerShellScript"];
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
  directory: string;
  comment: string;
  beside: Beside;
  /** Parameters of a document whose script the form does not show. */
  parameters: Record<string, string[]>;
}

export const EMPTY: Draft = {
  script: "",
  ids: [],
  tags: "",
  concurrency: "50",
  errors: "0",
  timeout: "3600",
  directory: "",
  comment: "",
  beside: { DocumentName: SHELL_SCRIPT },
  parameters: {},
};

/** Whether the form shows the script of a document. */
export function hasScript(draft: Pick<Draft, "beside">): boolean {
  return SCRIPTS.includes(draft.beside.DocumentName);
}

/** A command as a form, for `ids` or for its own targets. */
export function draftOf(command: Command, ids: string[] | null): Draft {
  const targets = command.Targets ?? [];
  const named = targets.filter((one) => one.Key === "InstanceIds").flatMap((one) => one.Values);
  const tags = targets.flatMap((target) =>
    target.Key.startsWith("tag:") ? target.Values.map((v) => `${target.Key.slice(4)}=${v}`) : [],
  );
  const parameters = command.Parameters ?? {};
  const { DocumentName, DocumentVersion, TimeoutSeconds, CloudWatchOutputConfig } = command;
  const { OutputS3Region, OutputS3BucketName, OutputS3KeyPrefix } = command;
  const output = { OutputS3Region, OutputS3BucketName, OutputS3KeyPrefix, CloudWatchOutputConfig };
  const beside = Object.entries({ DocumentVersion, TimeoutSeconds, ...output });
  return {
    script: parameters["commands"]?.join("\n") ?? "",
    ids: ids ?? [...(command.InstanceIds ?? []), ...named],
    tags: ids ? "" : tags.join(", "),
    concurrency: command.MaxConcurrency,
    errors: command.MaxErrors,
    timeout: parameters["executionTimeout"]?.[0] ?? "3600",
    directory: parameters["workingDirectory"]?.[0] ?? "",
    comment: command.Comment ?? "",
    beside: { DocumentName, ...Object.fromEntries(beside.filter(([, value]) => value)) },
    parameters,
  };
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
  const { script, timeout, directory } = draft;
  const own = {
    commands: [script],
    executionTimeout: [timeout],
    ...(directory ? { workingDirectory: [directory] } : {}),
  };
  return {
    ...draft.beside,
    ...targetsOf(draft),
    Parameters: hasScript(draft) ? own : draft.parameters,
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
