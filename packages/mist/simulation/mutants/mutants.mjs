// Faults that the simulator must find, planted one at a time: in `file`, `search` stands exactly once, and `replace`
// takes its place. A mutant that no longer applies fails CI; one that is not found shows what the simulator lacks.

/** @typedef {import("../load.mjs").Mutant} Mutant */

const live = "glisten/src/connection/live";
const supervision = "glisten/src/actor/supervision";

/** @type {readonly Mutant[]} */
export const mutants = [
  // ── glisten: connections ──────────────────────────────────────────────────────────────────────────────────
  {
    name: "a FIN that comes while the handler is busy is swallowed",
    file: `${live}/inbound.ts`,
    search: "this.#ended = this.#busy || this.#chunks.length > 0;\n    return this.#ended;",
    replace: "return this.#busy || this.#chunks.length > 0;",
  },
  {
    name: "a FIN overtakes the bytes that wait",
    file: `${live}/inbound.ts`,
    search: "return this.#ended;\n  }\n\n  /** The protocol is busy",
    replace: "return false;\n  }\n\n  /** The protocol is busy",
  },
  {
    name: "chunks that wait are handed over in reverse",
    file: `${live}/inbound.ts`,
    search: "this.#chunks.push(chunk);",
    replace: "this.#chunks.unshift(chunk);",
  },
  {
    name: "the socket is not read again after a busy handler",
    file: `${live}/inbound.ts`,
    search: "    reader.caughtUp();\n",
    replace: "",
  },
  {
    name: "nothing bounds what is read ahead",
    file: `${live}/inbound.ts`,
    search:
      "if (this.#chunks.length >= readAheadChunks || this.#bytes >= readAheadBytes) this.#reader.readAheadFull();",
    replace: "void readAheadChunks, readAheadBytes;",
  },
  {
    name: "a connection whose onClose takes time never leaves",
    file: `${live}/ending.ts`,
    search: "if (connection.phase >= GONE) leave(connection);\n  });",
    replace: "});",
  },
  {
    name: "a connection that ended in order was reset, it says",
    file: `${live}/ending.ts`,
    search: "connection.reason ??= orderly(connection);\n  connection.marks |= tellingClosed;",
    replace:
      'connection.reason ??= { type: "reset", code: "econnreset" };\n  connection.marks |= tellingClosed;',
  },
  {
    name: "a close does not flush what is held back",
    file: `${live}/ending.ts`,
    search:
      "if (connection.outbound !== undefined) connection.outbound.end();\n  else connection.socket.end();",
    replace: "connection.socket.end();",
  },
  {
    name: "senders that wait for room are not woken",
    file: `${live}/outbound.ts`,
    search: "    this.#flow.open();\n    return true;",
    replace: "    return true;",
  },
  {
    name: "a small write overtakes a large one",
    file: `${live}/writing.ts`,
    search: "if (lengthOf(data) > pieceBytes || heldBytes(connection) > 0) {",
    replace: "if (lengthOf(data) > pieceBytes) {",
  },
  {
    name: "a slow reader is cut off, whatever it takes",
    file: `${live}/send-deadline.ts`,
    search: "const earnedMs = taken === 0 ? 0 : taken / this.#bytesPerMs;",
    replace: "const earnedMs = taken * 0;",
  },
  {
    name: "an acceptor is lost with every asynchronous init",
    file: "glisten/src/server/acceptor.ts",
    search: "if (this.alive) this.#queue.ready(this);",
    replace: "",
  },
  {
    name: "of the connections that wait for an acceptor one is forgotten",
    file: "glisten/src/server/arrivals.ts",
    search: "      this.#waiting.delete(arrival);\n      if (!taker.take(arrival)) return;",
    replace: "      this.#waiting.clear();\n      if (!taker.take(arrival)) return;",
  },
  {
    name: "one connection too many is taken",
    file: "glisten/src/server/server.ts",
    search: "if (this.#count >= this.#options.maxConnections) {",
    replace: "if (this.#count > this.#options.maxConnections) {",
  },
  {
    name: "a connection that was reset stays in the count",
    file: "glisten/src/server/server.ts",
    search: "    this.#count -= 1;\n",
    replace: '    if (reason.type !== "reset") this.#count -= 1;\n',
  },
  {
    name: "deadlines come early",
    file: "glisten/src/server/timer-wheel.ts",
    search: "const dueTurn = this.#turn + Math.ceil(ms / turnMs) + 1;",
    replace: "const dueTurn = this.#turn + Math.max(1, Math.floor(ms / turnMs) - 1);",
  },
  {
    name: "a deadline that was put off still comes",
    file: "glisten/src/server/timer-wheel.ts",
    search: "if (dueTurn > turn) this.#link(entry);\n      else if",
    replace: "if",
  },
  {
    name: "the wheel turns on behind the server's end",
    file: "glisten/src/server/server.ts",
    search: "    this.wheel.stop();\n",
    replace:
      "    this.wheel.arm({ dueTurn: 0, slotTurn: 0, next: undefined, previous: undefined, due() {} } as never, 60_000);\n",
  },
  // ── glisten: stopping ─────────────────────────────────────────────────────────────────────────────────────
  {
    name: "a stop counts those it killed as drained",
    file: "glisten/src/server/drain.ts",
    search: 'if (reason.type === "killed") counts.killed += 1;',
    replace: 'if (reason.type === "handshake") counts.killed += 1;',
  },
  {
    name: "a stop takes a second longer than it may",
    file: "glisten/src/server/drain.ts",
    search: "return this.#begun ? Math.max(0, this.#endsAt - clock.now()) : undefined;",
    replace: "return this.#begun ? Math.max(0, this.#endsAt - clock.now()) + 1000 : undefined;",
  },
  {
    name: "connections are not told that the server stops",
    file: `${live}/live-connection.ts`,
    search: "      this.protocol!.shutdown?.(deadlineMs);",
    replace: "      void deadlineMs;",
  },
  // ── glisten: actors and supervisors ───────────────────────────────────────────────────────────────────────
  {
    name: "an actor ends in the middle of a message",
    file: "glisten/src/actor/loop.ts",
    search: "const waits = this.#status === PENDING || this.#status === UNBORN;",
    replace: "const waits = this.#status === UNBORN;",
  },
  {
    name: "messages that waited for a busy actor are not handled",
    file: "glisten/src/actor/loop.ts",
    search: "if (this.#mailbox?.length || this.#deliveries?.length) this.#queueUp();\n  }\n\n  #queueUp",
    replace: "if (this.#deliveries?.length) this.#queueUp();\n  }\n\n  #queueUp",
  },
  {
    name: "a queue that grows loses its order",
    file: "glisten/src/actor/queue.ts",
    search: "ring[index] = old[(this.#head + index) & (old.length - 1)];",
    replace: "ring[index] = old[index];",
  },
  {
    name: "a full mailbox drops the oldest and keeps it in mind",
    file: "glisten/src/actor/mailbox.ts",
    search: "      this.#queue.shift();\n      this.#queue.push(message);",
    replace: "      this.#queue.push(message);\n      this.#queue.push(message);",
  },
  {
    name: "onClose is called for a start that failed as well",
    file: "glisten/src/actor/user-loop.ts",
    search: "if (end.told || reason === undefined || !(loop.begun || late !== undefined)) return;",
    replace: "if (end.told || reason === undefined) return;",
  },
  {
    name: "onClose is called again",
    file: "glisten/src/actor/user-loop.ts",
    search: "    end.told = true;\n",
    replace: "",
  },
  {
    name: "a call keeps its timer",
    file: "glisten/src/actor/call.ts",
    search: "      clock.clearTimer(timer);\n      unwatch?.();",
    replace: "      unwatch?.();",
  },
  {
    name: "children end in the order they were started",
    file: `${supervision}/static-supervisor.ts`,
    search: "for (const entry of entries.toReversed()) {\n      if (this.#dead) return;",
    replace: "for (const entry of entries) {\n      if (this.#dead) return;",
  },
  {
    name: "one restart too many is tolerated",
    file: `${supervision}/intensity.ts`,
    search: "return this.#times.length <= this.restarts;",
    replace: "return this.#times.length <= this.restarts + 1;",
  },
  {
    name: "one restart too few is tolerated",
    file: `${supervision}/intensity.ts`,
    search: "return this.#times.length <= this.restarts;",
    replace: "return this.#times.length < this.restarts;",
  },
  {
    name: "rest-for-one restarts the one before as well",
    file: `${supervision}/static-supervisor.ts`,
    search: ": this.#entries.slice(this.#entries.indexOf(entry));",
    replace: ": this.#entries.slice(Math.max(0, this.#entries.indexOf(entry) - 1));",
  },
  {
    name: "a killed supervisor says that it has ended before its children have",
    file: `${supervision}/static-supervisor.ts`,
    search: "    this.#dead = true;\n    this.#hurry.abort();",
    replace: "    this.#end(killedExit);\n    this.#hurry.abort();",
  },
  {
    name: "a killed supervisor forgets the child that it is stopping",
    file: `${supervision}/static-supervisor.ts`,
    search: "    if (this.#stopping !== undefined) killChild(this.#stopping);\n",
    replace: "",
  },
  {
    name: "a factory forgets to kill those that do not stop",
    file: `${supervision}/dynamic-supervisor.ts`,
    search: "      void callUser((one) => one.kill(), child);\n    }\n    this.#end(rest.length);",
    replace: "      void child;\n    }\n    this.#end(rest.length);",
  },
  // ── mist: HTTP/1 ──────────────────────────────────────────────────────────────────────────────────────────
  {
    name: "a head may be one byte too long",
    file: "mist/src/http1/head-reader.ts",
    search: "const limit = buffer.start + this.#limits.maxHead;",
    replace: "const limit = buffer.start + this.#limits.maxHead + 1;",
  },
  {
    name: "a target may be one byte less long",
    file: "mist/src/http1/request-line.ts",
    search: "if (i > limit) throw targetTooLong(this.#maxTarget);",
    replace: "if (i >= limit) throw targetTooLong(this.#maxTarget);",
  },
  {
    name: "one field too many is taken",
    file: "mist/src/http1/field-section.ts",
    search: "if (count++ === maxFields) throw tooManyFields(maxFields);",
    replace: "if (count++ > maxFields) throw tooManyFields(maxFields);",
  },
  {
    name: "one empty line too many is taken",
    file: "mist/src/http1/head-reader.ts",
    search: "++this.#emptyLines > this.#limits.maxEmptyLines",
    replace: "this.#emptyLines++ > this.#limits.maxEmptyLines",
  },
  {
    name: "a fault behind a HEAD request is answered as if it were one",
    file: "mist/src/http1/head-reader.ts",
    search: '    this.#line.method = "";\n',
    replace: "",
  },
  {
    name: "a pipelined request behind a late answer is forgotten",
    file: "mist/src/server/http1/connection.ts",
    search: "    if (!called) this.#run();\n",
    replace: "",
  },
  {
    name: "a stop forgets the requests that were pipelined",
    file: "mist/src/server/http1/connection.ts",
    search: "return late || this.#core.retainedBytes <= unreadContent(body);",
    replace: "return late || this.#core.retainedBytes >= 0 || unreadContent(body) > 0;",
  },
  {
    name: "idle connections stay when the server stops",
    file: "mist/src/server/http1/connection.ts",
    search:
      'else if (this.#phase !== "draining" && this.#takesRequests()) this.#deadlines.set("read", this.#graceMs);',
    replace: "",
  },
  {
    name: "an output is flushed only once",
    file: "mist/src/server/http1/output.ts",
    search: "    this.#flushScheduled = false;\n    this.flush();",
    replace: "    this.flush();",
  },
  {
    name: "large bytes overtake the head before them",
    file: "mist/src/server/http1/output.ts",
    search: "const parts = alone ? data : [text, data, suffix].filter((part) => part.length > 0);",
    replace: "const parts = alone ? data : [data, text, suffix].filter((part) => part.length > 0);",
  },
  {
    name: "a reader that waits for content is not woken",
    file: "mist/src/server/http1/connection.ts",
    search: "      this.#failBody(body, wait.tooSlow(minBodyRate));\n    else body.resume();",
    replace:
      "      this.#failBody(body, wait.tooSlow(minBodyRate));\n    else if (body.received > 0) body.resume();",
  },
  {
    name: "content that nobody reads is collected without a bound",
    file: "mist/src/server/http1/connection.ts",
    search:
      "if (waits && this.#core.retainedBytes > this.service.limits.maxBuffered) this.connection.pause();",
    replace: "if (waits && this.#core.retainedBytes > 1e9) this.connection.pause();",
  },
  {
    name: "no 100 is sent",
    file: "mist/src/server/http1/connection.ts",
    search: "if (this.#core.continueDue) this.inform(100, []);",
    replace: "",
  },
  {
    name: "content nobody has read is taken for a request",
    file: "mist/src/http1/connection.ts",
    search: "if (this.#state.reader !== state.R_DONE) return true; // the rest of the request comes first",
    replace: "if (this.#state.reader !== state.R_DONE) this.#state.reader = state.R_DONE;",
  },
  {
    name: "small chunks that are moved together lose their end",
    file: "mist/src/http1/body-decoder.ts",
    search: "if (end !== buffer.start) bytes.copyWithin(end, buffer.start, buffer.start + count);",
    replace: "if (end !== buffer.start) bytes.copyWithin(end, buffer.start, buffer.start + count - 1);",
  },
  {
    name: "a body that fails looks whole",
    file: "mist/src/server/exchange/exchange.ts",
    search: "if (this.#status !== undefined) this.breakOff();",
    replace: "if (this.#status !== undefined) this.end();",
  },
  {
    name: "a client that is gone is not told to the handler's stream",
    file: "mist/src/server/exchange/exchange.ts",
    search: "if (writer !== undefined) this.#inContext(() => writer.close());",
    replace: "if (writer !== undefined && complete) this.#inContext(() => writer.close());",
  },
  {
    name: "an iterable is pulled while the client takes nothing",
    file: "mist/src/server/body/pulling-writer.ts",
    search: "      if (sink.room.blocked) await sink.room.whenRoom();\n      // Room may",
    replace: "      // Room may",
  },
  {
    name: "a stop does not wait for what it was given",
    file: "mist/src/server/exchange/background-work.ts",
    search: "if (this.#pending.size === 0) return;",
    replace: "if (this.#pending.size >= 0) return;",
  },
  {
    name: "a request that is abandoned makes no end in telemetry",
    file: "mist/src/server/exchange/exchange.ts",
    search: "if (!this.#endWanted) return;",
    replace: "if (!this.#endWanted || !complete) return;",
  },
  // ── mist: event streams and WebSockets ────────────────────────────────────────────────────────────────────
  {
    name: "the loop of a stream goes on behind its client",
    file: "mist/src/server/streams/stream-actor.ts",
    search: "    void this.#user.close(this.#reason, normalExit);\n",
    replace: "",
  },
  {
    name: "a stop does not end event streams",
    file: "mist/src/server/exchange/exchange.ts",
    search: "    this.#writer?.shutdown(deadlineMs);\n",
    replace: "    void deadlineMs;\n",
  },
  {
    name: "a mask is not carried from packet to packet",
    file: "mist/src/websocket/reader.ts",
    search:
      "    applyMask(this.#chunk, start, end, this.#key);\n    this.#key = advanceMaskingKey(this.#key, end - start);\n    assembly.append",
    replace: "    applyMask(this.#chunk, start, end, this.#key);\n    assembly.append",
  },
  {
    name: "a message may be one byte too big",
    file: "mist/src/websocket/reader.ts",
    search: "if (length + (assembly === undefined ? 0 : assembly.length) > maxMessageBytes) {",
    replace: "if (length + (assembly === undefined ? 0 : assembly.length) > maxMessageBytes + 1) {",
  },
  {
    name: "a frame header cut off by a packet's end is read anew",
    file: "mist/src/websocket/reader.ts",
    search: "return this.#offset + payload - partial.length;",
    replace: "return this.#offset + payload;",
  },
  {
    name: "a text that is not UTF-8 is taken",
    file: "mist/src/websocket/reader.ts",
    search: "  if (!isUtf8(bytes)) throw invalidText();\n",
    replace: "",
  },
  {
    name: "a Close is answered with another code",
    file: "mist/src/websocket/connection.ts",
    search: 'this.close(event.code, "");',
    replace: 'this.close(1001, "");',
  },
  {
    name: "a peer that was pinged once counts as pinged for ever",
    file: "mist/src/server/websocket/heartbeat.ts",
    search: "    this.#pinged = false;\n    this.#lookIn",
    replace: "    this.#lookIn",
  },
  {
    name: "messages behind a busy WebSocket handler are not asked for",
    file: "mist/src/server/websocket/shell.ts",
    search: "    this.#pumping = undefined;\n    if",
    replace: "    if",
  },
  {
    name: "the handler of a WebSocket never hears of its end",
    file: "mist/src/server/websocket/session.ts",
    search: 'void this.#user.close(this.#reason, normalExit, { type: "closed", code, reason });',
    replace: "void code;",
  },
  {
    name: "a WebSocket is closed with 1000 when the server stops",
    file: "mist/src/server/websocket/shell.ts",
    search: 'const close = (): void => this.beginClose(GOING_AWAY, "the server is stopping");',
    replace: 'const close = (): void => this.beginClose(NORMAL_CLOSURE, "the server is stopping");',
  },
  {
    name: "behind both Close frames the connection stays",
    file: "mist/src/server/websocket/writer.ts",
    search: "    if (core.finished) stream.close();\n  }\n\n  /** @internal */",
    replace: "  }\n\n  /** @internal */",
  },
  // ── mist: HTTP/2 ──────────────────────────────────────────────────────────────────────────────────────────
  {
    name: "a stream's window is not looked at",
    file: "mist/src/http2/sender.ts",
    search: "      stream.queuedBytes,\n      stream.sendWindow,\n",
    replace: "      stream.queuedBytes,\n",
  },
  {
    name: "a stream that has a window again is not scheduled",
    file: "mist/src/http2/frames/control-frames.ts",
    search: "      stream.sendWindow += increment;\n      session.sender.windowMoved(stream);",
    replace: "      stream.sendWindow += increment;",
  },
  {
    name: "the window of a stream is not given back",
    file: "mist/src/http2/flow/flow-control.ts",
    search: "    this.#owed = 0;\n    this.available += increment;\n    return increment;",
    replace: "    this.#owed = 0;\n    this.available += increment;\n    return 0;",
  },
  {
    name: "a producer of an HTTP/2 stream is not told that there is room",
    file: "mist/src/http2/sender.ts",
    search: "      if (stream.writer === state.W_BODY) this.#owner.room(stream);\n",
    replace: "",
  },
  {
    name: "the end of a stream is marked on a frame that has left",
    file: "mist/src/http2/sender.ts",
    search: "} else if (stream.flagsIn === this.#buffer) {",
    replace: "} else if (stream.flagsIn >= 0) {",
  },
  {
    name: "an entry of the header table is named by the wrong index",
    file: "mist/src/http2/hpack/encoder.ts",
    search: "writeInteger(sink, index + STATIC_LENGTH + 1, 0x7f, 0x80);",
    replace: "writeInteger(sink, index + STATIC_LENGTH, 0x7f, 0x80);",
  },
  {
    name: "small pieces of content overwrite each other",
    file: "mist/src/http2/streams/content-queue.ts",
    search: "      this.#used += count;\n      this.#pieces[",
    replace: "      this.#pieces[",
  },
  {
    name: "streams are not told that the server stops",
    file: "mist/src/server/http2/connection.ts",
    search: "    for (const owner of [...this.#owners]) owner.shutdown(deadlineMs);\n",
    replace: "    void deadlineMs;\n",
  },
];
