// Names that the server programs use and that no installed package declares.

/** What a server program offers to the probe (probe.mjs). */
declare var benchTasks: {
  /** Sends a message to everybody in the room. */
  publish?: (data: string) => void;
  /** Does a task and returns its cost. */
  run?: (task: import("./figures.mjs").Task) => Promise<import("./figures.mjs").TaskCost>;
};

/** The part of Bun's server that servers/bun.mjs uses. */
declare const Bun: {
  serve(options: { port: number; hostname: string; fetch(request: Request): Response | Promise<Response> }): {
    port: number;
  };
};

/** The part of uWebSockets.js that servers/uwebsockets.mjs uses; no registry has the package. */
declare module "uWebSockets.js" {
  interface Response {
    writeHeader(name: string, value: string): Response;
    end(body: string | Uint8Array): Response;
    onAborted(handler: () => void): Response;
    onData(handler: (part: ArrayBuffer, last: boolean) => void): Response;
    cork(handler: () => void): Response;
  }
  interface Socket {
    send(data: ArrayBuffer | string, binary?: boolean): number;
    subscribe(topic: string): boolean;
  }
  interface Behavior {
    compression: number;
    maxPayloadLength?: number;
    open?: (socket: Socket) => void;
    message?: (socket: Socket, data: ArrayBuffer, binary: boolean) => void;
  }
  interface App {
    get(path: string, handler: (response: Response) => void): App;
    post(path: string, handler: (response: Response) => void): App;
    ws(path: string, behavior: Behavior): App;
    listen(host: string, port: number, done: (socket: object) => void): App;
    publish(topic: string, data: string): boolean;
  }
  const uws: { App(): App; DISABLED: number; us_socket_local_port(socket: object): number };
  export default uws;
}
