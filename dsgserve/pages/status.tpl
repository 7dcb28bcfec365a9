% # GET /login without an origin.
% rebase("base.tpl", title=title, nonce=nonce)
% if label:
<p>You are signed in as <strong>{{label}}</strong>.</p>
<p><a href="/">Your datasets</a></p>
% else:
<p>You are not signed in.</p>
<p><a class="button" href="/auth/login?next=/login">Sign in</a></p>
% end
