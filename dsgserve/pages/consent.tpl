% # Asks whether a registered client may have a key of the person.
% # clients: with their owners; fields: the parameters of the window; proof: of the form (form_proofs.py).
% rebase("base.tpl")
% several = len(clients) > 1
% if several:
<p>An application asks for a key of your account. Your browser does not say which one; it can be one of these:</p>
% else:
<p>This application asks for a key of your account:</p>
% end
% for client, owner in clients:
<dl class="panel facts">
<dt>Application</dt><dd><bdi dir="auto"><strong>{{client.name}}</strong></bdi></dd>
<dt>Address</dt><dd>{{client.origin}}</dd>
<dt>Responsible</dt><dd><bdi dir="auto">{{owner}}</bdi></dd>
</dl>
% end
<p>With the key, it can see and do for <bdi dir="auto"><strong>{{account}}</strong></bdi> what you can, until
{{end.strftime("%Y-%m-%d %H:%M")}} UTC. It cannot manage this site, or make other keys. Allow it only if you opened this
window from that application and trust it.</p>
<form method="post" action="/login">
% for name, value in fields.items():
<input type="hidden" name="{{name}}" value="{{value}}">
% end
<input type="hidden" name="form" value="{{proof}}">
% if not several:
<p><label><input type="checkbox" name="remember" value="1"> Do not ask again</label></p>
% end
<p class="row"><button name="decision" value="allow">Allow</button>
<button class="plain" name="decision" value="cancel">Cancel</button></p>
</form>
