% # The layout of every page: one stylesheet, inline, so that nothing else is loaded.
% # account: of the person who is signed in; another: the URL to sign in with another account;
% # request_id: of a request that failed.
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{title if title == site.name else title + " · " + site.name}}</title>
<style nonce="{{nonce}}">
:root { --back: #fff; --panel: #f5f6f8; --text: #1b1b1f; --soft: #565662; --line: #c9c9d1; --edge: #777783;
  --accent: #0b57a4; --on-accent: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #16171a; --panel: #1f2125; --text: #ececf0; --soft: #adadb9; --line: #45464d; --edge: #8d8d99;
    --accent: #8ab8f0; --on-accent: #10151c; }
}
* { box-sizing: border-box; }
html { scroll-padding-bottom: 5rem; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem 1rem 3rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding-bottom: .75rem;
  margin-bottom: 1.5rem; border-bottom: 1px solid var(--line); }
header .site { display: flex; flex: 1 0 auto; max-width: 100%; align-items: center; gap: .5rem; margin: 0;
  font-weight: 600; }
header bdi { min-width: 0; overflow-wrap: anywhere; }
header img { max-height: 2rem; max-width: 8rem; }
header .account { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .75rem; margin: 0; min-width: 0;
  overflow-wrap: anywhere; }
header form { margin: 0; }
footer { margin-top: 3rem; padding-top: .75rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .9rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.25rem 0 .25rem; }
h4, h5, h6 { font-size: 1rem; margin: 1rem 0 .25rem; }
h1, h2, h3, h4, h5, h6 { overflow-wrap: anywhere; text-wrap: balance; }
p { margin: .5rem 0; }
ul { padding-inline-start: 1.25rem; margin: .5rem 0; }
a { color: var(--accent); }
.soft { color: var(--soft); }
button, .button { display: inline-block; max-width: 100%; font: inherit; padding: .5rem 1rem;
  border: 1px solid var(--accent); border-radius: .35rem; background: var(--accent); color: var(--on-accent);
  text-decoration: none; text-align: start; overflow-wrap: anywhere; cursor: pointer; }
button.plain { background: none; color: var(--accent); }
button.small { padding: .2rem .6rem; font-size: .9rem; }
input[type=search], input[type=email] { font: inherit; padding: .5rem; width: 100%; max-width: 22rem;
  border: 1px solid var(--edge); border-radius: .35rem; background: var(--back); color: var(--text); }
input[type=checkbox] { width: 1.15rem; height: 1.15rem; margin: 0 .35rem 0 0; vertical-align: -.2rem;
  accent-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
form { margin: 1rem 0; }
.row { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; }
.panel h2 { margin-top: .25rem; }
.panel { padding: .5rem 1rem; border: 1px solid var(--line); border-radius: .35rem; background: var(--panel); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .75rem 0; padding: .75rem 1rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.list { list-style: none; padding: 0; margin: 0; }
.list > li { padding: .75rem 0; border-bottom: 1px solid var(--line); }
.list :is(h2, h3) { font-size: 1.1rem; margin: 0; }
.list p { margin: .25rem 0; }
code, pre { font: .9em/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
code.copy { display: block; user-select: all; margin: .15rem 0; padding: .25rem .5rem; border: 1px solid var(--line);
  border-radius: .25rem; background: var(--panel); }
summary { cursor: pointer; padding: .25rem 0; }
.document :is(p, li, h1, h2, h3, h4, h5, h6, td, th, blockquote) { unicode-bidi: plaintext; text-align: start; }
.document blockquote { margin: .5rem 0; padding-inline-start: 1rem; border-inline-start: 3px solid var(--line); }
.document .wide { overflow-x: auto; }
.document table { border-collapse: collapse; }
.document :is(th, td) { vertical-align: top; padding: .35rem .75rem; border: 1px solid var(--line); }
.document > :first-child { margin-top: .25rem; }
.boxed { padding: .25rem 1rem; border: 1px solid var(--line); border-radius: .35rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.bar { padding: .75rem 0; background: var(--back); border-top: 1px solid var(--line); }
.bar form { margin: 0; }
/* In a high window, a document scrolls in its own box and the buttons stay visible. In a small window, or at 400 % zoom,
   the page scrolls instead. */
@media (min-height: 36rem) {
  .boxed { max-height: max(50vh, 18rem); overflow: auto; }
}
@media (min-height: 20rem) {
  .bar { position: sticky; bottom: 0; }
}
@media print {
  :root { --back: #fff; --text: #000; --soft: #333; --line: #999; }
  body { max-width: none; padding: 0; }
  .boxed { max-height: none; overflow: visible; border: 0; padding: 0; }
  .document .wide { overflow: visible; }
  form, button, .button, .bar, .no-print { display: none !important; }
  .document a[href]::after { content: " (" attr(href) ")"; overflow-wrap: anywhere; }
  section { break-before: auto; }
}
</style>
</head>
<body>
<header>
<p class="site">\\
% if site.logo:
<img src="{{site.logo}}" alt="">\\
% end
<bdi dir="auto">{{site.name}}</bdi></p>
% if defined("account") and account:
<div class="account no-print"><span>Signed in as <bdi dir="auto"><strong>{{account}}</strong></bdi></span>
% if defined("another") and another:
<a href="{{another}}">Use another account</a>
% end
% if defined("sign_out"):
<form method="post" action="/logout"><button class="plain small">Sign out</button></form>
% end
</div>
% end
</header>
<main>
<h1><bdi dir="auto">{{title}}</bdi></h1>
{{!base}}
</main>
% if site.contact or request_id:
<footer>
% if site.contact:
<p>Questions? Ask <a href="{{site.contact_url}}" target="_blank" rel="noopener">{{site.contact}}</a>.</p>
% end
% if request_id:
<p>Request number: {{request_id}}. Give this number when you ask for help.</p>
% end
</footer>
% end
</body>
</html>
