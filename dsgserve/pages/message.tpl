% # One thing said, and where to go from here.
% rebase("base.tpl", title=title, nonce=nonce)
% said = text[:1].upper() + text[1:]
<p>{{said if said.endswith((".", "!", "?")) else said + "."}}</p>
% for label, target in links.items():
<p><a href="{{target}}">{{label[:1].upper() + label[1:]}}</a></p>
% end
% if request_id:
<p><small>Number of this request, for the operators: {{request_id}}</small></p>
% end
