// Starting: what `afterStart` may do, and servers that a supervisor starts.

import * as net from "node:net";
import * as glisten from "@x/glisten";
import { type SupervisorEvent, supervisor } from "@x/glisten/actor";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";

const ok = () => mist.response(200).setBody(mist.bytes("ok"));
const builder = mist
  .new(ok)
  .port(0)
  .afterStart(() => {});

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(false)).on("error", () => resolve(true));
    socket.on("connect", () => socket.destroy());
  });
}

describe("afterStart", () => {
  const fail = new Error("no database");

  it.each([
    [
      "throws",
      () => {
        throw fail;
      },
    ],
    ["rejects", () => Promise.reject(fail)],
  ])("that %s ends what was started, and start rejects", async (_, afterStart) => {
    let port = 0;
    const started = builder
      .afterStart((address) => {
        port = address.port!;
        return afterStart();
      })
      .start();
    await expect(started).rejects.toBe(fail);
    expect(await isRefused(port)).toBe(true);
  });

  it("that fails cuts off who has connected in the meantime", async () => {
    let ended: Promise<unknown> | undefined;
    const started = builder
      .afterStart(async ({ port }) => {
        const socket = net.connect(port!, "127.0.0.1");
        await new Promise((resolve) => socket.once("connect", resolve));
        ended = new Promise((resolve) => socket.on("error", resolve).on("close", resolve));
        throw fail;
      })
      .start();
    await expect(started).rejects.toBe(fail);
    await ended;
  });

  it("is awaited", async () => {
    let ready = false;
    await using _ = await builder
      .afterStart(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        ready = true;
      })
      .start();
    expect(ready).toBe(true);
  });

  it("is called for a supervised server, again when it is restarted, and can fail its start", async () => {
    const addresses: mist.ServerAddress[] = [];
    const child = builder.afterStart((address) => {
      addresses.push(address);
      if (addresses.length === 2) throw fail;
    });
    const failures: unknown[] = [];
    const onEvent = (event: SupervisorEvent) =>
      event.type === "child-start-failed" && failures.push(event.error);
    await using tree = await supervisor({ children: [child.supervised()], onEvent });
    const first = tree.which<mist.Server>("mist:0")!;
    expect(addresses).toEqual([first.address]);
    first.kill();
    await expect.poll(() => addresses.length).toBe(3);
    await expect.poll(() => tree.which("mist:0")).toBeDefined();
    expect(failures).toEqual([fail]);
    expect(tree.which<mist.Server>("mist:0")!.address).toEqual(addresses[2]);
  });
});

describe("a supervised server", () => {
  it("is mist's own, whose stop waits for waitUntil and gives its report", async () => {
    let finish = () => {};
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const handler: mist.Handler = (request) => {
      mist.waitUntil(request, work);
      return ok();
    };
    const specification: mist.ServerSpecification = mist
      .new(handler)
      .port(0)
      .afterStart(() => {})
      .supervised();
    await using tree = await supervisor({ children: [{ ...specification, restart: "temporary" }] });
    const server = tree.which<mist.Server>("mist:0")!;
    expect(server.url).toMatch(/^http:/);
    expect(await (await fetch(server.url, { headers: { connection: "close" } })).text()).toBe("ok");
    let exited = false;
    void server.exited.then(() => {
      exited = true;
    });
    const stopped = server.stop({ deadlineMs: 60_000 });
    await expect.poll(() => isRefused(Number(new URL(server.url).port))).toBe(true);
    expect(exited).toBe(false);
    finish();
    expect(await stopped).toMatchObject({ type: "shutdown", killed: 0 });
    expect(await server.exited).toEqual({ type: "shutdown" });
  });

  it("waits for waitUntil no longer than its supervisor lets it", async () => {
    const handler: mist.Handler = (request) => {
      mist.waitUntil(request, new Promise(() => {}));
      return ok();
    };
    const child = mist
      .new(handler)
      .port(0)
      .afterStart(() => {});
    const tree = await supervisor({ children: [child.supervised()] });
    const server = tree.which<mist.Server>("mist:0")!;
    await (await fetch(server.url, { headers: { connection: "close" } })).text();
    expect(await tree.stop(300)).toEqual({ type: "shutdown" });
    expect(await server.closed).toEqual({ type: "shutdown" });
  });

  it.each([
    [undefined, "mist:4000"],
    [4001, "mist:4001"],
    [{ path: "/run/glisten.sock" }, "mist:unix:/run/glisten.sock"],
    [{ fd: 3 }, "mist:fd:3"],
    [{ systemd: "web" }, "mist:systemd:web"],
  ] as const)("on %j is called %s unless it is named", (target, id) => {
    expect(mist.new(ok).supervised(target).id).toBe(id);
    expect(mist.new(ok).supervised(target, { id: "web" }).id).toBe("web");
  });

  it("stands beside another", async () => {
    await using tree = await supervisor({
      children: [
        builder.supervised(0, { id: "one" }),
        builder.supervised(0, { id: "two" }),
        glisten
          .new(
            () => {},
            () => {},
          )
          .supervised(0),
      ],
    });
    for (const id of ["one", "two"]) {
      expect(await (await fetch(tree.which<mist.Server>(id)!.url)).text()).toBe("ok");
    }
  });
});

describe("what a user of mist alone needs", () => {
  it("can be imported from mist", () => {
    expect(mist.CertificateError).toBe(glisten.CertificateError);
    // Types: this file would not compile without them.
    type Needed = [mist.TlsOptions, mist.ServerSpecification, mist.StopReport, mist.StopOptions];
    type AndActors = [mist.Source<string>, mist.Receiver<string>];
    expect([] satisfies Partial<Needed> | Partial<AndActors>).toEqual([]);
  });

  it("names the certificate that is missing", async () => {
    const start = builder.withTls({ certfile: "/nowhere.pem", keyfile: "/nowhere.key" }).start();
    await expect(start).rejects.toBeInstanceOf(mist.CertificateError);
  });
});
