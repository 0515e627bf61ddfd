// The worker of the files page: SHA-256, and files that are written while they arrive. No network.
//
// Data flow: requests of worker_client.ts, one answer to each. A download is written either to a
// file that the user chose (File System Access) or to a private file of this origin (OPFS), which
// keeps what has arrived for the next attempt.
//
// Invariants: one piece of a file is in memory, whatever its size.

import { Sha256, isEqual } from "./sha256.ts";
import { type Request, type Response, PIECE } from "./worker_messages.ts";

/** A file that is being written. */
interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Makes it whole. */
  finish(): Promise<void>;
  /** Leaves it: `keeps` what has arrived where it can be gone on with. */
  leave(keeps: boolean): Promise<void>;
}

/** What a worker may do with a private file; the types of pages do not have it. */
interface WithAccess {
  createSyncAccessHandle(): Promise<{
    getSize(): number;
    truncate(size: number): void;
    write(bytes: Uint8Array, options: { at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

const sinks = new Map<number, { sink: Sink; digest: Sha256; length: number }>();

self.onmessage = (event: MessageEvent<Request>) => {
  const request = event.data;
  answer(request).then(
    (response) => post({ ...response, id: request.id }),
    (error: unknown) => {
      // A DOMException is an Error in some browsers alone.
      const { name, message } = error as Partial<Error>;
      const failed = name ? `${name}: ${message ?? ""}` : String(error);
      post({ id: request.id, failed });
    },
  );
};

function post(response: Response): void {
  (self as unknown as { postMessage(message: Response): void }).postMessage(response);
}

async function answer(request: Request): Promise<Omit<Response, "id">> {
  switch (request.type) {
    case "digest": {
      const digest = new Sha256();
      await each(request.file, (bytes, at) => {
        digest.update(bytes);
        post({ id: request.id, progress: at + bytes.length });
      });
      return { digest: digest.digest() };
    }
    case "chosen": {
      const writable = await request.file.createWritable();
      const sink: Sink = {
        write: (bytes) => writable.write(bytes),
        finish: () => writable.close(),
        leave: () => writable.abort(),
      };
      sinks.set(request.sink, { sink, digest: new Sha256(), length: 0 });
      return { length: 0 };
    }
    case "kept": {
      const opened = await keptFile(request.name, request.fresh);
      sinks.set(request.sink, opened);
      return { length: opened.length };
    }
    case "write": {
      const open = sinks.get(request.sink);
      if (!open) throw new Error("this file is not open");
      open.digest.update(request.bytes);
      await open.sink.write(request.bytes);
      open.length += request.bytes.length;
      return { length: open.length };
    }
    case "finish": {
      const open = sinks.get(request.sink);
      if (!open) throw new Error("this file is not open");
      sinks.delete(request.sink);
      const good = isEqual(open.digest.digest(), request.digest);
      await (good ? open.sink.finish() : open.sink.leave(false));
      return { good, length: open.length };
    }
    case "leave": {
      const open = sinks.get(request.sink);
      sinks.delete(request.sink);
      await open?.sink.leave(true);
      return {};
    }
  }
}

/** Calls `take` with each piece of a file. */
async function each(file: Blob, take: (bytes: Uint8Array, at: number) => void): Promise<void> {
  for (let at = 0; at < file.size; at += PIECE) {
    take(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()), at);
  }
}

/** A private file of this origin, with the digest of what is in it. */
async function keptFile(
  name: string,
  fresh: boolean,
): Promise<{ sink: Sink; digest: Sha256; length: number }> {
  const root = await navigator.storage.getDirectory();
  const handle = await root.getFileHandle(name, { create: true });
  const digest = new Sha256();
  if (!fresh) await each(await handle.getFile(), (bytes) => digest.update(bytes));
  const access = await (handle as unknown as WithAccess).createSyncAccessHandle();
  if (fresh) access.truncate(0);
  let at = access.getSize();
  const sink: Sink = {
    write: async (bytes) => {
      for (let from = 0; from < bytes.length;) {
        const written = access.write(bytes.subarray(from), { at });
        if (written === 0) throw new DOMException("nothing is written", "QuotaExceededError");
        from += written;
        at += written;
      }
    },
    finish: async () => {
      access.flush();
      access.close();
    },
    leave: async (keeps) => {
      access.close();
      if (!keeps) await root.removeEntry(name);
    },
  };
  return { sink, digest, length: at };
}
