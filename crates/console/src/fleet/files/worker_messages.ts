// What the files page and its worker say to each other: one answer to each request, by its id, and
// progress before it.

/** Bytes of a file that are read at once. */
export const PIECE = 256 * 1024;

export type Request = { id: number } & Question;

export type Question =
  /** SHA-256 of a file of the user. */
  | { type: "digest"; file: Blob }
  /** Opens a file that the user chose; the answer's length is 0. */
  | { type: "chosen"; sink: number; file: FileSystemFileHandle }
  /** Opens a private file; the answer's length is what is there. `fresh`: of nothing. */
  | { type: "kept"; sink: number; name: string; fresh: boolean }
  | { type: "write"; sink: number; bytes: Uint8Array<ArrayBuffer> }
  /** Compares the digest; the file is whole, or removed when the digest is another one. */
  | { type: "finish"; sink: number; digest: Uint8Array }
  | { type: "leave"; sink: number };

export interface Response {
  id: number;
  /** Bytes that were read; the answer follows later. */
  progress?: number;
  failed?: string;
  digest?: Uint8Array<ArrayBuffer>;
  length?: number;
  good?: boolean;
}
