// HTTP dates (RFC 9110 §5.6.7): IMF-fixdate out; in, also the two obsolete forms that a recipient must take.
//
// Instants are milliseconds since the epoch, as `Date.now()` gives them. The clock is an argument throughout.

/**
 * An instant as an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`. Fractions of a second are cut off.
 *
 * @param instantMs milliseconds since the epoch, within the years 0 to 9999.
 */
export function serializeDate(instantMs: number): string {
  // ECMA-262 fixes this format: for these years it is IMF-fixdate, letter for letter.
  return new Date(instantMs).toUTCString();
}

// IMF-fixdate    = day-name "," SP date1 SP time-of-day SP GMT           ; Sun, 06 Nov 1994 08:49:37 GMT
const imfFixdate =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/;
// rfc850-date    = day-name-l "," SP date2 SP time-of-day SP GMT         ; Sunday, 06-Nov-94 08:49:37 GMT
const rfc850Date =
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/;
// asctime-date   = day-name SP date3 SP time-of-day SP year              ; Sun Nov  6 08:49:37 1994
const asctimeDate =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) (\d\d| \d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

const months = "JanFebMarAprMayJunJulAugSepOctNovDec";

/**
 * Parses an HTTP date in any of the three forms.
 *
 * @param nowMs the present, needed for the two-digit years of the RFC 850 form.
 * @returns milliseconds since the epoch, or undefined if it is no HTTP date. The name of the day is not compared
 *   with the date.
 */
export function parseDate(text: string, nowMs: number): number | undefined {
  let match = imfFixdate.exec(text);
  if (match !== null) {
    return instantOf(Number(match[3]), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  }
  match = asctimeDate.exec(text);
  if (match !== null) {
    return instantOf(Number(match[6]), match[1]!, match[2]!, match[3]!, match[4]!, match[5]!);
  }
  match = rfc850Date.exec(text);
  if (match === null) return undefined;
  const [, day, month, twoDigits, hour, minute, second] = match;
  const century = Math.floor(new Date(nowMs).getUTCFullYear() / 100) * 100;
  const instant = instantOf(century + Number(twoDigits), month!, day!, hour!, minute!, second!);
  if (instant === undefined || !isFarFuture(instant, nowMs)) return instant;
  return instantOf(century - 100 + Number(twoDigits), month!, day!, hour!, minute!, second!);
}

// "more than 50 years in the future" stands for the last year in the past with these digits (§5.6.7).
function isFarFuture(instantMs: number, nowMs: number): boolean {
  const limit = new Date(nowMs);
  limit.setUTCFullYear(limit.getUTCFullYear() + 50);
  return instantMs > limit.getTime();
}

function instantOf(
  year: number,
  monthName: string,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const position = months.indexOf(monthName);
  if (position < 0 || position % 3 !== 0) return undefined;
  // 60 is a leap second; POSIX time has no such instant, and gives the one after it.
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const month = position / 3;
  const instant = new Date(0);
  instant.setUTCFullYear(year, month, Number(day));
  // The 31st of a shorter month would roll over into the next one.
  if (instant.getUTCMonth() !== month || instant.getUTCDate() !== Number(day)) return undefined;
  return instant.getTime() + (Number(hour) * 3600 + Number(minute) * 60 + Number(second)) * 1000;
}
