% # GET /login without an origin.
% rebase("base.tpl")
% if account:
<p>You are signed in as <bdi dir="auto"><strong>{{account}}</strong></bdi>.</p>
<p><a href="/">Go to your datasets</a></p>
% else:
<p>You are not signed in.</p>
<p><a class="button" href="/auth/login?next=/login">Sign in</a></p>
% end
