// Which program of the command log a marker of the recording is, and how it ended.
//
// Invariants: a marker is one program, in the order of the device's log; a marker whose text fits
// no program has no end. The recording is the witness: programs without a marker are not added to
// it.

import type { Event } from "./recording.ts";

/** A record of the command log, as far as it is used here. */
export interface Command {
  Kind: string;
  Arguments?: string[];
  Pid?: number;
  ExitCode?: number;
  Signal?: number;
}

/** A marker and, where it is known, how its program ended. */
export interface Program extends Event {
  exitCode?: number;
  signal?: number;
  failed: boolean;
  gap: boolean;
}

/** Programs that are looked at for one marker: some have no marker, since they came too late. */
const LOOKED_AT = 200;

/** Puts the ends of programs to the markers. */
export function programs(markers: readonly Event[], commands: readonly Command[]): Program[] {
  const run = commands.filter((command) => command.Kind === "Command");
  let next = 0;
  return markers.map((marker) => {
    const plain: Program = { ...marker, failed: false, gap: marker.text.startsWith("gap: ") };
    if (!marker.text.startsWith("$ ")) return plain;
    const near = run.slice(next, next + LOOKED_AT);
    const n = near.findIndex((command) => fits(marker.text, command));
    const command = near[n];
    if (!command) return plain;
    next += n + 1;
    const { ExitCode: exitCode, Signal: signal } = command;
    const failed = (exitCode !== undefined && exitCode !== 0) || signal !== undefined;
    return {
      ...plain,
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(signal === undefined ? {} : { signal }),
      failed,
    };
  });
}

/**
 * Whether a marker says this command: `$ ls -l`, cut with `…`, and behind it a file in brackets.
 */
export function fits(marker: string, command: Command): boolean {
  const words = command.Arguments ?? [];
  if (words.length === 0) return marker.startsWith(`$ (process ${command.Pid ?? 0},`);
  const text = `$ ${words.join(" ")}`;
  const [beginning = "", cut] = marker.split("…", 2);
  if (cut !== undefined) return text.startsWith(beginning);
  // An index keeps the first bytes of a long marker.
  return (
    marker === text ||
    marker.startsWith(`${text} [`) ||
    (marker.length >= 100 && text.startsWith(marker))
  );
}
