// A QR code, drawn as one path. Dark on light in both themes: readers expect it.

import { useMemo } from "preact/hooks";
import { encode } from "uqr";

/** The path of the dark modules, each a square of one unit. */
export function pathOf(modules: readonly (readonly boolean[])[]): string {
  return modules
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
    .join("");
}

export function QrCode({ text, label }: { text: string; label: string }) {
  const drawn = useMemo(() => {
    const code = encode(text, { ecc: "L", border: 4 });
    return { size: code.size, path: pathOf(code.data) };
  }, [text]);
  return (
    <svg class="qr" role="img" aria-label={label} viewBox={`0 0 ${drawn.size} ${drawn.size}`}>
      <rect width={drawn.size} height={drawn.size} fill="#fff" />
      <path d={drawn.path} fill="#000" shape-rendering="crispEdges" />
    </svg>
  );
}
