% # Terms to read, each with a button to accept it; several can be selected and accepted at once.
% rebase("base.tpl")
% several = len(entries) > 1 and not parent
% if lead:
<p>{{lead}}</p>
% end
% if parent:
<p>Your account belongs to another account, which accepts terms for both.</p>
% end
% for entry in entries:
<section id="terms-{{entry.id}}" aria-labelledby="name-{{entry.id}}">
<h2 id="name-{{entry.id}}"><bdi dir="auto">{{entry.name}}</bdi></h2>
% include("concerns.tpl", concerns=entry.concerns)
<div class="document boxed" dir="auto" tabindex="0" role="region" aria-label="Text of {{entry.name}}">
{{!entry.html}}
</div>
% if not parent:
<form method="post" action="{{entry.action}}" class="row">
<input type="hidden" name="form" value="{{entry.proof}}">
% if navigation.target:
<input type="hidden" name="{{navigation.field}}" value="{{navigation.target}}">
% end
% if entry.following:
<input type="hidden" name="then" value="{{entry.following}}">
% end
<button aria-label="Accept {{entry.name}}">Accept</button>
% if several:
<label><input type="checkbox" form="several" name="accept-{{entry.id}}" value="{{entry.proof}}">
or select it to accept several at once<span class="hidden">: {{entry.name}}</span></label>
% end
</form>
% end
</section>
% end
% if rest:
<h2>More terms of your datasets</h2>
% include("links.tpl", links=rest, more=more_rest)
% end
% if others:
<details>
<summary>Terms of datasets that are open to everyone who accepts them ({{len(others) + more_others}})</summary>
% include("links.tpl", links=others, more=more_others)
</details>
% end
% if several or navigation.skip:
<div class="bar row no-print">
% if several:
<form id="several" method="post" action="/activate">
% if navigation.target:
<input type="hidden" name="{{navigation.field}}" value="{{navigation.target}}">
% end
<button>Accept the selected terms</button>
</form>
% end
% if navigation.skip:
<a href="{{navigation.skip}}">Continue without accepting</a>
% end
</div>
% end
