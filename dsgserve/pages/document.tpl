% # One document: to read, print and save, and to accept if that is still needed.
% rebase("base.tpl")
% include("concerns.tpl", concerns=entry.concerns)
% has_target = navigation.target and navigation.target != "/"
% onward = "Continue to " + place if place else "Continue" if has_target else "Go to your datasets"
% if accepted:
<p class="panel">You accepted these terms on {{accepted}}.</p>
% elif note:
<p class="panel">{{note}} You do not need to accept them.</p>
% elif parent:
<p class="panel">Your account belongs to another account, which accepts terms for both.</p>
% end
<div class="document" id="terms-{{entry.id}}" dir="auto">
{{!entry.html}}
</div>
<div class="no-print">
% if accepted or note or parent:
<p><a class="button" href="{{navigation.target or "/"}}">{{onward}}</a></p>
% else:
<form method="post" action="{{entry.action}}" class="row">
<input type="hidden" name="form" value="{{entry.proof}}">
% if navigation.target:
<input type="hidden" name="{{navigation.field}}" value="{{navigation.target}}">
% end
<button aria-label="Accept {{entry.name}}">Accept</button>
% if navigation.skip:
<a href="{{navigation.skip}}">Continue without accepting</a>
% end
</form>
% end
<p><a href="{{save}}">Save these terms as a text file</a>, or print this page.</p>
</div>
