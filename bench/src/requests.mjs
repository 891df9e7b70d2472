// What the load sends and what must come back; servers and load share it.

/** @param {...string} all */
const lines = (...all) => `${all.join("\r\n")}\r\n\r\n`;

const three = ["Host: localhost", "User-Agent: bench/1.0", "Accept: */*"];

/** A GET with three header fields. */
export const get = Buffer.from(lines("GET / HTTP/1.1", ...three));

/** The same with the twenty fields of a browser. */
export const getTwenty = Buffer.from(
  lines(
    "GET / HTTP/1.1",
    "Host: localhost",
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/128.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Referer: https://www.example.com/start",
    "Accept-Encoding: identity",
    "Accept-Language: en-US,en;q=0.9",
    "Cookie: session=0123456789abcdef; theme=dark",
    'If-None-Match: W/"5e-18c7d"',
    "DNT: 1",
    "X-Request-Id: 4f9b0c12",
  ),
);

export const getOnce = Buffer.from(lines("GET / HTTP/1.1", ...three, "Connection: close"));
export const getFile = Buffer.from(lines("GET /file/1m HTTP/1.1", ...three));
export const getSmallFile = Buffer.from(lines("GET /file/4k HTTP/1.1", ...three));
export const getDownload = Buffer.from(lines("GET /download HTTP/1.1", ...three));

export const getStream = Buffer.from(lines("GET /stream HTTP/1.1", ...three));

export const hello = Buffer.from("Hello, world!");

const mebi = 1024 * 1024;

/**
 * `length` bytes of content in which neighbours differ.
 *
 * @param {number} length
 */
export function content(length) {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = 97 + (at % 23);
  return bytes;
}

/**
 * @param {string} path
 * @param {Buffer} body
 */
function post(path, body, type = "text/plain") {
  const head = [`POST ${path} HTTP/1.1`, ...three, `Content-Type: ${type}`];
  return Buffer.concat([Buffer.from(lines(...head, `Content-Length: ${body.length}`)), body]);
}

export const kibi = content(1024);
export const upload = content(mebi);
export const postEcho = post("/echo", kibi);
export const postUpload = post("/hash", upload);

export const json = Buffer.from(JSON.stringify({ name: "a name", list: [1, 2, 3] }));
export const postJson = post("/json", json, "application/json");

/** What a streamed response sends, word by word. */
export const words = ["one ", "two ", "three"];
export const streamed = Buffer.from(words.join(""));

export const fileBytes = mebi;
export const smallFileBytes = 4096;
export const fileFill = "x";

/** The chunks of the download, 100 MiB in total. */
export const chunk = Buffer.alloc(65_536, fileFill);
export const chunkCount = 1600;

/**
 * The floor's response, which is as long as everybody else's.
 *
 * @param {Buffer} body
 * @param {...string} fields
 */
export function canned(body, ...fields) {
  const head = ["HTTP/1.1 200 OK", "content-type: text/plain", `content-length: ${body.length}`, ...fields];
  return Buffer.concat([Buffer.from(lines(...head, "date: Sun, 06 Nov 1994 08:49:37 GMT")), body]);
}
