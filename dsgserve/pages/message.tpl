% # A message: what happened, with links to continue.
% rebase("base.tpl")
% sentence = text[:1].upper() + text[1:]
<p>{{sentence if sentence.endswith((".", "!", "?")) else sentence + "."}}</p>
% for label, target in links.items():
<p><a href="{{target}}">{{label[:1].upper() + label[1:]}}</a></p>
% end
