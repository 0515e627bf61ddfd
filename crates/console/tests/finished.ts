// What all recordings of the tests have in common: they are whole, and have no marks.

import type { Source } from "../src/playback/source.ts";

type Common = "end" | "markers" | "markersLeftOut" | "bytes" | "whole" | "finished" | "unreadable";

export const FINISHED: Pick<Source, Common> = {
  end: 9,
  markers: [],
  markersLeftOut: 0,
  bytes: 9,
  whole: true,
  finished: true,
  unreadable: 0,
};
