% # Terms to read, each with its own accept.
% rebase("base.tpl", title=title, nonce=nonce)
% if lead:
<p>{{lead}}</p>
% end
% if parent:
<p>Your account belongs to another one, which accepts terms for both.</p>
% end
% for entry in entries:
% concerns = ", ".join(one for one in entry["concerns"] if one)
<section aria-labelledby="terms-{{entry["id"]}}">
% if entry["name"] != title:
<h2 id="terms-{{entry["id"]}}">{{entry["name"]}}</h2>
% end
% if concerns:
<p class="soft"\\
% if entry["name"] == title:
 id="terms-{{entry["id"]}}"\\
% end
>For {{concerns}}</p>
% end
<div class="document" tabindex="0" role="region" aria-label="Text of {{entry["name"]}}">
{{!entry["html"]}}
</div>
% if not parent:
<form method="post" action="{{entry["action"]}}">
<input type="hidden" name="form" value="{{entry["form"]}}">
% if target:
<input type="hidden" name="{{field}}" value="{{target}}">
% end
<button aria-label="Accept {{entry["name"]}}">Accept</button>
</form>
% end
</section>
% end
% if later:
<p><a href="{{later}}">Go on without accepting</a></p>
% end
