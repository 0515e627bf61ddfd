// Where a terminal's parser stands in the bytes that it has read: the tail that does not yet make a
// whole character or escape sequence.
//
// A page that is loaded again gets the screen from storage. It must read this tail again before it
// goes on with the next byte, or the rest of a sequence would appear as text.

/** Longest tail that is kept; a longer sequence (a picture, a long title) is given up. */
const MOST = 4096;

type State = "ground" | "escape" | "intermediate" | "csi" | "string" | "stringEscape";

export class EscapeTail {
  private state: State = "ground";
  /** Bytes of a character that are still to come. */
  private missing = 0;
  private tail: number[] = [];

  /** Reads what the terminal reads. */
  read(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.step(byte);
      if (this.state === "ground" && this.missing === 0) this.tail = [];
      else if (this.tail.length < MOST) this.tail.push(byte);
    }
  }

  /** Begins anew. */
  reset(): void {
    this.state = "ground";
    this.missing = 0;
    this.tail = [];
  }

  /** The bytes to read again. */
  bytes(): Uint8Array {
    return Uint8Array.from(this.tail.length < MOST ? this.tail : []);
  }

  private step(byte: number): void {
    if (this.missing > 0) {
      if ((byte & 0xc0) === 0x80) {
        this.missing -= 1;
        return;
      }
      this.missing = 0; // not a character after all: this byte begins anew
      if (this.state === "ground") this.tail = [];
    }
    if (byte === 0x18 || byte === 0x1a) {
      this.state = "ground"; // CAN and SUB end every sequence
      return;
    }
    if (byte === 0x1b) {
      if (this.state !== "string") this.tail = [];
      this.state = this.state === "string" ? "stringEscape" : "escape";
      return;
    }
    switch (this.state) {
      case "ground":
        this.missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : 0;
        return;
      case "escape":
        if (byte === 0x5b) this.state = "csi";
        else if ([0x5d, 0x50, 0x58, 0x5e, 0x5f].includes(byte)) this.state = "string";
        else if (byte >= 0x20 && byte < 0x30) this.state = "intermediate";
        else if (byte >= 0x30) this.state = "ground";
        return;
      case "intermediate":
        if (byte >= 0x30) this.state = "ground";
        return;
      case "csi":
        if (byte >= 0x40) this.state = "ground";
        return;
      case "string":
        if (byte === 0x07) this.state = "ground";
        return;
      case "stringEscape":
        this.state = byte === 0x5c ? "ground" : byte === 0x5b ? "csi" : "escape";
        return;
    }
  }
}
