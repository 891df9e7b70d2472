// The echo server over TLS. CERT and KEY name PEM files; for a certificate of your own:
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//   -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem

import * as glisten from "@x/glisten";

const certfile = process.env["CERT"] ?? "cert.pem";
const keyfile = process.env["KEY"] ?? "key.pem";

try {
  const server = await glisten
    .new(
      (conn) => console.log(`${conn.serverName ?? "no name"} over ${conn.transport}`),
      async (_, message, conn) => {
        if (message.type === "packet") await conn.send(message.data);
      },
    )
    .withTls({ certfile, keyfile })
    .start(Number(process.env["PORT"] ?? 3001));

  console.log(
    `echo over TLS on port ${server.port}; try: openssl s_client -connect localhost:${server.port}`,
  );
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());
} catch (error) {
  if (!(error instanceof glisten.CertificateError)) throw error;
  console.error(`${error.message}. CERT and KEY name the files; see the top of this program.`);
  process.exitCode = 1;
}
