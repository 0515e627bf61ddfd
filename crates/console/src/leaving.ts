// What a part of the console holds of its user goes with that user.

import { identity } from "./api.ts";

/** Calls `act` when the user signs out in a tab of this browser, or somebody else signs in. */
export function onLeave(act: () => void): void {
  let user: string | undefined;
  identity.subscribe((who) => {
    if (!who || who.arn === user) return;
    if (user === undefined) new BroadcastChannel("towline").onmessage = act;
    else act();
    user = who.arn;
  });
}
