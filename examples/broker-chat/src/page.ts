// The page of the chat.

export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Chat across processes</title>
<style>
  body { font: 16px system-ui; margin: 2rem auto; max-width: 40rem; padding: 0 1rem; color-scheme: light dark }
  ol { list-style: none; padding: 0; min-height: 16rem } form { display: flex; gap: .5rem } input { flex: 1; font: inherit }
</style>
<h1>Chat across processes</h1>
<ol id="log"></ol>
<form id="form"><input id="text" autofocus autocomplete="off" aria-label="Message"><button>Say</button></form>
<script type="module">
  const name = prompt("Your name?") ?? "";
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws?name=" + encodeURIComponent(name));
  const show = (words) => log.append(Object.assign(document.createElement("li"), { textContent: words }));
  socket.onmessage = ({ data }) => show(data);
  socket.onclose = () => show("* the connection is closed");
  form.onsubmit = (event) => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
  };
</script>
</html>
`;
