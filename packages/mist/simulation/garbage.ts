// Bytes that are not requests, and how a server may answer them.

interface Garbage {
  readonly text: string;
  /** The statuses; empty: it is not complete, and answered late with 408, or not at all. */
  readonly statuses: readonly number[];
}

export const garbage: readonly Garbage[] = [
  { text: "GET\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/3.1\r\nhost: a\r\n\r\n", statuses: [400, 505] },
  { text: "GET / HTTP/1.1\r\nhost : a\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", statuses: [400] },
  {
    text: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    statuses: [400],
  },
  {
    text: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    statuses: [400],
  },
  { text: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", statuses: [400] },
  {
    text: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    statuses: [501],
  },
  { text: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n", statuses: [417] },
  { text: "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", statuses: [400, 501, 405] },
  { text: "\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\r\n\r\n", statuses: [400] },
  { text: "G\u00c4T / HTTP/1.1\r\nhost: a\r\n\r\n", statuses: [400] },
  { text: "GET /\u0001 HTTP/1.1\r\nhost: a\r\n\r\n", statuses: [400] },
  { text: "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", statuses: [400] },
  { text: "GET / HTTP/1.1\r\nhost: a\r\nx: never ends", statuses: [] },
  { text: "GE", statuses: [] },
];
