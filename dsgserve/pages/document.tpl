% # One document: to read, print and save, and to accept if it waits.
% rebase("base.tpl")
% include("concerns.tpl", concerns=entry["concerns"])
% onward = "Go on to " + place if place else "Go on" if going.target and going.target != "/" else "Go to your datasets"
% if accepted:
<p class="panel">You accepted these terms on {{accepted}}. There is nothing more to do.</p>
% elif note:
<p class="panel">{{note}} You need not accept them.</p>
% elif parent:
<p class="panel">Your account belongs to another one, which accepts terms for both.</p>
% end
<div class="document" id="terms-{{entry["id"]}}" dir="auto">
{{!entry["html"]}}
</div>
<div class="no-print">
% if accepted or note or parent:
<p><a class="button" href="{{going.target or "/"}}">{{onward}}</a></p>
% else:
<form method="post" action="{{entry["action"]}}" class="row">
<input type="hidden" name="form" value="{{entry["form"]}}">
% if going.target:
<input type="hidden" name="{{going.field}}" value="{{going.target}}">
% end
<button aria-label="Accept {{entry["name"]}}">Accept</button>
% if going.later:
<a href="{{going.later}}">Go on without accepting</a>
% end
</form>
% end
<p><a href="{{save}}">Save as a text file</a>; to keep them on paper, print this page.</p>
</div>
