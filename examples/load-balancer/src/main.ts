// A server behind a load balancer that speaks the PROXY protocol: handlers see the real client, not the balancer.
// TRUSTED says who may connect at all (addresses and subnets); whoever else does is disconnected.

import * as mist from "@x/mist";

const trustedPeers = (process.env["TRUSTED"] ?? "127.0.0.1,::1").split(",");
let checked = false;

const server = await mist
  .new((request) => {
    const { ipAddress, port } = mist.getConnectionInfo(request);
    const client = mist.ipAddressToString(ipAddress);
    if (request.path === "/health") {
      if (!checked) console.log(`health checks come from ${client}`);
      checked = true;
      return mist.response(request.stopping.aborted ? 503 : 204);
    }
    return mist.text(`you are ${client}, port ${port}\n`);
  })
  .withProxyProtocol({ trustedPeers })
  .port(Number(process.env["PORT"] ?? 4009))
  .afterStart(({ port }) => console.log(`behind a load balancer, on port ${port}`))
  .start();

// The balancer checks twice a second and needs three failures; until then it sends new connections here.
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => void server.stop({ delayMs: 2_000, deadlineMs: 10_000 }));
