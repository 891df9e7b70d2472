// Fields between two neighbours, which whoever passes a message on leaves behind (RFC 9110 §7.6.1).

const always = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/** Lower-case names of the fields that are for the next hop only, those that Connection names among them. */
export function hopByHopNames(connection: string | null): Set<string> {
  const names = new Set(always);
  if (connection === null) return names;
  for (const option of connection.split(",")) {
    const name = option.trim().toLowerCase();
    if (name !== "") names.add(name);
  }
  return names;
}
