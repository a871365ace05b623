"""/docs: a page that shows the service and can send it a request. It loads nothing from other hosts."""

DOCS_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Scoring</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
  textarea, pre { width: 100%; box-sizing: border-box; font: 14px/1.4 ui-monospace, monospace }
  textarea { height: 12rem }
  pre { background: #f3f3f3; padding: .8rem; overflow: auto; white-space: pre-wrap }
  input { width: 24rem; max-width: 100% } label { display: block; margin: .8rem 0 .2rem }
</style>
<h1 id="title">Scoring</h1>
<p id="about">The description needs the key, if this service has one.</p>
<label for="key">Primary or secondary key</label>
<input id="key" type="password" autocomplete="off"> <button id="load">Load</button>
<label for="body">Body of <code>POST /score</code></label>
<textarea id="body"></textarea>
<p><button id="send">Send</button></p>
<pre id="answer" aria-live="polite"></pre>
<h2>Input</h2><pre id="input"></pre>
<h2>Output</h2><pre id="output"></pre>
<p>OpenAPI: <code>swagger.json?version=2</code>, <code>3</code> or <code>3.1</code> beside this page.</p>
<script>
const by = id => document.getElementById(id)
const pretty = value => JSON.stringify(value, null, 2)
const headers = () => by("key").value ? {Authorization: "Bearer " + by("key").value} : {}
async function load() {
  let response, version
  for (version of ["3.1", "3", "2"]) {
    response = await fetch("swagger.json?version=" + version, {headers: headers()})
    if (response.status !== 404) break
  }
  const description = await response.json()
  if (!response.ok) { by("about").textContent = description.message; return }
  const schemas = version === "2" ? description.definitions : description.components.schemas
  by("title").textContent = description.info.title
  by("about").textContent = description.info.description
  by("input").textContent = pretty(schemas.ServiceInput)
  by("output").textContent = pretty(schemas.ServiceOutput)
  if (!by("body").value) by("body").value = pretty(schemas.ServiceInput.example ?? {})
}
by("load").onclick = load
by("send").onclick = async () => {
  by("answer").textContent = "…"
  const started = performance.now()
  try {
    const request = {method: "POST", body: by("body").value}
    request.headers = {"Content-Type": "application/json", ...headers()}
    const answer = await fetch("score", request)
    const text = await answer.text()
    by("answer").textContent = `${answer.status}, ${Math.round(performance.now() - started)} ms\\n${text}`
  } catch (error) { by("answer").textContent = String(error) }
}
load()
</script>
</html>
"""
