// A room that all open tabs share, over one WebSocket each. A lost connection is opened again.

import { element } from "./page.js";

const log = element("chat-log");
const people = element("chat-people");
const name = element("chat-name");
const text = element("chat-text");
const say = element("chat-form").querySelector("[type=submit]");

const ANIMALS = ["Otter", "Heron", "Lynx", "Moth", "Seal", "Wren", "Hare", "Newt", "Crane", "Vole"];
name.value = `${ANIMALS[Math.floor(Math.random() * ANIMALS.length)]} ${Math.floor(Math.random() * 90) + 10}`;

let socket;
let attempts = 0;

function connect() {
  socket = new WebSocket(
    `${location.origin.replace("http", "ws")}/chat?name=${encodeURIComponent(name.value)}`,
  );
  socket.addEventListener("open", () => {
    attempts = 0;
    say.disabled = false;
  });
  socket.addEventListener("message", ({ data }) => receive(JSON.parse(data)));
  socket.addEventListener("close", ({ code }) => {
    const why = code === 1001 ? "the server has stopped" : "not connected";
    people.textContent = `${why}; trying again`;
    say.disabled = true;
    attempts++;
    setTimeout(connect, Math.min(500 * 2 ** attempts, 10_000));
  });
}

function receive(message) {
  switch (message.type) {
    case "people":
      people.textContent = `here: ${message.names.join(", ")}`;
      break;
    case "said":
      append(message);
      break;
    case "note":
      append({ ...message, note: true });
      break;
  }
}

function append({ at, name: who, text: words, note = false }) {
  const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(at).toLocaleTimeString([], { hour12: false });
  if (note) {
    item.className = "note";
    item.append(words, time);
  } else {
    const speaker = document.createElement("b");
    speaker.textContent = who;
    speaker.style.setProperty("--hue", hue(who));
    item.append(speaker, words, time);
  }
  log.append(item);
  while (log.children.length > 200) log.firstChild.remove();
  if (follow) log.scrollTop = log.scrollHeight;
}

function hue(who) {
  let sum = 0;
  for (const character of who) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

element("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (words === "" || socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type: "say", text: words }));
  text.value = "";
});

name.addEventListener("change", () => {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "rename", name: name.value }));
});

connect();
