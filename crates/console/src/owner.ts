// What people read of an ARN. It is apart from the lists of sessions, which a terminal does not
// load.

/** The last part of an ARN: the name that a person reads. */
export function ownerName(arn: string): string {
  return arn.replace(/^arn:[^/]*\//, "");
}
