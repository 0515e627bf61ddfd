// LEB128 varints as postcard writes them, and a reader of postcard's forms.
//
// Numbers are JavaScript numbers: positions beyond 2^53 - 1 (9 petabytes) are refused.

export class Malformed extends Error {}

/** Appends a number, 7 bits a byte, low bits first. */
export function putVarint(out: number[], value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new Malformed(`not a position: ${value}`);
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

/** Appends a string behind its length in bytes. */
export function putString(out: number[], text: string): void {
  const bytes = new TextEncoder().encode(text);
  putVarint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

/** Reads from the front of a buffer. */
export class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new Malformed("the message ends too early");
    this.at += 1;
    return byte;
  }

  /** A number of at most `bits` bits. */
  varint(bits: 16 | 32 | 64): number {
    let value = 0;
    let factor = 1;
    for (let n = 0; n < Math.ceil(bits / 7); n += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
      if ((byte & 0x80) === 0) {
        const most = bits === 64 ? Number.MAX_SAFE_INTEGER : 2 ** bits - 1;
        if (value > most) throw new Malformed("a number is beyond its type");
        return value;
      }
    }
    throw new Malformed("a number is too long");
  }

  string(): string {
    const length = this.varint(32);
    const bytes = this.bytes.subarray(this.at, this.at + length);
    if (bytes.length !== length) throw new Malformed("a string ends too early");
    this.at += length;
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  }

  bool(): boolean {
    const byte = this.byte();
    if (byte > 1) throw new Malformed("neither false nor true");
    return byte === 1;
  }

  /** All that is left. */
  rest(): Uint8Array {
    const rest = this.bytes.subarray(this.at);
    this.at = this.bytes.length;
    return rest;
  }

  /** Goes on only at the end. */
  end(): void {
    if (this.at !== this.bytes.length) throw new Malformed("bytes follow the message");
  }
}
