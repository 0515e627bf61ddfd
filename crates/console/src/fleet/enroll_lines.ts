// The lines that install the agent and enroll the device, for each package format. docs/packages.md
// says the same.

export interface Format {
  id: string;
  /** Systems that use it. */
  systems: string;
  install: string;
}

export const FORMATS: readonly Format[] = [
  {
    id: "deb",
    systems: "Debian, Ubuntu, Raspberry Pi OS (deb)",
    install: "dpkg -i towline-agent_*.deb",
  },
  { id: "rpm", systems: "Fedora, RHEL, SUSE (rpm)", install: "rpm -i towline-agent-*.rpm" },
  {
    id: "apk",
    systems: "Alpine, OpenWrt 25 (apk)",
    install: "apk add --allow-untrusted ./towline-agent-*.apk",
  },
  { id: "ipk", systems: "OpenWrt 24.10 (ipk)", install: "opkg install ./towline-agent_*.ipk" },
  { id: "tar", systems: "tar.gz", install: "./install.sh" },
];

export interface Order {
  /** Host and port of the gateway. */
  gateway: string;
  activationId: string;
  code: string;
  /** SHA-256 of the authority's key; empty: the gateway named none. */
  authority: string;
  /** The certificate authority is private: its certificate is in `ca.pem`. */
  hasOwnCa: boolean;
}

/** One line for root's shell: the package is installed and the device is enrolled. */
export function enrollLine(format: Format, order: Order): string {
  const { gateway, activationId, code, authority, hasOwnCa } = order;
  const ca = hasOwnCa ? " --ca ca.pem" : "";
  const same = authority === "" ? "" : ` --authority ${authority}`;
  // printf is built into shells: the code stands in no list of processes.
  return (
    `${format.install} && printf %s ${quoted(code)} | towline-agent enroll --gateway ${gateway}` +
    ` --activation-id ${activationId} --activation-code-file -${ca}${same}`
  );
}

/** A word of a shell. */
function quoted(word: string): string {
  return /^[\w./+=-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`;
}
