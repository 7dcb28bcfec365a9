% # Terms to read, each with its own accept; several can be ticked and accepted at once.
% rebase("base.tpl")
% several = len(entries) > 1 and not parent
% if lead:
<p>{{lead}}</p>
% end
% if parent:
<p>Your account belongs to another one, which accepts terms for both.</p>
% end
% for entry in entries:
<section id="terms-{{entry["id"]}}" aria-labelledby="name-{{entry["id"]}}">
<h2 id="name-{{entry["id"]}}"><bdi dir="auto">{{entry["name"]}}</bdi></h2>
% include("concerns.tpl", concerns=entry["concerns"])
<div class="document boxed" dir="auto" tabindex="0" role="region" aria-label="Text of {{entry["name"]}}">
{{!entry["html"]}}
</div>
% if not parent:
<form method="post" action="{{entry["action"]}}" class="row">
<input type="hidden" name="form" value="{{entry["form"]}}">
% if going.target:
<input type="hidden" name="{{going.field}}" value="{{going.target}}">
% end
% if entry["then"]:
<input type="hidden" name="then" value="{{entry["then"]}}">
% end
<button aria-label="Accept {{entry["name"]}}">Accept</button>
% if several:
<label><input type="checkbox" form="several" name="accept-{{entry["id"]}}" value="{{entry["form"]}}">
or tick, to accept several at once<span class="hidden">: {{entry["name"]}}</span></label>
% end
</form>
% end
</section>
% end
% if rest:
<h2>More terms that hold back datasets of yours</h2>
% include("links.tpl", links=rest, more=more_rest)
% end
% if others:
<details>
<summary>Terms of datasets that are open to everybody who accepts them ({{len(others) + more_others}})</summary>
% include("links.tpl", links=others, more=more_others)
</details>
% end
% if several or going.later:
<div class="bar row no-print">
% if several:
<form id="several" method="post" action="/activate">
% if going.target:
<input type="hidden" name="{{going.field}}" value="{{going.target}}">
% end
<button>Accept the ticked terms</button>
</form>
% end
% if going.later:
<a href="{{going.later}}">Go on without accepting</a>
% end
</div>
% end
