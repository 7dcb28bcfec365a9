% # The landing page of somebody who is not signed in.
% rebase("base.tpl", title=title, nonce=nonce)
% if ended:
<p>Your sign-in has ended.</p>
% else:
<p>You are not signed in.</p>
% end
<p>This gateway knows who may see which datasets.</p>
<p><a class="button" href="/auth/login?next=/">Sign in</a></p>
