// The value of the `date` field, made once a second however many answers carry it.

import { clock, whenClockChanges } from "@x/glisten/kit";
import { serializeDate } from "../../http/date.ts";

let current = "";

function forget(): void {
  current = "";
}

whenClockChanges(forget);

/** The present, as the `date` field has it (RFC 9110 §6.6.1). Up to a second costs nothing but this call. */
export function currentDate(): string {
  if (current === "") {
    const now = clock.wallTime();
    current = serializeDate(now);
    clock.setTimer(forget, 1000 - (now % 1000)).unref();
  }
  return current;
}
