// The tests of WebSockets once more, over HTTP/2.

import { transport } from "./websocket-peer.ts";

transport.version = "2";

await import("./websocket.test.ts");
await import("./websocket-attacks.test.ts");
await import("./topics.test.ts");
await import("../server/loop-options.test.ts");
