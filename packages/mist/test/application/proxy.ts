// nginx and HAProxy for tests: on free ports of the loopback, in directories of their own, ended by their process.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { freePort } from "../relay/engine.ts";

/** What a configuration can name. */
export interface Place {
  /** The port to listen on. */
  readonly port: number;
  /** A directory of the proxy's own. */
  readonly directory: string;
}

/** Further files, by name. */
type Files = Readonly<Record<string, string>>;

/** Starts nginx with `inHttp` in its `http` block; returns the port it listens on. */
export function nginx(inHttp: (place: Place) => string, files: Files = {}): Promise<number> {
  return start(files, "nginx.conf", ({ port, directory }) => ({
    command: ["nginx", "-p", directory, "-c", join(directory, "nginx.conf"), "-e", "stderr"],
    configuration: `
      daemon off; master_process off; worker_processes 1; pid ${directory}/pid; error_log stderr;
      events { worker_connections 64; }
      http {
        access_log off; client_body_temp_path ${directory}/a; proxy_temp_path ${directory}/b;
        fastcgi_temp_path ${directory}/c; uwsgi_temp_path ${directory}/d; scgi_temp_path ${directory}/e;
        ${inHttp({ port, directory })}
      }`,
  }));
}

/** Starts HAProxy with these sections; returns the port it listens on. */
export function haproxy(sections: (place: Place) => string): Promise<number> {
  return start({}, "haproxy.cfg", ({ port, directory }) => ({
    command: ["haproxy", "-db", "-f", join(directory, "haproxy.cfg")],
    configuration: `
global
  maxconn 64
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
${sections({ port, directory })}
`,
  }));
}

async function start(
  files: Files,
  name: string,
  plan: (place: Place) => { readonly command: readonly string[]; readonly configuration: string },
): Promise<number> {
  const place = { port: await freePort(), directory: await mkdtemp(join(tmpdir(), "proxy-")) };
  onTestFinished(() => rm(place.directory, { recursive: true, force: true }));
  const { command, configuration } = plan(place);
  for (const [file, text] of Object.entries({ ...files, [name]: configuration }))
    await writeFile(join(place.directory, file), text);
  const [program, ...args] = command;
  const child = spawn(program!, args, { stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  await listening(child, place.port);
  return place.port;
}

/** Neither of them says when it is ready: it is once it can be connected to. */
async function listening(child: ChildProcess, port: number): Promise<void> {
  let complaints = "";
  child.stderr!.on("data", (text: Buffer) => {
    complaints += text;
  });
  while (child.exitCode === null) {
    const socket = connect(port, "127.0.0.1");
    const reached = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (reached) return;
    await pause(10);
  }
  throw new Error(`the proxy ended: ${complaints}`);
}
