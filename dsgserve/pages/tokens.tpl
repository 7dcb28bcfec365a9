% # A person's tokens: a form that makes one, and the list. secret: a new token, shown once.
% rebase("base.tpl")
% if secret:
<p>Copy it now: it is not shown again. Whoever has it can do what you can do.</p>
<p><code class="copy" id="token">{{secret}}</code></p>
<p>In Python, CAVEclient stores it with:</p>
<pre>client.auth.save_token(token="{{secret}}")</pre>
% else:
<p>A token lets a program, such as CAVEclient or cloud-volume, act for you. It is shown once, when it is made.</p>
% end
<form method="post" action="{{action}}" class="row">
<input type="hidden" name="form" value="{{proof}}">
<label for="description">{{"What is the next one for?" if secret else "What is it for?"}}</label>
<input type="search" name="description" id="description" value="" maxlength="{{longest}}" autocomplete="off">
<button>{{"Create another" if secret else "Create a token"}}</button>
</form>
% if tokens:
<h2>Tokens that work</h2>
<ul class="list">
% for token in tokens:
<li><code>{{token["prefix"]}}…</code> <bdi dir="auto">{{token["description"]}}</bdi>
<p class="soft">Made on {{token["created"].strftime("%Y-%m-%d")}}, \\
% if token["last_used"]:
last used on {{token["last_used"].strftime("%Y-%m-%d")}}.\\
% else:
not used yet.\\
% end
</p></li>
% end
</ul>
<p class="soft">To end a token, ask those who run this site, and name its first characters.</p>
% end
