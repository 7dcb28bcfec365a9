% # The layout of every page: one stylesheet, inline, so that nothing else is loaded.
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{title}}</title>
<style nonce="{{nonce}}">
:root { --back: #fff; --text: #1b1b1f; --soft: #5a5a66; --line: #c9c9d1; --accent: #0b57a4; --on-accent: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #16171a; --text: #ececf0; --soft: #a9a9b5; --line: #45464d; --accent: #8ab8f0; --on-accent: #10151c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 42rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3, h4, h5, h6 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; }
a { color: var(--accent); }
.soft { color: var(--soft); }
button, .button { display: inline-block; font: inherit; padding: .5rem 1rem; border: 1px solid var(--accent);
  border-radius: .35rem; background: var(--accent); color: var(--on-accent); text-decoration: none; cursor: pointer; }
button.plain { background: none; color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
.document { max-height: 50vh; overflow: auto; padding: .25rem 1rem; border: 1px solid var(--line); border-radius: .35rem; }
td { overflow-wrap: anywhere; }
form { margin: 1rem 0; }
</style>
</head>
<body>
<main>
<h1>{{title}}</h1>
{{!base}}
</main>
</body>
</html>
